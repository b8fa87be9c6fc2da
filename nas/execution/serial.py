"""Evaluates candidates one after another in this process."""

from collections.abc import Callable, Sequence
from typing import Any

from nas.core.executor import CandidateFailed, Done, Handle, Outcome, Resources, attempt


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
        value = attempt("evaluate", self._calls[handle])
        del self._calls[handle]
        outcome = value if isinstance(value, CandidateFailed) else Done(value)
        return [(handle, outcome)]

    def close(self) -> None:
        self._calls.clear()
