"""Evaluates candidates one after another in this process."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from nas.core.executor import CandidateFailed, Handle, Outcome, Resources, outcome_of


class SerialExecutor:
    """Runs calls in the order of submission, each when the driver waits for it."""

    width = 1

    def __init__(self) -> None:
        self._calls: dict[int, Callable[[], Any]] = {}
        self._submitted = 0

    def share(self, value: Any) -> Any:
        return value

    def submit(self, function: Callable[..., Any], *arguments: Any, resources: Resources) -> Handle:
        self._submitted += 1
        self._calls[self._submitted] = lambda: function(*arguments)
        return self._submitted

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        handle = min(handles)
        folder = os.getcwd()
        try:
            outcome = outcome_of(self._calls[handle])
        except KeyboardInterrupt:  # from the candidate: a run handles Ctrl-C without it
            outcome = CandidateFailed("evaluate", "KeyboardInterrupt")
        with suppress(OSError):
            os.chdir(folder)  # the candidate may have left it
        del self._calls[handle]
        return [(handle, outcome)]

    def close(self) -> None:
        self._calls.clear()
