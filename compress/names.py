"""The names that settings choose from, without heavy imports."""

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
    "channels": frozenset({"i2h", "h2h", "weight"}),  # the same weights, in whole channels
}
CHANNELS = "channels"


def read_pattern(text: str) -> tuple[int, ...]:
    """Return the pattern that a scope names.

    "4" → (4,): remove equally many of every 4 neighbours in a row. "16x1" → (16, 1): remove whole
    blocks of 16 rows and 1 column.
    Raises `ValueError` for any other text.
    """
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if not found:
        raise ValueError(
            f'unknown scope "{text}"; choose global, layer, gate, a number of neighbours such as 4 '
            "(level 0.5 gives 2:4), or a block such as 16x1"
        )
    return tuple(int(number) for number in found.groups() if number)
