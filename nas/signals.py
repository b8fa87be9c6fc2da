"""Ctrl-C and SIGTERM: the first asks a search to end, the second ends it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nas.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a signal has come, and which."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self.signal_number: int | None = None

    def requested(self) -> bool:
        return self.signal_number is not None

    def receive(self, number: int, _: FrameType | None) -> None:
        """The second signal, or the end of the grace, interrupts wherever the program is: a run
        is left at any moment as if the machine had died, and goes on from there."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)
        self.signal_number = number
        signal.setitimer(signal.ITIMER_REAL, max(self.grace_seconds, 0.001))
        print(
            f"stopping: running evaluations may take {self.grace_seconds:g} s to finish; "
            "once more to stop now",
            file=sys.stderr,
        )


@contextmanager
def stop_on_signals(grace_seconds: float) -> Iterator[Stop]:
    """Catch signals until left. To be entered after Ray has started: it replaces handlers."""
    stop = Stop(grace_seconds)
    before = {number: signal.signal(number, stop.receive) for number in (*SIGNALS, signal.SIGALRM)}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
