"""An architecture: frozen data that can be compared, hashed, recorded and rebuilt anywhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Spec = None | bool | int | float | str | tuple["Spec", ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The result of a search space's decisions.

    space: the name of the search space.
    spec: nested tuples of plain values, in the space's canonical form: a space orders
        the nodes of a graph so that isomorphic graphs give equal specs.
    """

    space: str
    spec: Spec

    def digest(self) -> str:
        """Return 16 hexadecimal digits, equal for isomorphic graphs on every machine."""
        text = json.dumps([self.space, self.spec], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return one line of JSON that `from_json` can read."""
        return json.dumps({"space": self.space, "spec": self.spec})

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """Read an architecture; raises `ValueError` if the text does not hold one."""
        return cls.from_data(json.loads(text))

    @classmethod
    def from_data(cls, data: Any) -> "Architecture":
        """Read an architecture from parsed JSON; raises `ValueError` if it does not hold one."""
        if not isinstance(data, Mapping) or not {"space", "spec"} <= set(data):
            raise ValueError('not an architecture: write {"space": …, "spec": …}')
        return cls(str(data["space"]), _frozen(data["spec"]))


def _frozen(value: Any) -> Spec:
    if isinstance(value, Mapping):
        raise ValueError(
            "an architecture's spec must hold only lists and plain values, not objects"
        )
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
