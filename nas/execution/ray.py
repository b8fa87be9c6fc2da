"""Evaluates candidates on Ray's workers, on this machine or on a cluster."""

import os
import pickle
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from importlib.machinery import PathFinder
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Keep GPUs visible to calls that reserve none, because scores may use them.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray._private import ray_constants
from ray.exceptions import RayError, RayTaskError

import nas
from nas.core.errors import BadInput, NasError
from nas.core.executor import (
    CandidateFailed,
    Handle,
    MachineFailed,
    Outcome,
    Resources,
    WorkerLost,
    outcome_of,
)
from nas.core.files import reason_of
from nas.execution.ray_cleaner import RayCleaner
from nas.execution.watchdog import Watchdog

OBJECT_STORE_BYTES = 512 * 2**20
CONNECT_SECONDS = 5.0
CHECK_SECONDS, CHECKS = 1.0, 3
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


class NoRay(BadInput):
    """Raised when Ray cannot be started or joined; the message says what to do."""


class RayExecutor:
    """Starts Ray on this machine with `workers` CPUs, or joins the cluster at `address`.

    address: "host:port", "auto" for a cluster this machine belongs to, None to start Ray.
    workers: the number of calls that run at the same time; None for all CPUs.

    time_limit: seconds that one candidate may take before its worker is killed; None for no limit.

    Ray does not repeat a call whose worker dies; the driver does, and counts the attempts.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        object_store_bytes: int = OBJECT_STORE_BYTES,
        time_limit: float | None = None,
    ) -> None:
        self._joined = ray.is_initialized()
        self._cleaner: RayCleaner | None = None
        if not self._joined:
            try:
                if address is None:
                    _start(workers, object_store_bytes)
                    self._cleaner = RayCleaner(_node().get_session_dir_path())
                else:
                    _check_reachable(address)
                    _check_no_other_nas()
                    ray.init(address=address, **QUIET)
            except NoRay:
                raise
            except Exception as error:  # Ray raises plain ones, when a start takes too long
                what = f"join Ray at {address}" if address else "start Ray"
                raise NoRay(
                    f"cannot {what}: {reason_of(error)}; run `nas doctor`, or use --executor serial"
                ) from error
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self.width = workers or max(1, cpus)
        self._head = _Head(address is None and not self._joined)
        self._remote: dict[Callable[..., Any], Any] = {}
        self._time_limit = time_limit
        self._warm = [ray.remote(max_retries=0)(_import_torch).remote() for _ in range(self.width)]

    def share(self, value: Any) -> Any:
        """Put the value where workers find it; raises `BadInput` if it cannot be sent to them."""
        try:
            return ray.put(value)
        except (TypeError, pickle.PicklingError) as error:
            reason = reason_of(error.__cause__ or error)
            raise BadInput(
                f"a {type(value).__name__} cannot be sent to workers ({reason}): "
                "keep data in memory and functions at the top of a module, or use --executor serial"
            ) from None

    def submit(self, function: Callable[..., Any], *arguments: Any, resources: Resources) -> Handle:
        if function not in self._remote:
            self._remote[function] = ray.remote(max_retries=0)(_attempted(function))
        remote = self._remote[function].options(
            num_cpus=resources.cpus, num_gpus=resources.gpus or None
        )
        limit = self._time_limit and self._time_limit * resources.candidates
        return remote.remote(limit, *arguments)

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        self._head.check()
        ready, _ = ray.wait(list(handles), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(handles), num_returns=len(handles), timeout=0)
        return [(handle, _outcome(handle, self._time_limit)) for handle in ready]

    def close(self) -> None:
        if self._head.is_dead and self._cleaner:
            self._cleaner.clean()  # Ray would wait for its head first
        if not self._joined:
            ray.shutdown()
        if self._cleaner:
            self._cleaner.clean()


class RayDied(NasError):
    """Ray's head is gone, so no evaluation can end."""


class _Head:
    """Notices that Ray's head died; a minute later, Ray would end the driver without a word.

    is_ours: whether this process started Ray.
    """

    def __init__(self, is_ours: bool) -> None:
        self._is_ours = is_ours
        self._address = ray.get_runtime_context().gcs_address
        self._checked = time.monotonic()
        self._failures = 0
        self.is_dead = False

    def check(self) -> None:
        """Raise `RayDied` if the head has been gone for a few seconds."""
        if time.monotonic() - self._checked < CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        try:
            _check_reachable(self._address)
            gone = self._is_ours and _node().dead_processes()
        except OSError:
            gone = True
        self._failures = self._failures + 1 if gone else 0
        if self._failures >= CHECKS:
            self.is_dead = True
            where = "" if self._is_ours else f" at {self._address}"
            raise RayDied(f"Ray{where} died: run the same command again to continue")


def _start(workers: int | None, object_store_bytes: int) -> None:
    """Start Ray for this process alone, reachable from this machine alone."""
    _preload_nas()
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"  # listen on the loopback interface
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=object_store_bytes,
            **QUIET,
        )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = True
        del os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR]


def _node() -> Any:
    """Return the Ray processes that this process started."""
    return ray._private.worker._global_node  # type: ignore[attr-defined]


def _check_reachable(address: str) -> None:
    """Raise `OSError` if nothing listens at the address; Ray itself would retry for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _other_nas() -> str | None:
    """Return the file of another `nas` in the current folder, where workers look first."""
    found = PathFinder.find_spec("nas", [os.getcwd()])
    if found is None or found.origin is None or os.path.samefile(found.origin, nas.__file__):
        return None
    return found.origin


def _preload_nas() -> None:
    """Make workers import our `nas` before Ray puts the current folder on their path."""
    if _other_nas():
        os.environ["RAY_preload_python_modules"] = "nas"  # noqa: SIM112 Ray writes it so


def _check_no_other_nas() -> None:
    """Raise `NoRay` if the cluster's workers would import another `nas`."""
    if other := _other_nas():
        raise NoRay(
            f"the workers of a cluster would import {other} instead of the installed nas: "
            "run this command from another folder"
        )


def _import_torch() -> None:
    """Import torch, which takes seconds, on a new worker while the driver loads its data."""
    import torch  # noqa: F401


def _attempted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(limit: float | None, *arguments: Any) -> Outcome:
        if _broken:
            os._exit(1)  # the driver repeats the call on another worker
        with _watchdog().limit(limit) if limit else nullcontext():
            outcome = outcome_of(lambda: function(*arguments))
        if isinstance(outcome, MachineFailed):
            _broken.append(outcome.reason)  # for example, no call works after an error of a GPU
        return outcome

    call.__name__ = getattr(function, "__name__", "call")
    return call


_broken: list[str] = []  # the faults of this worker's machine


@cache
def _watchdog() -> Watchdog:
    """Return the watchdog of this worker."""
    return Watchdog()


def _outcome(handle: Handle, limit: float | None) -> Outcome:
    try:
        return ray.get(handle)
    except RayTaskError as error:
        return CandidateFailed("evaluate", str(error).strip().splitlines()[-1])
    except RayError as error:
        limited = f", perhaps after the limit of {limit:g} s" if limit else ""
        return WorkerLost(f"{type(error).__name__}{limited}")
