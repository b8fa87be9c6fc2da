"""What came of a compression: facts, the table, the figure of all students."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from compress.speed import Speed
from nas.core.files import write_atomically
from nas.loop.candidate import Candidate
from nas.reporting.figure import BLUE, ORANGE
from nas.reporting.report import Report, write_report_files
from nas.reporting.table import aligned
from search_spaces.layer_removal.space import student_of

PALE = "#cccccc"


@dataclass(frozen=True, slots=True)
class Network:
    """tested: the task's metric on the test data; validation: on those that the search could see.
    widths: the outputs of each layer, by its path."""

    tested: float
    validation: float
    speed: Speed
    widths: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CompressSummary:
    """teacher_name: the teacher's name. metric: the task's, "accuracy" or "perplexity".
    path: of the student's folder. best: the student's record."""

    name: str
    teacher_name: str
    metric: str
    higher_is_better: bool
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
        "teacher": _facts(summary, summary.teacher),
        "student": {
            **_facts(summary, summary.student),
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
    facts = [_facts(summary, network) for network in (summary.teacher, summary.student)]
    rows = [[key, *(_shown(f[key]) for f in facts)] for key in facts[0]]
    return "\n".join([headline(summary), "", *aligned([["", "teacher", "student"], *rows])])


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def headline(summary: CompressSummary) -> str:
    """What was gained and lost; that it is not faster comes first."""
    slower = min(summary.speed_up(1), summary.speed_up(64)) < 1
    before, after = summary.teacher.tested, summary.student.tested
    lost = (
        f"{100 * (after - before):+.1f} points of test accuracy"
        if summary.metric == "accuracy"
        else f"test {summary.metric} {before:.4g} → {after:.4g}"
    )
    gained = (
        f"{summary.teacher_name}: {summary.compression:.1f} times fewer parameters, "
        f"{summary.speed_up(1):.2f} and {summary.speed_up(64):.2f} times faster at batch 1 and 64, "
        f"{lost}"
    )
    return f"NOT FASTER. {gained}" if slower else gained


def write_compress_report(summary: CompressSummary, folder: Path) -> None:
    """The page, its figures, a row for each student, and a card beside the chosen one."""
    write_atomically(Path(summary.path) / "README.md", card(summary))
    outcome = Report(
        text=compress_table(summary),
        facts=compress_facts(summary),
        figures={
            "students": (
                "All students, larger the longer they were trained; and their rewards",
                students_figure(summary),
            ),
            "layers": ("Teacher and student, layer by layer", layers_figure(summary)),
        },
        rows=_student_rows(summary),
    )
    write_report_files(outcome, summary.name, folder)


def _student_rows(summary: CompressSummary) -> list[list[object]]:
    head: list[object] = [
        "#",
        "digest",
        "parameters",
        "steps",
        "validation accuracy",
        "reward",
        "failed",
    ]
    rows = [
        [
            c.number,
            c.digest,
            c.parameters,
            c.rungs[-1].step if c.rungs else None,
            c.rungs[-1].metric if c.rungs else None,
            c.measures.get("reward"),
            c.failed,
        ]
        for c in summary.candidates
    ]
    return [head, *rows]


def card(summary: CompressSummary) -> str:
    """What whoever gets the student should know of it."""
    removed, widths = student_of(summary.best.architecture)
    return "\n".join(
        [
            f"# {summary.teacher_name}, compressed",
            "",
            f"Removed: {', '.join(removed) or 'nothing'}.",
            f"Narrowed to: {', '.join(f'{path} {width}' for path, width in widths) or 'nothing'}.",
            "",
            "`model.pt2` needs PyTorch alone: `torch.export.load(...).module()(inputs)`;",
            "`model.safetensors` and `architecture.json` are read by",
            "`nas.jobs.compress.student_files`.",
            "",
            "```",
            compress_table(summary),
            "```",
            "",
        ]
    )


def _facts(summary: CompressSummary, network: Network) -> dict[str, float]:
    speed = network.speed
    return {
        summary.metric: network.tested,
        "validation": network.validation,
        "parameters": speed.parameters,
        "bytes": speed.bytes,
        "peak_bytes": speed.peak_bytes,
        "milliseconds_batch_1": speed.milliseconds[1],
        "milliseconds_batch_64": speed.milliseconds[64],
        "milliseconds_batch_1_all_threads": speed.milliseconds_all_threads[1],
        "milliseconds_batch_64_all_threads": speed.milliseconds_all_threads[64],
    }


def students_figure(summary: CompressSummary) -> Figure:
    """Every student: what it costs against what it keeps, the Pareto front joined; and the rewards
    in the course of the search."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    students, course = figure.subplots(1, 2)
    trained = [c for c in summary.candidates if c.rungs and c.duplicate_of is None]
    points = [(float(c.parameters or 0), c.rungs[-1].metric) for c in trained]
    sizes = [15.0 * len(c.rungs) for c in trained]
    students.scatter(*zip(*points, strict=True), s=sizes, color=BLUE, alpha=0.6)
    front = _front(points, summary.higher_is_better)
    students.plot(*zip(*front, strict=True), color=BLUE, linewidth=1)
    teacher = summary.teacher.speed.parameters, summary.teacher.validation
    students.scatter(*teacher, marker="*", s=120, color=ORANGE)
    students.annotate("teacher ", teacher, ha="right", va="bottom")
    students.set(xscale="log", xlabel="parameters", ylabel=f"validation {summary.metric}")
    students.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    students.xaxis.set_major_formatter(EngFormatter(sep=""))
    students.xaxis.set_minor_formatter(NullFormatter())
    course.plot([c.number for c in trained], [-c.rungs[0].loss for c in trained], ".")
    course.set(xlabel="student", ylabel="reward after the first rung")
    return figure


def _front(
    points: Sequence[tuple[float, float]], higher_is_better: bool
) -> list[tuple[float, float]]:
    """The points than which no smaller one is better, from small to large."""
    sign = 1 if higher_is_better else -1
    front: list[tuple[float, float]] = []
    for size, metric in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * metric > sign * front[-1][1]:
            front.append((size, metric))
    return front


def layers_figure(summary: CompressSummary) -> Figure:
    """The outputs of every layer of the teacher, and how many of them the student has."""
    teacher, student = summary.teacher.widths, summary.student.widths
    figure = Figure(figsize=(max(6.0, 0.16 * len(teacher)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(teacher))
    axes.bar(places, list(teacher.values()), color=PALE, label="teacher")
    axes.bar(places, [student.get(path, 0) for path in teacher], color=BLUE, label="student")
    for place, path in zip(places, teacher, strict=True):
        if path not in student:
            axes.text(place, 0, "×", ha="center", va="bottom", color=ORANGE, fontsize=8)
    axes.set_xticks(places, list(teacher), rotation=90, fontsize=6)
    axes.set(ylabel="outputs", xlim=(-0.8, len(teacher) - 0.2))
    axes.set_title("× removed", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    return figure
