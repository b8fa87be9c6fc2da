"""Tells on stderr which stage a run is in after its search, how far it is, and how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SECONDS_BETWEEN_LINES = 10.0

Tick = Callable[[int, int], None]  # is given what is done, and of how much


def silent(done: int, wanted: int) -> None:
    """Ignore the progress."""


@dataclass
class Stage:
    """A stage that began when this was made."""

    name: str
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self._last_line = self.clock()
        _say(f"{self.name} …")

    def tick(self, done: int, wanted: int) -> None:
        """Print a line with the time left, estimated from the pace so far, at most every 10 s."""
        now = self.clock()
        if done and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self.started) / done * (wanted - done)
            _say(f"{self.name}: {done}/{wanted}, left about {left:.0f} s")

    def end(self) -> None:
        _say(f"{self.name}: {self.clock() - self.started:.0f} s")


@contextmanager
def stage(name: str) -> Iterator[Tick]:
    """Print a line when a stage begins, lines with its progress, and a line when it ends."""
    this = Stage(name)
    yield this.tick
    this.end()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
