"""Declares the functions of compiled libraries, whose arguments are one struct."""

import ctypes
from collections.abc import Callable, Sequence


def struct_of(numbers: Sequence[str], arrays: Sequence[str]) -> type[ctypes.Structure]:
    """Return a struct of longs, followed by pointers to arrays, with these names."""
    fields = [(name, ctypes.c_long) for name in numbers]
    fields += [(name, ctypes.c_void_p) for name in arrays]
    return type("arguments", (ctypes.Structure,), {"_fields_": fields})


def function_of(
    library: ctypes.CDLL, name: str, struct: type[ctypes.Structure]
) -> Callable[..., None]:
    """Return a library's function that takes a pointer to such a struct and returns nothing."""
    function = getattr(library, name)
    function.argtypes, function.restype = [ctypes.POINTER(struct)], None
    return function


def number_of(library: ctypes.CDLL, name: str) -> int:
    """Return a constant of a library, a long."""
    return ctypes.c_long.in_dll(library, name).value
