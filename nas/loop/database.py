"""Opens studies in databases that teams share: drivers, restarts, one owner for each study."""

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import InterfaceError, OperationalError

from nas.core.errors import NasError, RunLocked
from nas.core.files import reason_of

LEASE_SECONDS = 60.0  # a driver that is silent for this long has lost its study
BEAT_SECONDS = 15.0
SETTLE_SECONDS = 0.5  # longer than a write and a read take
PATIENCE_SECONDS = 300.0  # how long a database may be away
OWNER = "owner"
AWAY = (StorageInternalError, OperationalError, InterfaceError)


def connect(url: str) -> BaseStorage:
    """Return the storage of a database URL; raises what the database's driver raises."""
    scheme, colon, rest = url.partition("://")
    if scheme.startswith("redis"):
        raise ValueError(
            "Redis is not supported: use sqlite:///FILE, postgresql://… or mysql://…, "
            "or omit --storage"
        )
    if scheme in ("postgres", "postgresql"):
        url = f"postgresql+psycopg{colon}{rest}"
    options: dict[str, Any] = {"pool_pre_ping": True}
    if scheme.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}  # seconds to wait for other writers
    try:
        return get_storage(RDBStorage(url, engine_kwargs=options))
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error
        remedy = 'pip install ".[postgres]"' if "psycopg" in str(missing) else "install it"
        raise ValueError(f"the database's driver is missing ({missing}): {remedy}") from error


@contextmanager
def owned(storage: BaseStorage, study_id: int, folder: Path) -> Iterator[BaseStorage]:
    """Own a study of a database inside; yields a storage that waits while the database restarts.

    Raises `RunLocked` while another driver owns the study.
    """
    lease = Lease(storage, study_id, folder)
    lease.take()
    try:
        yield cast(BaseStorage, PatientStorage(storage, study_id, lease))
    finally:
        lease.release()


class Lease:
    """One driver's right to a study, renewed by a thread.

    The study's attribute `owner` holds the owner's token, host, folder and latest Unix time. A
    driver takes a study that has no owner, whose owner has been silent for `LEASE_SECONDS`, or
    whose owner worked on this folder of this host: the folder's lock proves that it died.
    """

    def __init__(self, storage: BaseStorage, study_id: int, folder: Path) -> None:
        self._storage, self._study_id = storage, study_id
        self._place = {"host": socket.gethostname(), "folder": os.path.abspath(folder)}
        self._token = uuid.uuid4().hex
        self._beaten = 0.0
        self._is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def take(self) -> None:
        """Become the owner; raises `RunLocked` if another driver is."""
        owner = self._owner()
        seconds = time.time() - owner.get("time", 0.0)
        is_here = all(owner.get(key) == value for key, value in self._place.items())
        if owner and not is_here and seconds < LEASE_SECONDS:
            raise self._locked(owner)
        self._write()
        time.sleep(SETTLE_SECONDS)  # of two drivers that write now, the later one stays
        if self._owner().get("token") != self._token:
            raise self._locked(self._owner())
        self._thread.start()

    def check(self) -> None:
        """Raise `RunLocked` if the study was taken over, for example while this driver slept."""
        if time.time() - self._beaten > LEASE_SECONDS:
            self._beat()
        if self._is_lost:
            raise self._locked(self._owner())

    def release(self) -> None:
        """Give the study back, unless it is lost or the database is away."""
        self._ended.set()
        self._thread.join()
        with suppress(*AWAY):  # the lease expires
            if self._owner().get("token") == self._token:
                self._storage.set_study_user_attr(self._study_id, OWNER, {})

    def _keep(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self._is_lost:
            with suppress(*AWAY):  # `check` tries again
                self._beat()

    def _beat(self) -> None:
        if self._owner().get("token") == self._token:
            self._write()
        else:
            self._is_lost = True

    def _owner(self) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._study_id).get(OWNER) or {}

    def _write(self) -> None:
        now = time.time()
        owner = {"token": self._token, "time": now, **self._place}
        self._storage.set_study_user_attr(self._study_id, OWNER, owner)
        self._beaten = now

    def _locked(self, owner: dict[str, Any]) -> RunLocked:
        return RunLocked(
            f"{owner.get('folder')} on {owner.get('host')} is working on this run: wait for it, "
            f"or {LEASE_SECONDS:.0f} s if it died, or pass another --run"
        )


class PatientStorage:
    """A storage whose calls are repeated while its database is away, each with one effect."""

    def __init__(self, storage: BaseStorage, study_id: int, lease: Lease) -> None:
        self._storage, self._lease = storage, lease
        self._trials = len(storage.get_all_trials(study_id, deepcopy=False))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._patiently, getattr(self._storage, name))

    def create_new_trial(self, study_id: int, template: FrozenTrial) -> int:
        """Add a trial once, even if the database went away after it had stored the trial."""
        tried = False

        def create() -> int:
            nonlocal tried
            known = self._storage.get_all_trials(study_id, deepcopy=False) if tried else []
            if len(known) > self._trials:
                return known[self._trials]._trial_id
            tried = True
            return self._storage.create_new_trial(study_id, template)

        trial_id = self._patiently(create)
        self._trials += 1
        return trial_id

    def set_trial_state_values(self, trial_id: int, *values: Any) -> None:
        """Set a trial's state; a final state that is already there stays."""
        with suppress(UpdateFinishedTrialError):  # an earlier attempt did it without an answer
            self._patiently(self._storage.set_trial_state_values, trial_id, *values)

    def _patiently(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        pause, until = 0.25, time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._lease.check()
                return call(*arguments, **options)
            except AWAY as error:
                reason = _reason(error)
                if not _may_pass(error) or time.monotonic() > until:
                    raise NasError(
                        f"the storage failed ({reason}): run the same command again to continue"
                    ) from error
                if pause == 0.25:
                    print(f"nas: the storage is away ({reason}); waiting for it", file=sys.stderr)
                time.sleep(pause)
                pause = min(2 * pause, 10.0)


def _may_pass(error: BaseException) -> bool:
    return isinstance(
        error.__cause__ if isinstance(error, StorageInternalError) else error,
        OperationalError | InterfaceError,
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    original: BaseException = getattr(error, "orig", None) or error
    return reason_of(original)
