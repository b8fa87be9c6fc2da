"""Correlates properties of random graphs with the accuracy of their trained networks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.ensemble import AdaBoostRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nas.bench.bootstrap import with_interval
from nas.bench.graph_training import TrainedGraph
from nas.bench.ranks import spearman
from nas.reporting.table import aligned

Values = NDArray[np.float64]

SIZE = ("nodes", "edges", "source_nodes", "log_parameters")
FOLDS = 10
REGRESSORS: dict[str, Callable[[], Any]] = {
    "ridge": lambda: make_pipeline(StandardScaler(), BayesianRidge()),
    "forest": lambda: RandomForestRegressor(random_state=0),
    "boosting": lambda: AdaBoostRegressor(random_state=0),
}
# Pearson with the accuracy of tanh, ReLU, LSTM, GRU: Darji 2024, recomputed from its tables,
# https://arxiv.org/abs/2407.20601
PUBLISHED = {
    "nodes": (0.40, 0.44, 0.44, 0.49),
    "edges": (0.38, 0.43, 0.42, 0.49),
    "source_nodes": (0.35, 0.47, 0.57, 0.74),
    "layers": (0.25, 0.30, 0.28, 0.34),
    "diameter": (-0.23, -0.27, -0.32, -0.20),
    "density": (0.29, 0.15, 0.29, 0.34),
    "average_shortest_path": (-0.27, -0.25, -0.36, -0.23),
    "degree_variance": (-0.28, -0.26, -0.39, -0.58),
    "closeness_variance": (-0.46, -0.39, -0.51, -0.67),
    "node_betweenness_variance": (-0.49, -0.41, -0.56, -0.52),
    "edge_betweenness_variance": (-0.34, -0.30, -0.44, -0.26),
}
PUBLISHED_CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation of a property with accuracy, with 95 % intervals; None if nothing varies.

    partial: Pearson's correlation of the residuals of both after a linear fit to the nodes and the
        logarithm of the parameters. published: Pearson's correlation in Darji 2024.
    """

    cell: str
    name: str
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    partial: float | None
    partial_low: float | None
    partial_high: float | None
    published: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The R² of cross-validated accuracy predictions, with its 95 % interval.

    features: "all", "size" for `SIZE` only, "shape" for all others.
    """

    cell: str
    regressor: str
    features: str
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    graphs: int


def correlations(cell: str, graphs: Sequence[TrainedGraph]) -> list[Correlation]:
    """Return one correlation per property, strongest first; intervals resample the graphs."""
    columns, accuracy = _columns(graphs)
    size = columns["nodes"], columns["log_parameters"]
    found = []
    for name, values in columns.items():
        rng = np.random.default_rng(0)
        found.append(
            Correlation(
                cell,
                name,
                *with_interval(_pearson, rng, values, accuracy),
                *with_interval(spearman, rng, values, accuracy),
                *with_interval(_partial, rng, values, accuracy, *size),
                published=_published(cell, name),
            )
        )
    return sorted(found, key=lambda row: -abs(row.pearson or 0))


def predictions(cell: str, graphs: Sequence[TrainedGraph]) -> list[Prediction]:
    """Return predictions of three regressors from all properties, only size, and all but size."""
    columns, accuracy = _columns(graphs)
    names = {
        "all": list(columns),
        "size": [name for name in columns if name in SIZE],
        "shape": [name for name in columns if name not in SIZE],
    }
    found = []
    for regressor, make in REGRESSORS.items():
        for features, chosen in names.items():
            x = np.stack([columns[name] for name in chosen], axis=1)
            folds = KFold(min(FOLDS, len(x)), shuffle=True, random_state=0)
            predicted = np.asarray(cross_val_predict(make(), x, accuracy, cv=folds))
            r2 = with_interval(_r2, np.random.default_rng(0), predicted, accuracy)
            found.append(Prediction(cell, regressor, features, *r2, graphs=len(x)))
    return found


def table(
    trained: Mapping[str, Sequence[TrainedGraph]],
    correlated: Sequence[Correlation],
    predicted: Sequence[Prediction],
) -> str:
    """Return all results as tables for people, within 80 columns."""
    reached = []
    for cell, graphs in trained.items():
        lowest, *middle, highest = np.quantile([g.metric for g in graphs], (0, 0.25, 0.5, 0.75, 1))
        quarters = " ".join(f"{value:.3f}" for value in middle)
        reached.append([cell, str(len(graphs)), f"{lowest:.3f}", quarters, f"{highest:.3f}"])
    head = ["cell", "property", "Pearson", "95 %", "Spearman", "size held", "95 %", "published"]
    rows = [
        [
            row.cell,
            row.name,
            _text(row.pearson),
            f"{_text(row.pearson_low)} to {_text(row.pearson_high)}",
            _text(row.spearman),
            _text(row.partial),
            f"{_text(row.partial_low)} to {_text(row.partial_high)}",
            _text(row.published),
        ]
        for row in correlated
    ]
    regressions = [
        [
            row.cell,
            row.regressor,
            row.features,
            _text(row.r2),
            f"{_text(row.r2_low)} to {_text(row.r2_high)}",
            str(row.graphs),
        ]
        for row in predicted
    ]
    names = ["cell", "regressor", "features", "R²", "95 %", "graphs"]
    tables = [
        [["cell", "graphs", "lowest", "quartiles", "highest"], *reached],
        [head, *rows],
        [names, *regressions],
    ]
    return "\n\n".join("\n".join(aligned(table)) for table in tables)


def as_json(
    trained: Mapping[str, Sequence[TrainedGraph]],
    correlated: Sequence[Correlation],
    predicted: Sequence[Prediction],
) -> dict[str, Any]:
    return {
        "graphs": {cell: [asdict(g) for g in graphs] for cell, graphs in trained.items()},
        "correlations": [asdict(row) for row in correlated],
        "predictions": [asdict(row) for row in predicted],
    }


def figure(correlated: Sequence[Correlation], path: Path) -> None:
    """Plot Pearson's correlation of each property, with its interval, for each cell."""
    cells = list(dict.fromkeys(row.cell for row in correlated))
    names = sorted({row.name for row in correlated})
    drawn = Figure(figsize=(3 + 2.6 * len(cells), 0.24 * len(names) + 1.2), layout="constrained")
    places = {name: place for place, name in enumerate(reversed(names))}
    for axes, cell in zip(
        drawn.subplots(1, len(cells), sharey=True, squeeze=False)[0], cells, strict=True
    ):
        rows = [row for row in correlated if row.cell == cell]
        for kind, colour, shift in (("pearson", "#0072b2", 0.15), ("partial", "#d55e00", -0.15)):
            known = [row for row in rows if getattr(row, kind) is not None]
            value, low, high = (
                np.array([getattr(row, kind + end) for row in known], dtype=float)
                for end in ("", "_low", "_high")
            )
            axes.errorbar(
                value,
                np.array([places[row.name] for row in known]) + shift,
                xerr=np.abs([value - low, high - value]),
                fmt=".",
                color=colour,
                linewidth=1,
                label="Pearson" if kind == "pearson" else "size held fixed",
            )
        known = [(row.published, places[row.name]) for row in rows if row.published is not None]
        if known:
            axes.plot(*zip(*known, strict=True), "x", color="#999999", label="published")
        axes.axvline(0, color="#cccccc", linewidth=0.8, zorder=0)
        axes.set(title=cell, xlim=(-1, 1))
        axes.set_yticks(list(places.values()), list(places), fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    drawn.supxlabel("correlation with the accuracy", fontsize=9)
    drawn.savefig(path)


def _columns(graphs: Sequence[TrainedGraph]) -> tuple[dict[str, Values], Values]:
    """Return every property by name, and the validation metric."""
    rows = [{**g.properties, "log_parameters": math.log(g.parameters)} for g in graphs]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return columns, np.array([g.metric for g in graphs])


def _pearson(a: Values, b: Values) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _partial(a: Values, b: Values, *size: Values) -> float | None:
    """Return Pearson's correlation of the residuals of both after a linear fit to the size."""
    base = np.column_stack([np.ones(len(a)), *size])
    both = np.column_stack([a, b])
    left = both - base @ np.linalg.lstsq(base, both, rcond=None)[0]
    if (left.std(0) <= 1e-9 * both.std(0)).any():
        return None
    return _pearson(*left.T)


def _r2(predicted: Values, true: Values) -> float | None:
    if np.ptp(true) == 0:
        return None
    return float(1 - ((predicted - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def _published(cell: str, name: str) -> float | None:
    if cell not in PUBLISHED_CELLS or name not in PUBLISHED:
        return None
    return PUBLISHED[name][PUBLISHED_CELLS.index(cell)]


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
