"""What came of a compression: facts, the table, the figure of all students."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from compress.speed import Speed
from nas.files import write_atomically
from nas.record import Candidate
from nas.reporting.table import aligned
from nas.reporting.write import written
from search_spaces.layer_removal.space import student_of


@dataclass(frozen=True, slots=True)
class Network:
    """accuracy: on the test data. validation: on those that the search could see."""

    accuracy: float
    validation: float
    speed: Speed


@dataclass(frozen=True, slots=True)
class CompressSummary:
    """subject: the teacher's name. path: of the student's folder. best: the student's record."""

    name: str
    subject: str
    teacher: Network
    student: Network
    path: str
    best: Candidate
    candidates: tuple[Candidate, ...]
    seconds: float

    @property
    def compression(self) -> float:
        return self.teacher.speed.parameters / self.student.speed.parameters

    def speed_up(self, batch: int) -> float:
        """How many times faster the student is, in one thread."""
        return self.teacher.speed.milliseconds[batch] / self.student.speed.milliseconds[batch]


def compress_facts(summary: CompressSummary) -> dict[str, Any]:
    """What `nas compress --json` prints."""
    trained = [c for c in summary.candidates if c.rungs and c.duplicate_of is None]
    return {
        "run": summary.name,
        "teacher": _facts(summary.teacher),
        "student": {
            **_facts(summary.student),
            "path": summary.path,
            "digest": summary.best.digest,
        },
        "compression": summary.compression,
        "speed_up_batch_1": summary.speed_up(1),
        "speed_up_batch_64": summary.speed_up(64),
        "students_trained": len(trained),
        "seconds": summary.seconds,
    }


def compress_table(summary: CompressSummary) -> str:
    """The conclusion in a line, then teacher beside student; fits 80 columns."""
    facts = [_facts(network) for network in (summary.teacher, summary.student)]
    rows = [[key, *(f"{f[key]:.5g}" for f in facts)] for key in facts[0]]
    return "\n".join([headline(summary), "", *aligned([["", "teacher", "student"], *rows])])


def headline(summary: CompressSummary) -> str:
    """What was gained and lost; that it is not faster comes first."""
    slower = min(summary.speed_up(1), summary.speed_up(64)) < 1
    points = 100 * (summary.student.accuracy - summary.teacher.accuracy)
    gained = (
        f"{summary.subject}: {summary.compression:.1f} times fewer parameters, "
        f"{summary.speed_up(1):.2f} and {summary.speed_up(64):.2f} times faster at batch 1 and 64, "
        f"{points:+.1f} points of test accuracy"
    )
    return f"NOT FASTER. {gained}" if slower else gained


def write_compress_report(summary: CompressSummary, folder: Path) -> None:
    """Write `compress.json`, the figure of all students, and a card beside the student."""
    write_atomically(folder / "compress.json", json.dumps(compress_facts(summary), indent=1))
    write_atomically(Path(summary.path) / "README.md", card(summary))
    written(_figure(summary), folder / "students")


def card(summary: CompressSummary) -> str:
    """What whoever gets the student should know of it."""
    removed, widths = student_of(summary.best.architecture)
    return "\n".join(
        [
            f"# {summary.subject}, compressed",
            "",
            f"Removed: {', '.join(removed) or 'nothing'}.",
            f"Narrowed to: {', '.join(f'{path} {width}' for path, width in widths) or 'nothing'}.",
            "",
            "`model.pt2` needs PyTorch alone: `torch.export.load(...).module()(inputs)`;",
            "`model.safetensors` and `architecture.json` are read by",
            "`nas.compressing.student_files`.",
            "",
            "```",
            compress_table(summary),
            "```",
            "",
        ]
    )


def _facts(network: Network) -> dict[str, float]:
    speed = network.speed
    return {
        "accuracy": network.accuracy,
        "validation": network.validation,
        "parameters": speed.parameters,
        "bytes": speed.bytes,
        "peak_bytes": speed.peak_bytes,
        "milliseconds_batch_1": speed.milliseconds[1],
        "milliseconds_batch_64": speed.milliseconds[64],
        "milliseconds_batch_1_all_threads": speed.milliseconds_all_threads[1],
        "milliseconds_batch_64_all_threads": speed.milliseconds_all_threads[64],
    }


def _figure(summary: CompressSummary) -> Figure:
    """Every student: what it costs against what it keeps, larger the longer it was trained; and
    the rewards in the course of the search."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    students, course = figure.subplots(1, 2)
    trained = [c for c in summary.candidates if c.rungs and c.duplicate_of is None]
    students.scatter(
        [float(c.parameters or 0) for c in trained],
        [c.rungs[-1].metric for c in trained],
        s=[15.0 * len(c.rungs) for c in trained],
        color="#0072b2",
        alpha=0.6,
    )
    teacher = summary.teacher
    students.scatter(
        teacher.speed.parameters, teacher.validation, marker="*", s=120, color="#d55e00"
    )
    students.annotate(
        "teacher ",
        (teacher.speed.parameters, teacher.validation),
        ha="right",
        va="bottom",
    )
    students.set(xscale="log", xlabel="parameters", ylabel="validation accuracy")
    students.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    students.xaxis.set_major_formatter(EngFormatter(sep=""))
    students.xaxis.set_minor_formatter(NullFormatter())
    course.plot([c.number for c in trained], [-c.rungs[0].loss for c in trained], ".")
    course.set(xlabel="student", ylabel="reward after the first rung")
    return figure
