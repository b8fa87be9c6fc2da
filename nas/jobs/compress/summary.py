"""A compression as its report and its caller see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.limits import in_units
from compress.speed import Speed
from nas.core.files import read_text, undamaged
from nas.core.job import Objective
from nas.core.json_text import parse_json
from nas.jobs.compress.kept import kept_lines
from nas.loop.candidate import Candidate, candidates_in
from nas.loop.run_file import read_run_file
from nas.models.description import read_description
from nas.models.int8 import Int8

MEASURED = "measured.json"
NO_INT8 = "this run did not measure it"


@dataclass(frozen=True, slots=True)
class Network:
    """A teacher or a student as measured.

    tested: the task's metric on the test data; validation: on the data that the search could see.
    widths: the outputs of each layer, by its path.
    """

    tested: float
    validation: float
    speed: Speed
    widths: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Met:
    """The limits on costs that a student meets.

    most: by cost, see `compress.limits.UNITS`. costs: of the student.
    setting: what milliseconds are for.
    """

    most: Mapping[str, float]
    costs: Mapping[str, float]
    setting: str

    def __str__(self) -> str:
        return in_units(self.costs, self.most, self.setting, self.most)


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a compression measures at its end.

    best: the student's number. int8: the student's int8 copy, or why there is none.
    """

    best: int
    teacher: Network
    student: Network
    int8: Int8 | str = NO_INT8
    limits: Met = Met({}, {}, "")

    @property
    def compression(self) -> float:
        return self.teacher.speed.parameters / self.student.speed.parameters

    def speed_up(self, batch: int) -> float:
        """How many times faster the student is, in one thread."""
        return self.teacher.speed.milliseconds[batch] / self.student.speed.milliseconds[batch]


@dataclass(frozen=True, slots=True)
class CompressSummary:
    """A whole compression.

    folder: of the run. teacher_name: as the user named it.
    metric, higher_is_better: of the task, "accuracy" or "perplexity" for instance.
    objective: what students are ranked by.
    note: what was found of the teacher's weights and which run was resolved, "" if there is
        nothing to say.
    kept: a line for each reason why layers stay whole.
    measured: teacher and student side by side; None while the run has no student yet.
    seconds: of all drivers together. finished: False if interrupted or still running.
    """

    folder: Path
    teacher_name: str
    metric: str
    higher_is_better: bool
    objective: Objective
    note: str
    kept: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    measured: Measurements | None
    seconds: float
    finished: bool

    @property
    def student_folder(self) -> Path:
        return self.folder / "student"

    @property
    def files(self) -> dict[str, Any]:
        """What the student's files take, and which failed; empty while there are none."""
        file = self.student_folder / "architecture.json"
        told = read_description(self.student_folder) if file.exists() else {}
        return {key: told.get(key, {}) for key in ("takes", "failed")}

    @property
    def best(self) -> Candidate | None:
        """The student's record."""
        if self.measured is None:
            return None
        return next(c for c in self.candidates if c.number == self.measured.best)

    @property
    def trained(self) -> list[Candidate]:
        """The students that were trained and did not fail, without duplicates."""
        kept = (c for c in self.candidates if c.failed is None and c.duplicate_of is None)
        return [c for c in kept if c.rungs]


def read_compression(folder: Path) -> CompressSummary:
    """A compression's record, finished or not; raises `BadInput` if the folder holds no run."""
    about = read_run_file(folder)
    file, resolved = folder / MEASURED, about.settings.get("resolve")
    return CompressSummary(
        folder=folder,
        teacher_name=about.details["teacher"],
        metric=about.metric,
        higher_is_better=about.higher_is_better,
        objective=about.objective,
        note="\n".join(
            filter(None, (about.details.get("note"), resolved and f"a new target for {resolved}"))
        ),
        kept=tuple(kept_lines(map(tuple, about.details.get("kept", ())))),
        candidates=candidates_in(folder),
        measured=_read_measurements(file) if file.exists() else None,
        seconds=about.seconds,
        finished=about.finished,
    )


def _read_measurements(file: Path) -> Measurements:
    remedy = "run the same command again, which writes it"
    data = parse_json(read_text(file, remedy), str(file), remedy)
    with undamaged(file, remedy):
        return _measurements(data)


def _measurements(data: Mapping[str, Any]) -> Measurements:
    int8 = data.get("int8", NO_INT8)
    return Measurements(
        best=data["best"],
        teacher=_network(data["teacher"]),
        student=_network(data["student"]),
        int8=int8 if isinstance(int8, str) else Int8(**int8),
        limits=Met(**data["limits"]) if "limits" in data else Met({}, {}, ""),
    )


def _network(data: Mapping[str, Any]) -> Network:
    speed = dict(data["speed"])
    for name in ("milliseconds", "milliseconds_all_threads"):
        speed[name] = {int(batch): taken for batch, taken in speed[name].items()}
    return Network(data["tested"], data["validation"], Speed(**speed), data["widths"])
