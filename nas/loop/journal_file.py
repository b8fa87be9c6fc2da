"""The file of a run's Optuna record, which one driver reads once and then only appends to."""

import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from nas.core.errors import NasError
from nas.core.memory import many_objects

Log = dict[str, Any]


class RunJournal(BaseJournalBackend):
    """Optuna's journal in a file that no other process writes: the run's lock sees to that.

    It keeps the file open, reads nothing back, and can append many logs with one write. It records
    when each evaluation actually ended: Optuna records the time at which a trial gets its final
    state, but a run sets all final states at its end.
    """

    ended: float | None = None  # Unix time of the trial that is being finished

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            repair_journal(path)
        self._file = path.open("ab+")
        self._is_read = False
        self._unread: deque[Log] = deque()  # logs that the storage has appended but not read
        self._pending: list[Log] = []  # logs that are not in the file yet
        self._collects = False

    def read_logs(self, log_number_from: int) -> Iterator[Log]:
        """Yield the logs that were not yielded before."""
        if not self._is_read:
            self._is_read = True
            self._file.seek(0)
            yield from map(json.loads, self._file)
        while self._unread:
            yield self._unread.popleft()

    def append_logs(self, logs: Sequence[Log]) -> None:
        if self.ended is not None:
            time = datetime.fromtimestamp(self.ended, UTC).isoformat(timespec="microseconds")
            logs = [
                {**log, "datetime_complete": time} if "datetime_complete" in log else log
                for log in logs
            ]
        self._unread += logs
        self._pending += logs
        if not self._collects:
            self._write()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is appended inside at once, at the end."""
        self._collects = True
        try:
            yield
        finally:
            self._collects = False
            self._write()

    def close(self) -> None:
        self._file.close()

    def _write(self) -> None:
        """Append the pending logs to the file, on the disk."""
        if not self._pending:
            return
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise NasError(f"{self._path} was deleted while nas was working on the run")
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in self._pending]
        self._pending = []
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())


class RunStorage(JournalStorage):
    """The storage of a run's journal; equal distributions of all trials are one object."""

    def __init__(self, journal: RunJournal) -> None:
        with many_objects():
            super().__init__(journal)
        self.journal = journal
        self._distributions: dict[BaseDistribution, BaseDistribution] = {}
        for study in self.get_all_studies():
            for trial in self.get_all_trials(study._study_id, deepcopy=False):
                self._share(trial)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._share(self.get_trial(trial_id))
        return trial_id

    def _share(self, trial: FrozenTrial) -> None:
        known = self._distributions
        trial.distributions = {n: known.setdefault(d, d) for n, d in trial.distributions.items()}


def repair_journal(path: Path) -> int:
    """Cut off an incomplete last line, left by a killed driver; returns the bytes cut.

    Optuna would append to such a line and make the study unreadable.
    """
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole
