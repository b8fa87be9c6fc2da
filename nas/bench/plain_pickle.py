"""Reads pickles of plain containers and numbers, and refuses to run any code that they name."""

import io
import pickle
import struct
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import read_bytes, undamaged

MOST_BYTES = 2**28


def read_plain_pickle(path: Path, remedy: str) -> Any:
    """Return the dictionaries, lists, strings and numbers in a pickle file.

    NumPy's scalars become Python's numbers. Raises `BadInput` naming the file if it holds anything
    else: https://docs.python.org/3/library/pickle.html#restricting-globals.
    """
    content = read_bytes(path, remedy, MOST_BYTES)
    with undamaged(path, remedy, pickle.UnpicklingError, EOFError, struct.error):
        return _Plain(io.BytesIO(content)).load()


class _Type:
    """Stands for `numpy.dtype`; keeps the type's code and byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = "<" if state[1] == "|" else state[1]


def _scalar(kind: _Type, content: bytes) -> float | int:
    """Stands for the function that restores a scalar of NumPy."""
    return struct.unpack(kind.order + {"f8": "d", "f4": "f", "i8": "q"}[kind.code], content)[0]


ALLOWED = {
    (module, name): stand_in
    for core in ("numpy.core.multiarray", "numpy._core.multiarray")
    for module, name, stand_in in ((core, "scalar", _scalar), ("numpy", "dtype", _Type))
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise BadInput(f"a pickle names {module}.{name}, which is not a number or container")
        return ALLOWED[module, name]
