"""Compares controllers and rivals on published tables, for results/search_tables.md.

python -m tests.benchmarks.search_tables PART … [--seeds 100] [--first-seed 1000] [--minutes 2]
    [--controller NAME …] [--dataset NAME …] [--scores nb201_zc_proxies.csv]
    [--latencies hw_cifar10.csv]

Parts: cold, warm, single (one training seed each, as WeakNAS is measured), graph, front. Slow
rivals (Optuna's TPE and GP, WeakNAS) run as many seeds as fit into --minutes for each table.
A search ends when it has trained the best model of the table. Needs `pip install ".[tables]"`.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import BaseSampler, GPSampler

from nas.bench.curves import mean_and_error, regrets
from nas.bench.fronts import replay_front
from nas.bench.packaged_tables import GRAPH_SETS, NB201_FILES
from nas.bench.replays import Replay, finding, replayed_rows
from nas.bench.search import WarmStart, replay
from nas.bench.table_files import load_table
from nas.bench.tables import Table
from tests.benchmarks.published_searches import best_neighbour, weak_nas

GP = "tests.benchmarks.search_tables:gp"
SLOW = ("tpe", GP, "weak-nas")
PUBLISHED = {"weak-nas": weak_nas, "local-search-paper": best_neighbour}
OURS = ("predictor", "mcts", "evolution", "local-search")
RIVALS = ("random", "nsga-ii", "local-search-paper", "tpe", GP)
AT = (10, 50, 100, 150, 200, 400)
T = TypeVar("T")
SCORES = ("synflow", "jacov", "nwot")


def gp(rng: np.random.Generator) -> BaseSampler:
    """Optuna's Gaussian process; the first 10 proposals are random."""
    return GPSampler(
        seed=int(rng.integers(2**31)), n_startup_trials=10, deterministic_objective=True
    )


def main() -> None:
    asked = _asked()
    for part in asked.parts:
        PARTS[part](asked)


def cold(asked: argparse.Namespace) -> None:
    for dataset in asked.dataset or NB201_FILES:
        table = load_table(f"nas-bench-201:{dataset}")
        _print_head(f"{table.name}, mean of the training seeds, best {table.best:.3f}")
        for name in asked.controller or (*OURS, *RIVALS):
            _print_row(name, list(_replays(name, table, 400, asked)))


def warm(asked: argparse.Namespace) -> None:
    """The best 5 of 1,000 random architectures by score, then the controller."""
    for dataset in asked.dataset or NB201_FILES:
        files = [asked.scores] if asked.scores else []
        table = load_table(f"nas-bench-201:{dataset}", columns=files)
        for scores in (("parameters",), *([SCORES] if files else [])):
            _print_head(f"{table.name}, warm start by {', '.join(scores)}")
            start = WarmStart(scores, pool=1000, best=5)
            for name in asked.controller or ("ranked", *(f"warm-{name}" for name in OURS)):
                _print_row(name, list(_replays(name, table, 400, asked, start)))


def single(asked: argparse.Namespace) -> None:
    """A model's result is that of one training seed; the aim is the best result of the run."""
    for dataset in asked.dataset or NB201_FILES:
        table = load_table(f"nas-bench-201:{dataset}")
        _print_head(f"{table.name}, one training seed per model")
        for name in asked.controller or ("predictor", "local-search-paper", "weak-nas"):
            _print_row(name, list(_replays(name, table, 400, asked, single=True)))


def graph(asked: argparse.Namespace) -> None:
    print("\n| regret at 50, NAS-Bench-Graph | predictor | local search | evolution | TPE | n |")
    print("|---|---|---|---|---|---|")
    for dataset in asked.dataset or GRAPH_SETS:
        table = load_table(f"nas-bench-graph:{dataset}")
        found = {
            name: list(_replays(name, table, 50, asked))
            for name in asked.controller or ("predictor", "local-search", "evolution", "tpe")
        }
        cells = [_with_error(100 * regrets(several)[:, -1]) for several in found.values()]
        counts = "/".join(str(len(several)) for several in found.values())
        print(f"| {dataset} | " + " | ".join(cells) + f" | {counts} |", flush=True)


def front(asked: argparse.Namespace) -> None:
    """Accuracy and the latency on an Edge GPU, from HW-NAS-Bench (Li et al. 2021)."""
    print("\n| hypervolume after 100 models, % of the table's | cost | at 50 | at 100 | n |")
    print("|---|---|---|---|---|")
    for dataset in asked.dataset or ("cifar10", "cifar100"):
        files = [asked.latencies] if asked.latencies else []
        table = load_table(f"nas-bench-201:{dataset}", columns=files)
        cost = "edgegpu_latency" if files else "latency"
        for name in asked.controller or ("random", "nsga-ii", "predictor", "tpe"):
            search = partial(replay_front, name, table, cost, 100)
            curves = 100 * np.stack(list(_until(asked, name, search)))
            cells = " | ".join(_with_error(curves[:, n - 1], 2) for n in (50, 100))
            print(f"| {dataset}, {name} | {cost} | {cells} | {len(curves)} |", flush=True)


PARTS = {"cold": cold, "warm": warm, "single": single, "graph": graph, "front": front}


def _replays(
    name: str,
    table: Table,
    trained: int,
    asked: argparse.Namespace,
    start: WarmStart | None = None,
    single: bool = False,
) -> Iterator[Replay]:
    if name in PUBLISHED:
        return _until(asked, name, lambda seed: _published(name, table, trained, seed, single))
    return _until(
        asked, name, lambda seed: replay(name, table, trained, seed, start, single=single)
    )


def _until(asked: argparse.Namespace, name: str, run: Callable[[int], T]) -> Iterator[T]:
    """Yield the result of each seed, at least two; a slow rival stops after --minutes."""
    end = time.monotonic() + 60 * asked.minutes
    for count in range(asked.seeds):
        if name in SLOW and count >= 2 and time.monotonic() > end:
            return
        yield run(asked.first_seed + count)


def _published(name: str, table: Table, trained: int, seed: int, single: bool) -> Replay:
    rewards = table.drawn(np.random.default_rng([seed, 1])) if single else table.rewards
    started, best = time.process_time(), int(rewards.argmax())
    rows = PUBLISHED[name](table, rewards, trained, np.random.default_rng(seed), best)
    rows = rows[: rows.index(best) + 1] if best in rows else rows
    seconds = (time.process_time() - started) / len(rows)
    return replayed_rows(table, rows, rewards, trained, seconds)


def _print_head(title: str) -> None:
    print(f"\n**{title}**\n")
    print("| | models to the optimum | 95 % | found in 150 | in 400 |", end="")
    print(" | ".join(f" regret at {n}" for n in AT) + " | hours | ms each | seeds |")
    print("|---" * (8 + len(AT)) + "|", flush=True)


def _print_row(name: str, several: list[Replay]) -> None:
    way, curves = finding(several), regrets(several)
    soon = np.mean([replay.found is not None and replay.found <= 150 for replay in several])
    cells = [
        {GP: "Optuna's GP", "tpe": "Optuna's TPE", "nsga-ii": "Optuna's NSGA-II"}.get(name, name),
        f"{'' if way.share == 1 else '> '}{way.models:.1f}",
        f"{way.low:.1f} to {way.high:.1f}",
        f"{soon:.0%}",
        f"{way.share:.0%}",
        *(_with_error(curves[:, n - 1]) for n in AT),
        f"{way.hours:.0f}",
        f"{1e3 * np.mean([replay.seconds for replay in several]):.1f}",
        str(len(several)),
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def _with_error(values: NDArray[np.float64], digits: int = 3) -> str:
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--controller", action="append")
    parser.add_argument("--dataset", action="append")
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--latencies", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
