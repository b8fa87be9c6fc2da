"""The interface of executors: submit a function call, wait for its outcome."""

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from nas.core.errors import NasError

T = TypeVar("T")
Handle = Any  # an executor's own token for a submitted call

LONGEST_REASON = 500  # characters
MACHINE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EREMOTEIO),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENODEV, errno.ENETDOWN, errno.ETIMEDOUT),
}


@dataclass(frozen=True, slots=True)
class Resources:
    """The CPUs and GPUs that one call needs; `candidates` share its time limit's multiple."""

    cpus: float = 1
    gpus: float = 0
    candidates: int = 1


@dataclass(frozen=True, slots=True)
class Done:
    """The call returned a value."""

    value: Any


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """The candidate could not be evaluated. This is a result, not an error of the run.

    stage: "build", "score" or "train". reason: is cut to one printable line.
    """

    stage: str
    reason: str
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _one_line(self.reason))

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker died, perhaps because of the candidate."""

    reason: str


@dataclass(frozen=True, slots=True)
class MachineFailed:
    """The machine could not evaluate the candidate, through no fault of the candidate."""

    reason: str


Outcome = Done | CandidateFailed | WorkerLost | MachineFailed


class MachineFault(NasError):
    """The machine failed: a full disk, a broken GPU, too many open files …"""


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
    Raises `MachineFault` for an error of the machine.
    """
    started = time.perf_counter()
    try:
        return function()
    except MachineFault:
        raise
    except (Exception, SystemExit) as error:
        reason = _said(error)
        if _is_of_the_machine(error, reason):
            raise MachineFault(_one_line(f"{type(error).__name__}: {reason}")) from error
        if isinstance(error, MemoryError) or "out of memory" in reason.lower():
            reason = "out of memory"
        elif not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        return CandidateFailed(stage, reason, time.perf_counter() - started)


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """Return the outcome of a call in this process."""
    try:
        value = attempt("evaluate", call)
    except MachineFault as fault:
        return MachineFailed(str(fault))
    return value if isinstance(value, CandidateFailed) else Done(value)


def _is_of_the_machine(error: BaseException, reason: str) -> bool:
    """Whether an error can go away on another machine, or later."""
    if isinstance(error, OSError):
        return error.errno in MACHINE_ERRORS
    broken_gpu = reason.startswith("CUDA error") and "device-side assert" not in reason
    return broken_gpu and "out of memory" not in reason


def _said(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type."""
    try:
        lines = str(error)[: 10 * LONGEST_REASON].strip().splitlines()
    except Exception:
        lines = []
    return lines[0] if lines else type(error).__name__


def _one_line(text: str) -> str:
    """Return text as one line of printable characters that any file can hold."""
    cut = text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)
