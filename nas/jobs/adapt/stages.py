"""Tells on stderr which stage a run is in after its search, and how long each stage took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print a line when a stage begins and a line when it ends."""
    print(f"{name} …", file=sys.stderr, flush=True)
    started = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
