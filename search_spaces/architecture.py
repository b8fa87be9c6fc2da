"""An architecture: frozen data that is compared, hashed, recorded and rebuilt anywhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Spec = None | bool | int | float | str | tuple["Spec", ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a search space's decisions describe.

    space: the name of the search space.
    spec: nested tuples of plain values, in the space's canonical form: a space orders
        the nodes of a graph so that isomorphic graphs give equal specs.
    """

    space: str
    spec: Spec

    def digest(self) -> str:
        """16 hexadecimal digits, equal for isomorphic graphs on every machine."""
        text = json.dumps([self.space, self.spec], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads again."""
        return json.dumps({"space": self.space, "spec": self.spec})

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """Raises `ValueError` when the text is no architecture."""
        data = json.loads(text)
        if not isinstance(data, Mapping) or not {"space", "spec"} <= set(data):
            raise ValueError('an architecture is {"space": …, "spec": …}')
        return cls(str(data["space"]), _frozen(data["spec"]))


def _frozen(value: Any) -> Spec:
    if isinstance(value, Mapping):
        raise ValueError("an architecture's spec is made of lists and plain values, not of objects")
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
