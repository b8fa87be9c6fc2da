"""The report of a compression: teacher beside student, the table, the figures of all students."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from nas.jobs.compress.page import student_explorer
from nas.jobs.compress.summary import CompressSummary, Measurements, Network
from nas.models.description import HOW_TO, file_lines
from nas.models.int8 import Int8
from nas.reporting.figure import BLUE, ORANGE
from nas.reporting.html import bars
from nas.reporting.importance import importances
from nas.reporting.report import Drawing, Report, printed
from nas.reporting.table import aligned
from search_spaces.layer_removal.space import student_of

PALE = "#cccccc"


def compress_report(summary: CompressSummary) -> Report:
    """What there is to say about a compression, finished or not."""
    text, rows = compress_table(summary), _student_rows(summary)
    said = "\n".join(line for line in (summary.note, *summary.kept) if line)
    if said:
        text += f"\n\n{said}"
    if summary.measured:
        files = "".join(f"\n  {line}" for line in file_lines(summary.files))
        text += f"\n\nstudent: {summary.student_folder}{files}"
    drawings = []
    if summary.trained:
        caption = "All students, larger the longer they were trained; and their rewards"
        drawings.append(Drawing("students", caption, students_figure(summary)))
    if summary.measured:
        caption = "Teacher and student, layer by layer"
        drawings.append(Drawing("layers", caption, layers_figure(summary.measured)))
    found = student_explorer(summary)
    reward = summary.objective.name
    decided = ["<h2>What decides</h2>", bars(*importances(found, reward), reward)]
    page = [printed(text), found, *decided, *drawings]
    return Report(summary.folder.name, text, compress_facts(summary), page, {"rows.csv": rows})


def compress_facts(summary: CompressSummary) -> dict[str, Any]:
    """What `nas compress --json` prints."""
    facts: dict[str, Any] = {"run": summary.folder.name, "finished": summary.finished}
    if summary.note:
        facts["note"] = summary.note
    if summary.kept:
        facts["kept"] = summary.kept
    measured, best = summary.measured, summary.best
    if measured and best:
        facts |= {
            "teacher": _facts(summary, measured.teacher),
            "student": {
                **_facts(summary, measured.student),
                "path": str(summary.student_folder),
                "files": summary.files,
                "digest": best.digest,
                "int8": measured.int8 if isinstance(measured.int8, str) else asdict(measured.int8),
            },
            "compression": measured.compression,
            "speed_up_batch_1": measured.speed_up(1),
            "speed_up_batch_64": measured.speed_up(64),
            "limits": asdict(measured.limits),
        }
    return {**facts, "students_trained": len(summary.trained), "seconds": summary.seconds}


def compress_table(summary: CompressSummary) -> str:
    """The conclusion in a line, then teacher beside student; fits 80 columns."""
    if summary.measured is None:
        return (
            f"{summary.teacher_name}: no student yet; {len(summary.trained)} of "
            f"{len(summary.candidates)} proposed students were trained"
        )
    measured = summary.measured
    facts = [_facts(summary, network) for network in (measured.teacher, measured.student)]
    rows = [[key, *(_shown(f[key]) for f in facts)] for key in facts[0]]
    rows += [[key, "", _shown(value)] for key, value in _int8_facts(summary, measured.int8).items()]
    lines = [headline(summary, measured), "", *aligned([["", "teacher", "student"], *rows])]
    if measured.limits.most:
        lines += ["", f"limits: {measured.limits}"]
    if isinstance(measured.int8, str):
        lines += ["", f"no int8 copy: {measured.int8}"]
    return "\n".join(lines)


def headline(summary: CompressSummary, measured: Measurements) -> str:
    """What was gained and lost; a student that is not faster is announced first."""
    slower = min(measured.speed_up(1), measured.speed_up(64)) < 1
    before, after = measured.teacher.tested, measured.student.tested
    lost = (
        f"{100 * (after - before):+.1f} points of test accuracy"
        if summary.metric == "accuracy"
        else f"test {summary.metric} {before:.4g} → {after:.4g}"
    )
    gained = (
        f"{summary.teacher_name}: {measured.compression:.1f} times fewer parameters, "
        f"{measured.speed_up(1):.2f} and {measured.speed_up(64):.2f} times faster at batch 1 "
        f"and 64, {lost}"
    )
    return f"NOT FASTER. {gained}" if slower else gained


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def _student_rows(summary: CompressSummary) -> list[list[object]]:
    metric = f"validation {summary.metric}"
    head: list[object] = ["#", "digest", "parameters", "steps", metric, "reward", "failed"]
    rows = [
        [
            c.number,
            c.digest,
            c.parameters,
            c.rungs[-1].step if c.rungs else None,
            c.rungs[-1].metric if c.rungs else None,
            c.rungs[-1].objective if c.rungs else None,
            c.failed,
        ]
        for c in summary.candidates
    ]
    return [head, *rows]


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


def _int8_facts(summary: CompressSummary, int8: Int8 | str) -> dict[str, float]:
    """Return the rows of the student's int8 copy; both kinds are timed in onnxruntime."""
    if isinstance(int8, str):
        return {}
    tested = {} if int8.metric is None else {f"int8 {summary.metric}": int8.metric}
    return {
        **tested,
        "int8 bytes (ONNX)": int8.bytes,
        "float32 bytes (ONNX)": int8.float32_bytes,
        "int8 milliseconds_batch_1 (ONNX)": int8.milliseconds,
        "float32 milliseconds_batch_1 (ONNX)": int8.float32_milliseconds,
    }


def students_figure(summary: CompressSummary) -> Figure:
    """Every student's cost against its metric, the Pareto front joined; and the rewards."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    students, course = figure.subplots(1, 2)
    trained = summary.trained
    points = [(float(c.parameters or 0), c.rungs[-1].metric) for c in trained]
    sizes = [15.0 * len(c.rungs) for c in trained]
    students.scatter(*zip(*points, strict=True), s=sizes, color=BLUE, alpha=0.6)
    front = _front(points, summary.higher_is_better)
    students.plot(*zip(*front, strict=True), color=BLUE, linewidth=1)
    if summary.measured:
        teacher = summary.measured.teacher
        place = teacher.speed.parameters, teacher.validation
        students.scatter(*place, marker="*", s=120, color=ORANGE)
        students.annotate("teacher ", place, ha="right", va="bottom")
    students.set(xscale="log", xlabel="parameters", ylabel=f"validation {summary.metric}")
    students.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    students.xaxis.set_major_formatter(EngFormatter(sep=""))
    students.xaxis.set_minor_formatter(NullFormatter())
    course.plot([c.number for c in trained], [c.rungs[0].objective for c in trained], ".")
    course.set(xlabel="student", ylabel="reward after the first rung")
    return figure


def _front(
    points: Sequence[tuple[float, float]], higher_is_better: bool
) -> list[tuple[float, float]]:
    """The points that no smaller one beats, from small to large."""
    sign = 1 if higher_is_better else -1
    front: list[tuple[float, float]] = []
    for size, metric in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * metric > sign * front[-1][1]:
            front.append((size, metric))
    return front


def layers_figure(measured: Measurements) -> Figure:
    """The outputs of every layer of the teacher, and how many of them the student has."""
    teacher, student = measured.teacher.widths, measured.student.widths
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


def card(summary: CompressSummary) -> str:
    """What users of the student should know about it, as Markdown."""
    assert summary.best is not None
    removed, widths = student_of(summary.best.architecture)
    return "\n".join(
        [
            f"# {summary.teacher_name}, compressed",
            "",
            f"Removed: {', '.join(removed) or 'nothing'}.",
            f"Narrowed to: {', '.join(f'{path} {width}' for path, width in widths) or 'nothing'}.",
            "",
            *(f"- {line}" for line in file_lines(summary.files)),
            "",
            *(HOW_TO[file] for file in summary.files["takes"]),
            "With this project: `nas.jobs.compress.student_files.load_student(folder)`.",
            "",
            "```",
            compress_table(summary),
            "```",
            "",
        ]
    )
