"""Adjusts proposed students to the limits: by what is predicted first, then by what is measured."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from torch import nn

from compress.latency import LatencyTable
from compress.limits import Limits
from compress.timing import using_threads
from nas.core.files import write_atomically
from nas.jobs.compress.costs import Meter
from nas.jobs.compress.students import StudentMaker
from nas.models.narrowed_files import network_of
from search_spaces.layer_removal.fitting import fitted
from search_spaces.layer_removal.space import Outline, Student

TRIES = 5  # widths that are measured for one proposal
AIM = 0.98  # share of the milliseconds that a student is made for
CLOSE = 0.96  # share of them from which on it uses what it may
ROUNDS = 3  # of timing


@dataclass
class Adjusting:
    """Makes proposed students as large as the limits allow.

    file: where the table of latencies is kept.
    correction: measured milliseconds over those that the table predicts; of the latest student.
    known: what became of earlier proposals, so that equal ones stay equal.
    """

    outline: Outline
    narrowest: int
    make: StudentMaker
    meter: Meter
    limits: Limits
    file: Path
    correction: float = 1.0
    known: dict[Student, Student] = field(default_factory=dict)

    def __call__(self, student: Student) -> Student:
        if student not in self.known:
            self.known[student] = self._adjusted(student)
        return self.known[student]

    def _adjusted(self, student: Student) -> Student:
        table, teacher = read_table(self.file), self.make.source.build(0).eval()
        limit, family = self.limits.most.get("milliseconds"), cache(self.make.family)

        @cache
        def built(student: Student) -> nn.Module:
            return family(student.removed)(dict(student.widths)).eval()

        found: Student | None = None
        within: dict[Student, float] = {}
        for _ in range(TRIES):
            before, found = found, self._fitted(student, built, table)
            if limit is None or found == before:
                break
            taken = self.meter.costs(built(found), teacher, ROUNDS)["milliseconds"]
            self.correction = taken / self._latency(built(found), table)
            if taken <= limit:
                within[found] = taken
            if CLOSE * limit <= taken <= limit:
                break
        write_table(self.file, table)
        assert found is not None
        return max(within, key=within.__getitem__, default=found)

    def _fitted(
        self, student: Student, built: Callable[[Student], nn.Module], table: LatencyTable
    ) -> Student:
        """Return the largest student that meets the limits by what is predicted."""
        most = dict(self.limits.most)
        if "milliseconds" in most:
            most["milliseconds"] *= AIM
        aimed = Limits(most)

        def meets(student: Student) -> bool:
            return aimed.are_met(self._predicted(built(student), table))

        return fitted(self.outline, student, self.narrowest, meets)

    def _predicted(self, model: nn.Module, table: LatencyTable) -> dict[str, float]:
        names = set(self.limits.most)
        costs = self.meter.exact(model, names - {"milliseconds"})
        if "milliseconds" in names:
            costs["milliseconds"] = self.correction * self._latency(model, table)
        return costs

    def _latency(self, model: nn.Module, table: LatencyTable) -> float:
        with using_threads(self.meter.threads):
            return table.milliseconds(network_of(model), self.meter.inputs)


def table_file(cache: Path) -> Path:
    """Return the file of the latencies measured on this kind of machine with this PyTorch."""
    model = [line for line in _processor() if line.startswith("model name")][:1]
    known = (platform.machine(), *model, torch.backends.cpu.get_cpu_capability(), torch.__version__)
    return cache / f"latencies-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.json"


def _processor() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else [platform.processor()]


def read_table(file: Path) -> LatencyTable:
    """Return the table of a file, an empty one where there is none."""
    try:
        times: Mapping[str, float] = json.loads(file.read_text())
    except (OSError, ValueError):  # it is a cache
        times = {}
    return LatencyTable(times)


def write_table(file: Path, table: LatencyTable) -> None:
    if table.times:
        write_atomically(file, json.dumps(table.times, indent=0))
