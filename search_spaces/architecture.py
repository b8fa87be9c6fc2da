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
    settings: values of settings that were decided with it, such as "training.learning_rate".
    """

    space: str
    spec: Spec
    settings: tuple[tuple[str, int | float], ...] = ()

    def digest(self) -> str:
        """Return 16 hexadecimal digits, equal for isomorphic graphs on every machine."""
        parts = [self.space, self.spec, *([self.settings] if self.settings else [])]
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return one line of JSON that `from_json` can read."""
        return json.dumps(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Return plain values for JSON, which `from_data` reads; settings only if there are any."""
        settings = {"settings": dict(self.settings)} if self.settings else {}
        return {"space": self.space, "spec": self.spec, **settings}

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """Read an architecture; raises `ValueError` if the text does not hold one."""
        return cls.from_data(json.loads(text))

    @classmethod
    def from_data(cls, data: Any) -> "Architecture":
        """Read an architecture from parsed JSON; raises `ValueError` if it does not hold one."""
        if not isinstance(data, Mapping) or not {"space", "spec"} <= set(data):
            raise ValueError('not an architecture: write {"space": …, "spec": …}')
        settings = data.get("settings") or {}
        if not isinstance(settings, Mapping) or not all(map(_is_number, settings.values())):
            raise ValueError("an architecture's settings must be {name: number}")
        return cls(str(data["space"]), _frozen(data["spec"]), tuple(settings.items()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _frozen(value: Any) -> Spec:
    if isinstance(value, dict):
        raise ValueError(
            "an architecture's spec must hold only lists and plain values, not objects"
        )
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
