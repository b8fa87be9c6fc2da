"""Candidates that hang, exit or crash cost their own evaluation; machines that fail cost none."""

import ctypes
import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from nas.core.executor import (
    CandidateFailed,
    Done,
    MachineFailed,
    MachineFault,
    Resources,
    WorkerLost,
    attempt,
    outcome_of,
)
from nas.execution.isolated import IsolatedExecutor
from nas.execution.ray import NoRay, RayExecutor
from nas.execution.serial import SerialExecutor
from nas.loop.calls import Call, Calls
from nas.loop.candidate import Candidate
from search_spaces.architecture import Architecture
from tests.jobs.test_forked import ps_field
from tests.loop.instant import InstantJob


def stops() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def holds_the_lock() -> None:
    ctypes.PyDLL(None).sleep(3600)  # PyDLL keeps the interpreter's lock


def exits() -> None:
    os._exit(3)


def crashes() -> None:
    ctypes.string_at(0)


def leaves() -> None:
    sys.exit(3)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def adds(a: int, b: int) -> int:
    return a + b


def outcome(executor, function, *arguments):
    handle = executor.submit(function, *arguments, resources=Resources())
    while not (found := executor.wait([handle], 0.2)):
        pass
    return found[0][1]


@pytest.fixture(scope="module")
def isolated():
    executor = IsolatedExecutor(time_limit=1.0)
    executor.share(adds)  # lets the child import this module
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def ray():
    executor = RayExecutor(1, time_limit=1.0)
    yield executor
    executor.close()


EXECUTORS = ["isolated", pytest.param("ray", marks=pytest.mark.ray)]


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("function", [stops, holds_the_lock, exits, crashes])
def test_a_candidate_that_hangs_or_crashes_loses_its_worker_and_no_other_call(
    name: str, function, request: pytest.FixtureRequest
) -> None:
    executor = request.getfixturevalue(name)
    began = time.monotonic()
    assert isinstance(outcome(executor, function), WorkerLost)
    assert time.monotonic() - began < 60
    assert outcome(executor, adds, 1, executor.share(2)) == Done(3)


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_exit_fails_and_a_full_disk_is_the_machines_fault(
    name: str, request: pytest.FixtureRequest
) -> None:
    executor = request.getfixturevalue(name)
    assert outcome(executor, leaves) == CandidateFailed(
        "evaluate", "SystemExit: 3", pytest.approx(0, abs=5)
    )
    failed = outcome(executor, full_disk)
    assert isinstance(failed, MachineFailed) and "No space left" in failed.reason


def test_the_reason_of_a_lost_child_names_the_signal_or_the_limit(isolated) -> None:
    assert outcome(isolated, exits) == WorkerLost("exit code 3")
    assert outcome(isolated, crashes) == WorkerLost("SIGSEGV")
    assert outcome(isolated, stops) == WorkerLost("the time limit was exceeded")


def test_a_candidate_in_the_drivers_process_changes_neither_its_folder_nor_its_life() -> None:
    def changes_folder() -> None:
        os.chdir("/")
        raise KeyboardInterrupt

    before = os.getcwd()
    assert isinstance(outcome(SerialExecutor(), changes_folder), CandidateFailed)
    assert isinstance(outcome(SerialExecutor(), leaves), CandidateFailed)
    assert os.getcwd() == before


def test_a_reason_is_one_short_printable_line() -> None:
    def raises() -> None:
        raise RuntimeError("bad \udcff \x00 " + "y" * 50_000_000)

    failed = attempt("score", raises)
    assert isinstance(failed, CandidateFailed)
    assert failed.reason.startswith("RuntimeError: bad \N{REPLACEMENT CHARACTER} ")
    assert len(failed.reason) <= 500 and failed.reason.isprintable()


@pytest.mark.parametrize(
    ("error", "is_of_the_machine"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EMFILE, "too many open files"), True),
        (FileNotFoundError(errno.ENOENT, "weights.pt"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
    ],
)
def test_faults_of_the_machine_are_told_from_those_of_the_candidate(
    error: Exception, is_of_the_machine: bool
) -> None:
    def raises() -> None:
        raise error

    assert isinstance(outcome_of(raises), MachineFailed) is is_of_the_machine


class Broken(SerialExecutor):
    """A machine that fails some evaluations."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def wait(self, handles, seconds):
        found = super().wait(handles, seconds)
        self.failures -= 1
        return [(found[0][0], MachineFailed("full disk"))] if self.failures >= 0 else found


def calls_on(executor: SerialExecutor) -> Calls:
    def candidate(number: int) -> Candidate:
        return Candidate(number, Architecture("perceptrons", (4, number)))

    known = lambda number, until: None  # noqa: E731
    return Calls(executor, InstantJob(), candidate, str.encode, known, False, 4, Resources())


def test_a_call_that_the_machine_failed_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.loop.calls.LONGEST_PAUSE", 0.0)
    calls, found = calls_on(Broken(7)), []
    calls.submit(Call((0, 1)))
    while len(found) < 2:
        calls.submit_lost()
        found += calls.results()
    assert [number for number, _ in found] == [0, 1]
    assert not any(isinstance(result, CandidateFailed) for _, result in found)


def test_a_machine_that_fails_every_call_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.loop.calls.LONGEST_PAUSE", 0.0)
    calls = calls_on(Broken(99))
    calls.submit(Call((0, 1)))
    with pytest.raises(MachineFault, match=r"8 evaluations in a row.*full disk.*again"):
        while True:
            calls.submit_lost()
            list(calls.results())


def test_a_child_ends_with_its_driver(tmp_path: Path) -> None:
    driver = os.fork()
    if driver == 0:
        executor = IsolatedExecutor()
        handle = executor.submit(stops, resources=Resources())
        executor.wait([handle], 0)
        (tmp_path / "child").write_text(str(executor._child.pid))  # type: ignore[union-attr]
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(driver, 0)
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 20
    while ps_field("stat", child).strip("Z<+sl"):
        assert time.monotonic() < until, "the child outlives the driver"
        time.sleep(0.05)


def test_a_ray_that_starts_too_slowly_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed_out(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", timed_out)
    with pytest.raises(NoRay, match="cannot start Ray: The current node timed out during startup"):
        RayExecutor(1)
