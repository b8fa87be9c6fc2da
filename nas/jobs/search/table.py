"""Formats the survivors of a search as text and as rows."""

from collections.abc import Sequence

from nas.jobs.search.summary import SearchSummary
from nas.loop.candidate import Candidate
from nas.loop.objectives import named_objectives
from nas.reporting.table import aligned


def survivors_table(summary: SearchSummary) -> str:
    """Return a summary line, then the trained candidates, best first, within 80 columns.

    A search with several objectives shows only its Pareto front.
    """
    head, *rows = front_rows(summary) if summary.front else survivor_rows(summary)
    rows = [
        [f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    table = [head, *([row[0], row[1][:8], *row[2:]] for row in rows)]
    title = ["Pareto front"] if summary.front else []
    return "\n".join([headline(summary), "", *title, *aligned(table)])


def headline(summary: SearchSummary) -> str:
    """Return one line that sums up the search."""
    known = summary.candidates
    unique = len({c.digest for c in known})
    failed = sum(c.failed is not None for c in known)
    trained = sum(bool(c.rungs) and c.duplicate_of is None for c in known)
    infeasible = sum(bool(summary.missed(c)) for c in known)
    missing = f"{infeasible} infeasible, " if summary.config.where else ""
    return (
        f"{summary.name}: {len(known)} candidates, {unique} unique, {failed} failed, {missing}"
        f"{trained} trained, {summary.seconds:.0f} s"
    )


def survivor_rows(summary: SearchSummary) -> list[list]:
    """Return a header, then a row per trained candidate, best first, with the guiding score."""
    guide = [name for name in summary.score_names[:1] if name != "parameters"]
    tuned = summary.tuned
    head = ["#", "digest", "parameters", *guide, *short(tuned), "steps", "loss", summary.metric]
    return [head, *(_row(candidate, guide, tuned) for candidate in summary.best)]


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
        ]
        for c in summary.front
    ]
    return [["#", "digest", *names, *short(summary.tuned), summary.metric], *rows]


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
