"""Where candidates are evaluated: submit a function, wait for what came of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Handle = Any  # an executor's own token for a submitted call


@dataclass(frozen=True, slots=True)
class Resources:
    """What one call needs."""

    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The call returned a value."""

    value: Any


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """The candidate cannot be evaluated: a result like any other.

    stage: "build", "score" or "train".
    """

    stage: str
    reason: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker died; the candidate may or may not be the cause."""

    reason: str


Outcome = Done | CandidateFailed | WorkerLost


class Executor(Protocol):
    """Runs functions of their arguments, here or elsewhere.

    width: how many calls run at the same time.
    """

    width: int

    def share(self, value: Any) -> Any:
        """A token for a large value; passed as an argument it arrives as the value."""
        ...

    def submit(
        self, function: Callable[..., Any], *arguments: Any, resources: Resources
    ) -> Handle: ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        """Outcomes of those calls that have ended; returns after `seconds` at the latest,
        with an empty list if none has."""
        ...

    def close(self) -> None: ...


def attempt(stage: str, function: Callable[[], T]) -> T | CandidateFailed:
    """The function's value, or `CandidateFailed` when it raises.

    A candidate may run anybody's code, so that nothing it raises may end the search.
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
