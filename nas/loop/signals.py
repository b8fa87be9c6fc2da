"""Handles Ctrl-C and SIGTERM: the first asks a search to end, the second ends it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nas.core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The signal received, if any, and whether running evaluations may still finish.

    evaluating_here: candidates are evaluated in this process, so stopping must interrupt them.
    """

    def __init__(self, grace_seconds: float, evaluating_here: bool) -> None:
        self.grace_seconds = grace_seconds
        self.evaluating_here = evaluating_here
        self.signal_number: int | None = None
        self.overdue = False

    def receive(self, number: int, _: FrameType | None) -> None:
        """Start the grace period at the first signal; at the second, or at its end, stop.

        An evaluation in this process is interrupted at once, which is safe: a run survives a
        crash at any moment. With Ray, the driver stops by itself: Ray would lose the exception.
        """
        if self.signal_number is not None:
            self.overdue = True
            if self.evaluating_here:
                raise Interrupted(self.signal_number)
            return
        self.signal_number = number
        signal.setitimer(signal.ITIMER_REAL, max(self.grace_seconds, 0.001))
        print(
            f"stopping: running evaluations may take {self.grace_seconds:g} s to finish; "
            "press Ctrl-C again to stop immediately",
            file=sys.stderr,
        )


@contextmanager
def stop_on_signals(grace_seconds: float, evaluating_here: bool) -> Iterator[Stop]:
    """Catch signals inside the context. Enter it after starting Ray, which replaces handlers.

    Only Python's main thread receives signals: in another thread, none are caught.
    """
    stop = Stop(grace_seconds, evaluating_here)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.receive) for number in (*SIGNALS, signal.SIGALRM)}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
