"""Reads large records without a growing share of garbage collection."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# libraries that count their objects at exit would take frozen ones for leaks
atexit.register(gc.unfreeze)


@contextmanager
def many_objects() -> Iterator[None]:
    """Pause the collector while many lasting objects are made, then leave them out of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
