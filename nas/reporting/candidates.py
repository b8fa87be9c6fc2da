"""The explorer of a run's candidates: results, scores, costs, graphs and decisions as columns."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from networkx import DiGraph, dag_longest_path_length, is_directed_acyclic_graph

from nas.core.job import Objective
from nas.loop.candidate import Candidate
from nas.reporting.explorer import Cell, Column, Curve, Explorer, Graph, Role, Row, Status

MOST_KINDS = 12  # labels of nodes that are counted
MOST_AXES = 7
UNITS = {"latency": "s"}  # of scores
PLOTTED = 10  # trained candidates that make a plot of results
MOST_ROWS = 20_000  # of a page: about 14 MB with the graphs of recurrent cells


class Judged(NamedTuple):
    """How a run judges its candidates.

    objective: what trained candidates are ranked by.
    metric, higher_is_better: the task's.
    scores: training-free score → whether higher is better; the guiding score is first.
    measures: the role of the candidates' other measurements.
    """

    objective: Objective
    metric: str
    higher_is_better: bool
    scores: Mapping[str, bool] = {}
    measures: Role = "cost"


def candidate_explorer(
    candidates: Sequence[Candidate],
    judged: Judged,
    graph_of: Callable[[Candidate], DiGraph | None] = lambda _: None,
    noun: str = "candidate",
) -> Explorer:
    """Return an explorer of candidates, or of `MOST_ROWS` of them if there are more.

    graph_of: returns a candidate's graph, see `search_spaces.space.SearchSpace.graph`.
    """
    total, candidates = len(candidates), _shown(candidates)
    known: dict[str, tuple[Graph | None, dict[str, Cell]]] = {}  # by digest
    for candidate in candidates:
        if candidate.digest not in known:
            known[candidate.digest] = _graph(graph_of(candidate))
    rows = [_row(c, judged, *known[c.digest]) for c in candidates]
    columns = [column for column in _columns(candidates, judged, known) if _is_known(column, rows)]
    names = {role: [c.name for c in columns if c.role == role] for role in ("score", "decision")}
    objective = judged.objective.name
    guide = names["score"][:1] or [objective]
    trained = sum(row.status == "trained" for row in rows)
    x, y = ("parameters", _first(judged)) if trained >= PLOTTED else ("#", guide[0])
    present = {column.name for column in columns}
    results = [name for name in (objective, f"validation {judged.metric}") if name in present]
    axes = [*names["decision"][:4], *names["score"][:2], "parameters", *results[:1]]
    return Explorer(
        title=f"{noun.capitalize()}s",
        note=_left_out(noun, total) if total > len(candidates) else "",
        noun=noun,
        columns=columns,
        rows=rows,
        table=[
            *results,
            *names["score"][:3],
            *(n for n in ("parameters", "steps") if n in present),
        ],
        axes=[name for name in dict.fromkeys(axes) if name in present][-MOST_AXES:],
        x=x if x in present else "#",
        y=y if y in present else columns[0].name,
        colour=objective if trained >= PLOTTED else guide[0],
        sort=(results[0], judged.objective.higher_is_better) if results else ("#", False),
        curves=("validation loss", "training loss"),
    )


def _shown(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return at most `MOST_ROWS` candidates: the trained ones first, and others evenly spaced."""
    if len(candidates) <= MOST_ROWS:
        return candidates
    trained = _spaced([c for c in candidates if c.rungs], MOST_ROWS)
    others = _spaced([c for c in candidates if not c.rungs], MOST_ROWS - len(trained))
    return sorted([*trained, *others], key=lambda candidate: candidate.number)


def _spaced(candidates: Sequence[Candidate], most: int) -> Sequence[Candidate]:
    """Return all candidates, or `most` of them at equal distances."""
    total = len(candidates)
    return candidates if total <= most else [candidates[i * total // most] for i in range(most)]


def _left_out(noun: str, total: int) -> str:
    return (
        f"{MOST_ROWS:,} of {total:,} {noun}s: those that trained, and others evenly spaced by "
        "number. The CSV file beside this page lists all."
    )


def _columns(
    candidates: Sequence[Candidate],
    judged: Judged,
    graphs: Mapping[str, tuple[Graph | None, dict[str, Cell]]],
) -> list[Column]:
    """Return every column that a candidate may have a value in; each name once."""
    objective, sign = judged.objective, 1 if judged.objective.higher_is_better else -1
    scores = dict.fromkeys(name for c in candidates for name in c.scores)
    measures = dict.fromkeys(name for c in candidates for name in c.measures)
    decisions = dict.fromkeys(name for c in candidates for name in c.decisions)
    counted = Counter(name for _, facts in graphs.values() for name in facts)
    columns = [
        Column("#", ""),
        Column(objective.name, "result", objective.unit, sign),
        Column(_first(judged), "result", objective.unit, sign),
        Column("validation loss", "result", "", -1),
        Column(f"validation {judged.metric}", "result", "", 1 if judged.higher_is_better else -1),
        Column("training loss", "result", "", -1),
        Column("steps", "cost"),
        Column("parameters", "cost", "", -1),
        Column("flops", "cost", "per step", -1),
        Column("evaluation time", "cost", "s", -1),
        *(
            Column(name, "score", UNITS.get(name, ""), _direction(name, judged.scores))
            for name in scores
        ),
        *(Column(name, judged.measures) for name in measures),
        *(Column(name, "graph") for name, _ in counted.most_common(MOST_KINDS + 3)),
        *(Column(name, "decision") for name in decisions),
    ]
    known: dict[str, Column] = {}
    for column in columns:
        known.setdefault(column.name, column)
    return list(known.values())


def _first(judged: Judged) -> str:
    return f"{judged.objective.name}, first rung"


def _direction(name: str, scores: Mapping[str, bool]) -> int:
    """Return the direction of a score's value; `NAME-1`, `NAME-2` … are values of one score."""
    higher = scores.get(name, scores.get(name.rpartition("-")[0]))
    return 0 if higher is None else 1 if higher else -1


def _row(candidate: Candidate, judged: Judged, graph: Graph | None, facts: dict[str, Cell]) -> Row:
    values: dict[str, Cell] = {
        **candidate.decisions,
        **facts,
        **candidate.measures,
        **candidate.scores,
        **{"#": candidate.number, "evaluation time": candidate.seconds},
        **{"parameters": candidate.parameters, "flops": candidate.flops},
    }
    if candidate.rungs:
        last = candidate.rungs[-1]
        values |= {"validation loss": last.loss, f"validation {judged.metric}": last.metric}
        values |= {"training loss": last.train_loss, "steps": last.step}
        values |= {judged.objective.name: last.objective}
        values |= {_first(judged): candidate.rungs[0].objective}
    return Row(
        candidate.number,
        candidate.digest,
        _status(candidate),
        values,
        candidate.failed,
        _curve(candidate),
        graph,
    )


def _status(candidate: Candidate) -> Status:
    if candidate.failed is not None:
        return "failed"
    if candidate.duplicate_of is not None:
        return "duplicate"
    return "trained" if candidate.rungs else "screened"


def _curve(candidate: Candidate) -> Curve | None:
    if not candidate.rungs:
        return None
    losses = tuple(rung.loss for rung in candidate.rungs)
    trained = tuple(rung.train_loss for rung in candidate.rungs)
    return Curve(tuple(rung.step for rung in candidate.rungs), (losses, trained))


def _graph(drawn: DiGraph | None) -> tuple[Graph | None, dict[str, Cell]]:
    """Return a graph for the page, and its sizes by name."""
    if drawn is None:
        return None, {}
    places = {node: place for place, node in enumerate(drawn.nodes)}
    kinds = [(str(d["label"]), str(d["kind"])) for _, d in drawn.nodes(data=True)]
    labels = [label for label, kind in kinds if kind != "input"]
    facts: dict[str, Cell] = {"graph nodes": len(places), "graph edges": drawn.number_of_edges()}
    if is_directed_acyclic_graph(drawn):
        facts["graph depth"] = dag_longest_path_length(drawn, weight=None)
    facts |= {f"number of {label}": n for label, n in Counter(labels).most_common(MOST_KINDS)}
    states = [d.get("state") for _, d in drawn.nodes(data=True)]
    nodes = tuple(
        (label if state is None else f"{label} → h{state}", kind)
        for (label, kind), state in zip(kinds, states, strict=True)
    )
    return Graph(nodes, tuple((places[a], places[b]) for a, b in drawn.edges)), facts


def _is_known(column: Column, rows: Sequence[Row]) -> bool:
    return column.name == "#" or any(row.values.get(column.name) is not None for row in rows)
