"""The interface of executors: submit a function call, wait for its outcome."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Handle = Any  # an executor's own token for a submitted call


@dataclass(frozen=True, slots=True)
class Resources:
    """The CPUs and GPUs that one call needs."""

    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The call returned a value."""

    value: Any


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """The candidate could not be evaluated. This is a result, not an error of the run.

    stage: "build", "score" or "train".
    """

    stage: str
    reason: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker died, perhaps because of the candidate."""

    reason: str


Outcome = Done | CandidateFailed | WorkerLost


class Executor(Protocol):
    """Runs function calls, in this process or on other machines.

    width: the number of calls that run at the same time.
    """

    width: int

    def share(self, value: Any) -> Any:
        """Return a token for a large value; a call that gets the token receives the value."""
        ...

    def submit(
        self, function: Callable[..., Any], *arguments: Any, resources: Resources
    ) -> Handle: ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        """Return the outcomes of the calls that have ended, waiting at most `seconds`.

        The list is empty if no call has ended.
        """
        ...

    def close(self) -> None: ...


def attempt(stage: str, function: Callable[[], T]) -> T | CandidateFailed:
    """Return the function's value, or `CandidateFailed` if it raises.

    A candidate can run arbitrary code, so no exception from it may end the search.
    """
    started = time.perf_counter()
    try:
        return function()
    except Exception as error:
        text = str(error).strip().splitlines()
        reason = text[0] if text else type(error).__name__
        if isinstance(error, MemoryError) or "out of memory" in reason.lower():
            reason = "out of memory"
        elif not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        return CandidateFailed(stage, reason, time.perf_counter() - started)
