"""Opens Optuna's record of a run: a journal in its folder, or a study in a database."""

import contextlib
import json
import secrets
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from nas.core.errors import BadInput
from nas.core.files import reason_of, write_atomically
from nas.core.job import Objective
from nas.loop.journal_file import RunJournal, RunStorage

JOURNAL = "study.journal"
STUDY_NAME = "study.name"


@contextlib.contextmanager
def open_study(
    folder: Path,
    identity: Mapping[str, Any],
    objectives: Sequence[Objective],
    url: str | None,
) -> Iterator[tuple[BaseStorage, int]]:
    """Open or create a run's study; yields its storage and the study's id.

    identity: what must stay the same for the run to continue.
    objectives: what candidates are judged by; the names and directions of the study's values.
    url: an Optuna storage URL; None for a journal in the folder.
    Raises `BadInput` if the storage cannot be opened, has lost the run, or the identity differs,
    and `RunLocked` while another driver works on the study.
    """
    storage, study = _opened(folder, objectives, url)
    study_id = storage.get_study_id_from_name(study.study_name)
    try:
        _check(study, identity, objectives, folder, url)
        if url is None:
            yield storage, study_id
            return
        from nas.loop.database import owned

        with owned(storage, study_id, folder) as patient:
            yield patient, study_id
    finally:
        if isinstance(storage, RunStorage):
            storage.journal.close()


def _check(
    study: optuna.Study,
    identity: Mapping[str, Any],
    objectives: Sequence[Objective],
    folder: Path,
    url: str | None,
) -> None:
    """Raise `BadInput` if the study is not this run's; a new one becomes it."""
    kept = study.user_attrs.get("identity")
    if kept is not None and kept != identity:
        raise BadInput(f"{folder} holds a different run: {_difference(kept, identity)}")
    if kept is None:
        if any((folder / "trials").glob("*/result.json")):
            raise BadInput(
                f"{folder} has results, but {_where(folder, url)} has no record of the run: pass "
                "the --storage of the earlier command, or another folder with --run"
            )
        study.set_user_attr("identity", dict(identity))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([objective.name for objective in objectives])


def _opened(
    folder: Path, objectives: Sequence[Objective], url: str | None
) -> tuple[BaseStorage, optuna.Study]:
    try:
        storage = _database(url) if url else RunStorage(RunJournal(folder / JOURNAL))
        study = optuna.create_study(
            storage=storage,
            study_name=_study_name(folder, storage, url),
            directions=["maximize" if o.higher_is_better else "minimize" for o in objectives],
            load_if_exists=True,
        )
    except Exception as error:
        raise BadInput(
            f"cannot open the storage {_where(folder, url)}: {reason_of(error)}"
        ) from error
    return storage, study


def _where(folder: Path, url: str | None) -> str:
    return url or str(folder / JOURNAL)


def _database(url: str) -> BaseStorage:
    """Connect, trying again if another driver creates the tables at the same moment."""
    from nas.loop.database import connect  # imports sqlalchemy

    for pause in (0.5, 1.0):
        try:
            return connect(url)
        except ValueError:
            raise
        except Exception:
            time.sleep(pause)
    return connect(url)


def _study_name(folder: Path, storage: BaseStorage, url: str | None) -> str:
    """Return the name of a run's study.

    A folder's journal holds one study. In a database, studies of many runs live side by side, so
    the name has a random part, which the folder keeps in `study.name`.
    """
    if url is None:
        return next((study.study_name for study in storage.get_all_studies()), folder.name)
    kept = folder / STUDY_NAME
    if not kept.exists():
        write_atomically(kept, f"{folder.name}-{secrets.token_hex(4)}")
    return kept.read_text()


@contextlib.contextmanager
def ended_at(storage: BaseStorage, ended: float | None):
    """Record this Unix time for trials finished inside; databases record the current time."""
    if not isinstance(storage, RunStorage):
        yield
        return
    storage.journal.ended = ended
    try:
        yield
    finally:
        storage.journal.ended = None


@contextlib.contextmanager
def together(storage: BaseStorage) -> Iterator[None]:
    """Write what is recorded inside with one write to the disk; a database writes each at once."""
    with (
        storage.journal.together() if isinstance(storage, RunStorage) else contextlib.nullcontext()
    ):
        yield


def _difference(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return a message about the settings that have changed."""
    changed = [
        f"{name} was {json.dumps(kept.get(name))} and is now {json.dumps(wanted.get(name))}"
        for name in sorted({*kept, *wanted})
        if kept.get(name) != wanted.get(name)
    ]
    return "; ".join(changed) + ": pass another folder with --run, or restore the setting"
