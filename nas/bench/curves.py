"""Formats regret curves of controllers as numbers, text and a figure."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.bench.page import explorer_of
from nas.bench.replays import Replay, Replays, finding
from nas.reporting.explorer import Column, Curve, Explorer
from nas.reporting.table import aligned

COLOURS = ("#999999", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def checkpoints(trained: int) -> list[int]:
    """Return where to report a curve: some numbers of trained models, and the end."""
    return sorted({n for n in (10, 50, 100, 200, 400) if n < trained} | {trained})


def regrets(replays: Sequence[Replay]) -> NDArray[np.float64]:
    """Return the regret curves of a controller, `[seeds, trained]`."""
    return np.stack([replay.regret for replay in replays])


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard error over seeds; the error is 0 for a single seed."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def models_to_equal_random(replays: Replays) -> dict[str, int | None]:
    """Return how many models each controller trains to reach the final mean regret of random.

    None for a controller that does not reach it.
    """
    if "random" not in replays:
        return {}
    aim = regrets(replays["random"]).mean(axis=0)[-1]
    found = {}
    for name, several in replays.items():
        reached = np.flatnonzero(regrets(several).mean(axis=0) <= aim + 1e-12)
        found[name] = int(reached[0]) + 1 if len(reached) else None
    return found


def as_json(replays: Replays) -> dict[str, Any]:
    trained = _trained(replays)
    return {
        "curves": {
            name: {str(n): mean_and_error(regrets(several)[:, n - 1]) for n in checkpoints(trained)}
            for name, several in replays.items()
        },
        "optimum": {name: asdict(finding(several)) for name, several in replays.items()},
        "ms_per_proposal": {name: _milliseconds(several) for name, several in replays.items()},
        f"models_to_equal_random_at_{trained}": models_to_equal_random(replays),
    }


def explored(replays: Replays) -> Explorer:
    """Return a row per controller and seed, with its curve of regret, for a page."""
    trained = _trained(replays)
    regret, found = f"regret after {trained}", "models until the best"
    columns = [
        Column("controller", "decision"),
        Column("seed", "decision"),
        Column(regret, "result", "", -1),
        Column(found, "result", "models", -1),
        Column("time per proposal", "cost", "ms", -1),
    ]
    each = [(name, i, replay) for name in replays for i, replay in enumerate(replays[name])]
    cells = [
        {
            **{"controller": name, "seed": seed, regret: float(replay.regret[-1])},
            **{found: replay.found, "time per proposal": 1e3 * replay.seconds},
        }
        for name, seed, replay in each
    ]
    curves = [_curve(replay.regret) for _, _, replay in each]
    labels = [f"{name}, seed {seed}" for name, seed, _ in each]
    axes = "time per proposal", regret
    return explorer_of("Replays", "replay", columns, labels, cells, axes, curves)


def _curve(regret: NDArray[np.float64]) -> Curve:
    """Return the steps at which the regret falls, and the last."""
    falls = [
        i for i in range(len(regret)) if i in (0, len(regret) - 1) or regret[i] < regret[i - 1]
    ]
    return Curve(tuple(i + 1 for i in falls), (tuple(float(regret[i]) for i in falls),))


def table(replays: Replays) -> str:
    """Return a table with a row per controller: regret ± standard error, and the way to the best.

    Columns after the regrets: models to equal random's final regret; models to the optimum with a
    95 % interval; share of seeds that find it; hours of training until then; seeds; milliseconds
    per proposal.
    """
    trained = _trained(replays)
    equal = models_to_equal_random(replays)
    head = ["trained models", *map(str, checkpoints(trained)), f"= random at {trained}"]
    rows = [[*head, "to the optimum", "95 %", "found", "hours", "seeds", "ms each"]]
    for name, several in replays.items():
        values = [mean_and_error(regrets(several)[:, n - 1]) for n in checkpoints(trained)]
        cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in values]
        rows.append([name, *cells, str(equal.get(name) or "–"), *_way(several)])
    return "\n".join(aligned(rows))


def _way(several: Sequence[Replay]) -> list[str]:
    way = finding(several)
    return [
        f"{'' if way.share == 1 else '> '}{way.models:.1f}",
        f"{way.low:.1f} to {way.high:.1f}",
        f"{way.share:.0%}",
        "–" if np.isnan(way.hours) else f"{way.hours:.1f}",
        str(len(several)),
        f"{_milliseconds(several):.2f}",
    ]


def _milliseconds(several: Sequence[Replay]) -> float:
    return 1e3 * float(np.mean([replay.seconds for replay in several]))


def _trained(replays: Replays) -> int:
    return len(next(iter(replays.values()))[0].regret)


def figure(replays: Replays, title: str, path: Path) -> None:
    """Plot mean regret over trained models, both logarithmic, with standard errors as bands."""
    drawn = Figure(figsize=(6, 4), layout="constrained")
    axes = drawn.subplots()
    for i, (name, several) in enumerate(replays.items()):
        curve = regrets(several)
        x = np.arange(1, curve.shape[1] + 1)
        means, errors = np.array([mean_and_error(column) for column in curve.T]).T
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(x, means, label=name, color=colour, linestyle="-" if i < len(COLOURS) else "--")
        axes.fill_between(x, means - errors, means + errors, color=colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log", nonpositive="clip")
    axes.set_xlabel("trained models")
    seeds = len(next(iter(replays.values())))
    axes.set_ylabel(f"regret, mean of {seeds} seeds ± s.e.")
    axes.set_title(title)
    axes.legend(fontsize=8)
    drawn.savefig(path, dpi=150)
