"""Formats the survivors of a search as text and as rows."""

from collections.abc import Sequence

from nas.jobs.search.summary import SearchSummary
from nas.loop.candidate import Candidate
from nas.loop.objectives import named_objectives
from nas.reporting.table import aligned


def survivors_table(summary: SearchSummary) -> str:
    """Return a summary line, then the trained candidates, best first.

    It has at most 80 columns, if the task has no test sets. A search with several objectives shows
    only its Pareto front.
    """
    head, *rows = front_rows(summary) if summary.front else survivor_rows(summary)
    sets = len(head) - len(summary.test_sets)
    rows = [[*map(_text, row[:sets]), *(_text(cell, 3) for cell in row[sets:])] for row in rows]
    table = [head, *([row[0], row[1][:8], *row[2:]] for row in rows)]
    title = ["Pareto front"] if summary.front else []
    return "\n".join([headline(summary), "", *title, *aligned(table)])


def headline(summary: SearchSummary) -> str:
    """Return one line that sums up the search."""
    known = summary.candidates
    failed = sum(c.failed is not None for c in known)
    trained = sum(bool(c.rungs) and c.duplicate_of is None for c in known)
    infeasible = sum(bool(summary.missed(c)) for c in known)
    missing = f"{infeasible} infeasible, " if summary.config.where else ""
    return (
        f"{summary.name}: {len(known)} candidates, {summary.unique} unique, {failed} failed, "
        f"{missing}{trained} trained, {summary.seconds:.0f} s"
    )


def survivor_rows(summary: SearchSummary) -> list[list]:
    """Return a header, then a row per trained candidate, best first.

    The columns include the guiding score, and the metric on each of the task's test sets.
    """
    guide = [name for name in summary.score_names[:1] if name != "parameters"]
    tuned = summary.tuned
    head = ["#", "digest", "parameters", *guide, *short(tuned), "steps", "loss", summary.metric]
    rows = [[*_row(c, guide, tuned), *summary.on_test_sets(c).values()] for c in summary.best]
    return [[*head, *summary.test_sets], *rows]


def front_rows(summary: SearchSummary) -> list[list]:
    """Return a header, then a row per candidate of the Pareto front, with all objectives."""
    names = summary.objectives
    rows = [
        [
            c.number,
            c.digest,
            *named_objectives(c, names).values(),
            *settings_row(c, summary.tuned),
            c.rungs[0].metric,
            *summary.on_test_sets(c).values(),
        ]
        for c in summary.front
    ]
    head = ["#", "digest", *names, *short(summary.tuned), summary.metric, *summary.test_sets]
    return [head, *rows]


def short(names: Sequence[str]) -> list[str]:
    """Return the last parts of settings' names."""
    return [name.rpartition(".")[2] for name in names]


def settings_row(candidate: Candidate, names: Sequence[str]) -> list:
    """Return a candidate's own values of settings."""
    own = dict(candidate.architecture.settings)
    return [own.get(name) for name in names]


def _row(candidate: Candidate, guide: list[str], tuned: list[str]) -> list:
    last = candidate.rungs[-1]
    scores = [candidate.scores.get(name, float("nan")) for name in guide]
    return [
        candidate.number,
        candidate.digest,
        candidate.parameters,
        *scores,
        *settings_row(candidate, tuned),
        last.step,
        last.loss,
        last.metric,
    ]


def _text(cell: object, digits: int = 5) -> str:
    if cell is None:
        return "–"
    return f"{cell:.{digits}g}" if isinstance(cell, float) else str(cell)
