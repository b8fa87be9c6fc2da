"""A database serves many runs, each with one driver, and may restart."""

import json
import socket
import time
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import OperationalError

from nas.core.errors import BadInput, NasError, RunLocked
from nas.core.job import Objective
from nas.loop import database
from nas.loop.controller import Controller
from nas.loop.database import Lease, PatientStorage
from nas.loop.journal import STUDY_NAME
from nas.loop.run_folder import RunFolder
from tests.jobs.command import TOY, nas, results, start, wait_for
from tests.toys import Perceptrons

JUDGED = [Objective("validation loss", "nats")]


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SETTLE_SECONDS", 0.01)


def opened(folder: Path, url: str) -> AbstractContextManager[RunFolder]:
    return RunFolder.open(folder, {"seed": 0}, JUDGED, url)


def proposal():
    sampler = optuna.samplers.RandomSampler(seed=0)
    return Controller(sampler, maximise=True).propose(Perceptrons())


def test_runs_of_one_name_have_studies_of_their_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    with opened(tmp_path / "a" / "search", url) as a, opened(tmp_path / "b" / "search", url) as b:
        assert [a.add(proposal()).number, b.add(proposal()).number] == [0, 0]
        a.add(proposal())
        assert (len(a.trials()), len(b.trials())) == (2, 1)
    with opened(tmp_path / "b" / "search", url) as b:
        assert len(b.trials()) == 1


def test_a_run_whose_database_is_gone_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with opened(run, f"sqlite:///{tmp_path / 'team.db'}") as record:
        record.write(record.add(proposal()))
    with pytest.raises(BadInput, match="no record of the run"):
        opened(run, f"sqlite:///{tmp_path / 'new.db'}").__enter__()


def test_two_searches_of_one_name_share_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    runs = [tmp_path / name / "search" for name in "ab"]
    small = ["--candidates", 6, "--survivors", 1, "--executor", "serial", "--storage", url]
    both = [start("search", *TOY, *small, "--run", run) for run in runs]
    for search in both:
        _, err = search.communicate(timeout=100)
        assert search.returncode == 0, err
    for run in runs:
        assert [record["number"] for record in results(run)] == list(range(6))
        study = optuna.load_study(study_name=(run / STUDY_NAME).read_text(), storage=url)
        assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_a_copied_folder_is_refused_while_the_first_works(tmp_path: Path) -> None:
    url, run, copy = f"sqlite:///{tmp_path / 'team.db'}", tmp_path / "run", tmp_path / "copy"
    search = ["search", *TOY, "--candidates", 6, "--survivors", 1, "--executor", "serial"]
    started = {"NAS_TOY_SECONDS": "3600", "NAS_TOY_STARTED": str(tmp_path / "started")}
    first = start(*search, "--storage", url, "--run", run, **started)
    wait_for(first, (tmp_path / "started").exists)
    copy.mkdir()
    (copy / STUDY_NAME).write_text((run / STUDY_NAME).read_text())
    second = nas(*search, "--storage", url, "--run", copy)
    assert second.returncode == 75 and second.stderr.count("\n") == 1, second.stderr
    first.kill()
    first.communicate()
    assert nas(*search, "--storage", url, "--run", run).returncode == 0  # at once: its lock is free
    assert len(results(run)) == 6


def lease_of(storage: InMemoryStorage, folder: str) -> Lease:
    return Lease(storage, 0, Path(folder))


@pytest.fixture
def storage() -> InMemoryStorage:
    storage = InMemoryStorage()
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    return storage


def test_a_lease_of_a_silent_driver_expires(storage: InMemoryStorage) -> None:
    owner = {"token": "x", "host": "elsewhere", "folder": "/f", "time": time.time() - 59}
    storage.set_study_user_attr(0, "owner", owner)
    with pytest.raises(RunLocked, match="/f on elsewhere"):
        lease_of(storage, "g").take()
    storage.set_study_user_attr(0, "owner", {**owner, "time": time.time() - 61})
    lease = lease_of(storage, "g")
    lease.take()
    assert storage.get_study_user_attrs(0)["owner"]["host"] == socket.gethostname()
    lease.release()
    assert storage.get_study_user_attrs(0)["owner"] == {}


def test_a_driver_that_wakes_up_after_another_took_its_study_stops(
    storage: InMemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = lease_of(storage, "f")
    lease.take()
    patient = PatientStorage(storage, 0, lease)
    patient.get_all_trials(0)
    storage.set_study_user_attr(0, "owner", {"token": "x", "host": "h", "folder": "/f", "time": 0})
    monkeypatch.setattr(database, "LEASE_SECONDS", -1.0)  # as if it had slept for longer
    with pytest.raises(RunLocked):
        patient.get_all_trials(0)
    lease.release()
    assert storage.get_study_user_attrs(0)["owner"]["token"] == "x"


class Restarting(InMemoryStorage):
    """A storage that is away for some calls: before or after they had their effect."""

    def __init__(self) -> None:
        super().__init__()
        self.away: list[str] = []

    def _fails(self) -> None:
        try:
            raise OperationalError("statement", {}, Exception("the database is shutting down"))
        except OperationalError as error:
            raise StorageInternalError("commit") from error

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        when = self.away.pop(0) if self.away else None
        if when == "before":
            self._fails()
        trial_id = super().create_new_trial(study_id, template_trial)
        if when == "after":
            self._fails()
        return trial_id


@pytest.mark.parametrize("away", [["before"], ["after"], ["before", "before", "after"]])
def test_a_restart_of_the_database_adds_no_trial_twice(
    tmp_path: Path, away: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(database.time, "sleep", pauses.append)
    storage = Restarting()
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    with database.owned(storage, 0, tmp_path) as patient:
        run = RunFolder(tmp_path, patient, 0)
        storage.away = away.copy()
        numbers = [run.add(proposal()).number for _ in range(3)]
        assert numbers == [0, 1, 2]
        assert len(run.trials()) == 3
    assert pauses[1:] == [0.25 * 2**i for i in range(len(away))]  # the first is the lease's


def test_a_database_that_stays_away_ends_the_run_with_one_line(
    storage: InMemoryStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", -1.0)
    away = Restarting()
    away.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    with database.owned(away, 0, tmp_path) as patient:
        away.away = ["before"]
        with pytest.raises(NasError, match=r"shutting down.*same command"):
            patient.create_new_trial(0, optuna.trial.create_trial(value=1.0))


def test_redis_is_refused_with_the_alternatives(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="postgresql://"):
        opened(tmp_path / "run", "redis://localhost").__enter__()
    assert json.dumps([p.name for p in tmp_path.iterdir()]) == "[]"
