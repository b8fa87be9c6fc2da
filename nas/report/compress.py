"""What came of a compression: facts, the table, the figure of all students."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from compress.speed import Speed
from nas.files import write_atomically
from nas.record import Candidate
from nas.report.table import aligned
from nas.report.write import written


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
    """Write `compress.json` and the figure of all students."""
    write_atomically(folder / "compress.json", json.dumps(compress_facts(summary), indent=1))
    written(_figure(summary), folder / "students")


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
    """Every student: what it costs against what it keeps; those trained longest are larger."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for candidate in summary.candidates:
        if candidate.rungs and candidate.duplicate_of is None and candidate.parameters:
            axes.scatter(
                candidate.parameters,
                candidate.rungs[-1].metric,
                s=15 * len(candidate.rungs),
                color="#0072b2",
                alpha=0.6,
            )
    axes.scatter(
        summary.teacher.speed.parameters,
        summary.teacher.validation,
        marker="*",
        s=120,
        color="#d55e00",
        label="teacher",
    )
    axes.set(xscale="log", xlabel="parameters", ylabel="validation accuracy")
    axes.legend()
    return figure
