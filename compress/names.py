"""What can be named in a pruning or a distillation; imports nothing that takes long."""

import re
from typing import Literal

Distillation = Literal["mse", "kl"]
Kind = Literal["i2h", "h2h", "weight"]

PRUNING_METHODS = (  # the keys of `compress.pruning.saliency.METHODS`
    "magnitude",
    "gradient",
    "movement",
    "lamp",
    "lookahead",
    "snip",
    "grasp",
    "synflow",
    "random",
)
SCOPES = ("global", "layer", "gate")
WHAT: dict[str, frozenset[Kind]] = {
    "i2h": frozenset({"i2h"}),
    "h2h": frozenset({"h2h"}),
    "both": frozenset({"i2h", "h2h"}),
    "weights": frozenset({"i2h", "h2h", "weight"}),
    "channels": frozenset({"i2h", "h2h", "weight"}),  # the same weights, but whole channels of them
}
CHANNELS = "channels"


def read_pattern(text: str) -> tuple[int, ...]:
    """The pattern that a scope names.

    "4" → (4,): of every 4 neighbours of a row equally many go. "16x1" → (16, 1): whole blocks of
    16 rows and 1 column go.
    Raises `ValueError` for what is neither.
    """
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if not found:
        raise ValueError(
            f'no scope "{text}": there are global, layer, gate, neighbours such as 4 (half of '
            "them are 2:4), and blocks such as 16x1"
        )
    return tuple(int(number) for number in found.groups() if number)
