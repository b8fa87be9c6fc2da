"""Opens and repairs Optuna's record of a run."""

import contextlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from nas.core.errors import BadInput
from nas.core.job import Objective

JOURNAL = "study.journal"


def open_study(
    folder: Path,
    identity: Mapping[str, Any],
    objectives: Sequence[Objective],
    url: str | None,
) -> tuple[BaseStorage, int]:
    """Open or create a run's study; returns its storage and the study's id.

    identity: what must stay the same for the run to continue.
    objectives: what candidates are judged by; the names and directions of the study's values.
    url: an Optuna storage URL; None for a journal in the folder.
    Raises `BadInput` if the storage cannot be opened or the identity differs.
    """
    try:
        storage = get_storage(url) if url else _file_storage(folder / JOURNAL)
        study = optuna.create_study(
            storage=storage,
            study_name=folder.name,
            directions=["maximize" if o.higher_is_better else "minimize" for o in objectives],
            load_if_exists=True,
        )
    except Exception as error:
        reason = str(error).splitlines()[0]
        where = url or folder / JOURNAL
        raise BadInput(f"cannot open the storage {where}: {reason}") from error
    kept = study.user_attrs.get("identity")
    if kept is None:
        study.set_user_attr("identity", dict(identity))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([objective.name for objective in objectives])
    elif kept != identity:
        raise BadInput(f"{folder} holds a different run: {_difference(kept, identity)}")
    return storage, storage.get_study_id_from_name(folder.name)


class RunJournal(JournalFileBackend):
    """A journal file that records when each evaluation actually ended.

    Optuna records the time at which a trial gets its final state, but a run sets all final
    states at its end.
    """

    ended: float | None = None  # Unix time of the trial that is being finished

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self.ended is not None:
            time = datetime.fromtimestamp(self.ended, UTC).isoformat(timespec="microseconds")
            logs = [
                {**log, "datetime_complete": time} if "datetime_complete" in log else log
                for log in logs
            ]
        super().append_logs(logs)


class RunStorage(JournalStorage):
    """The storage of a run's journal."""

    def __init__(self, journal: RunJournal) -> None:
        super().__init__(journal)
        self.journal = journal


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


def repair_journal(path: Path) -> int:
    """Cut off an incomplete last line, left by a killed driver; returns the bytes cut.

    Optuna would append to such a line and make the study unreadable.
    """
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole


def _file_storage(path: Path) -> RunStorage:
    if path.exists():
        repair_journal(path)
    lock = JournalFileOpenLock(str(path))
    # The caller has locked the run, so any lock on its journal comes from a driver that died.
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{path}.lock")
    return RunStorage(RunJournal(str(path), lock_obj=lock))


def _difference(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return a message about the settings that have changed."""
    changed = [
        f"{name} was {json.dumps(kept.get(name))} and is now {json.dumps(wanted.get(name))}"
        for name in sorted({*kept, *wanted})
        if kept.get(name) != wanted.get(name)
    ]
    return "; ".join(changed) + ": pass another folder with --run, or restore the setting"
