"""Evaluates candidates one after another in a child process, which may crash or hang."""

import ctypes
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from nas.core.errors import BadInput
from nas.core.executor import (
    CandidateFailed,
    Handle,
    MachineFailed,
    MachineFault,
    Outcome,
    Resources,
    WorkerLost,
    outcome_of,
)
from nas.core.files import reason_of

PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import nas
from nas.execution.isolated import serve
serve(int(sys.argv[2]), int(sys.argv[3]))
"""
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


class Shared(NamedTuple):
    """Stands for a shared value in the arguments of a call."""

    token: int


class Call(NamedTuple):
    """What the child evaluates."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class IsolatedExecutor:
    """Runs calls in the order of submission in one child process, which is replaced if it dies.

    time_limit: seconds that one candidate may take before the child is killed; None for no limit.
    """

    width = 1

    def __init__(self, time_limit: float | None = None) -> None:
        self._time_limit = time_limit
        self._shared: list[bytes] = []
        self._sent = 0  # shared values that the child has
        self._calls: dict[int, tuple[bytes, float | None]] = {}
        self._submitted = 0
        self._running: int | None = None
        self._until: float | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def share(self, value: Any) -> Any:
        """Keep the value for the child; raises `BadInput` if it cannot be sent."""
        self._shared.append(_pickled(value))
        return Shared(len(self._shared) - 1)

    def submit(self, function: Callable[..., Any], *arguments: Any, resources: Resources) -> Handle:
        limit = self._time_limit and self._time_limit * resources.candidates
        self._submitted += 1
        self._calls[self._submitted] = pickle.dumps(Call(function, arguments)), limit
        return self._submitted

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        if self._running is None:
            self._start(min(handles))
        outcome = self._outcome(seconds)
        if outcome is None:
            return []
        if isinstance(outcome, WorkerLost | MachineFailed):
            self._kill()  # a machine fault can leave a broken process, for example on a GPU
        handle, self._running = self._running, None
        return [(handle, outcome)]

    def close(self) -> None:
        self._kill()
        self._calls.clear()

    def _start(self, handle: int) -> None:
        if self._child is None:
            self._spawn()
        self._send_shared()
        self._running = handle
        call, limit = self._calls.pop(handle)
        assert self._connection is not None
        self._until = None if limit is None else time.monotonic() + limit
        with suppress(OSError):  # if the child died, `_outcome` finds out
            self._connection.send_bytes(call)

    def _outcome(self, seconds: float) -> Outcome | None:
        """Return the outcome of the running call; None if it needs more than some seconds."""
        assert self._connection is not None and self._child is not None
        left = seconds if self._until is None else self._until - time.monotonic()
        try:
            if self._connection.poll(max(0.0, min(seconds, left))):
                return pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            code = self._child.wait()
            return WorkerLost(f"exit code {code}" if code >= 0 else signal.Signals(-code).name)
        if self._until is not None and time.monotonic() > self._until:
            return WorkerLost("the time limit was exceeded")
        return None

    def _spawn(self) -> None:
        self._connection, theirs = Pipe()
        end = theirs.fileno()
        command = [sys.executable, "-c", PROGRAM, json.dumps(sys.path), str(end), str(os.getpid())]
        self._child = subprocess.Popen(command, pass_fds=[end], stdin=subprocess.DEVNULL)
        self._sent = 0
        theirs.close()

    def _send_shared(self) -> None:
        """Send new shared values; returns when the child has imported what they need.

        Time limits begin after that.
        """
        assert self._connection is not None
        try:
            while self._sent < len(self._shared):
                self._connection.send_bytes(self._shared[self._sent])
                self._connection.recv_bytes()
                self._sent += 1
        except (EOFError, OSError):
            raise MachineFault("the process that evaluates candidates did not start") from None

    def _kill(self) -> None:
        if self._child is not None and self._connection is not None:
            self._child.kill()
            self._child.wait()
            self._connection.close()
        self._child = self._connection = None


def serve(descriptor: int, driver: int) -> None:
    """Evaluate the calls that arrive on a connection; runs in the child of this driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver, which decides
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != driver:
        os._exit(0)  # it died before that
    connection, shared = Connection(descriptor), []
    while True:
        try:
            message = pickle.loads(connection.recv_bytes())
        except EOFError:
            os._exit(0)
        if isinstance(message, Call):
            connection.send_bytes(_answer(message, shared))
        else:
            shared.append(message)
            connection.send_bytes(b"ready")


def _answer(call: Call, shared: list[Any]) -> bytes:
    given = [shared[a.token] if isinstance(a, Shared) else a for a in call.arguments]
    try:
        return pickle.dumps(outcome_of(lambda: call.function(*given)))
    except KeyboardInterrupt:  # from the candidate: the child ignores Ctrl-C
        return pickle.dumps(CandidateFailed("evaluate", "KeyboardInterrupt"))
    except Exception as error:
        return pickle.dumps(CandidateFailed("evaluate", f"its result cannot be sent: {error}"))


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        pickle.Pickler(buffer).dump(value)
    except Exception as error:
        raise BadInput(
            f"a {type(value).__name__} cannot be sent to another process ({reason_of(error)}): "
            "keep data in memory and functions at the top of a module, or omit isolate and "
            "time_limit"
        ) from None
    return buffer.getvalue()
