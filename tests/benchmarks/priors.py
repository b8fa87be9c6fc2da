"""What does a prior save, or cost, in models trained until a given loss?

python -m tests.benchmarks.priors FOLDER [--seeds 50] [--first-seed 100] [--target 15]
    [--strength 0.5] CONTROLLER …

FOLDER holds NAS-Bench-201, see `nas.bench.table_files.read_table`. Every controller searches the
table through `nas.loop.controller.Controller`, as a run does, until it trains one of the `target`
best models, 400 models at most. Every question has a prior. The answers of a **good** prior are
those of a model drawn from the best 1 %, without the targets; a **vague** one takes the best 10 %,
a **wrong** one the worse half. Prints the mean number of models, and its change against the same
controller without a prior, with 95 % bootstrap intervals over the seeds.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nas.bench.bootstrap import with_interval
from nas.bench.table_files import read_table
from nas.bench.tables import Table
from nas.core.registry import create_controller
from nas.loop.controller import Controller
from search_spaces.decisions import Answers, Decisions
from search_spaces.space import SearchSpace

MOST = 400  # models
SHARES = {"none": None, "good": (0.0, 0.01), "vague": (0.0, 0.1), "wrong": (0.5, 1.0)}


@dataclass(frozen=True)
class Believed:
    """A table whose questions have priors."""

    table: Table
    answers: Answers
    strength: float

    @property
    def name(self) -> str:
        return self.table.name

    def decide(self, decisions: Decisions) -> int:
        return self.table.decide(cast(Decisions, _Asking(decisions, self.answers, self.strength)))


@dataclass(frozen=True)
class _Asking:
    """Decisions that add priors to the questions."""

    decisions: Decisions
    believed: Answers
    strength: float

    @property
    def answers(self) -> Answers:
        return self.decisions.answers

    def choose(self, name: str, options: Any) -> Any:
        prior = self.believed[name]
        return self.decisions.choose(name, options, prior=prior, strength=self.strength)


def models_until(
    controller: str, table: Table, targets: set[int], seed: int, kind: str, strength: float
) -> int:
    """Return how many different models a search trains until one is a target."""
    space: Any = table
    if (share := SHARES[kind]) is not None:
        answers = _drawn(table, targets, share, np.random.default_rng([seed, 1]))
        space = Believed(table, answers, strength)
    sampler = create_controller(controller, np.random.default_rng(seed), {})
    asked = Controller(sampler, maximise=True, seed=seed)
    trained: set[int] = set()
    while len(trained) < MOST:
        proposal = asked.propose(cast(SearchSpace, space))
        row = cast(int, proposal.architecture)
        trained.add(row)
        if row in targets:
            break
        asked.tell(proposal.token, table.rows[row].reward)
    return len(trained)


def _drawn(
    table: Table, targets: set[int], share: tuple[float, float], rng: np.random.Generator
) -> Answers:
    """Return the answers of a random model between two shares of the ranking, no target."""
    order = np.argsort([-row.reward for row in table.rows], kind="stable")
    low, high = (round(part * len(order)) for part in share)
    rows = [row for row in order[low:high].tolist() if row not in targets]
    return table.rows[rows[rng.integers(len(rows))]].answers


def main() -> None:
    asked = _asked()
    table = read_table(asked.folder)
    order = np.argsort([-row.reward for row in table.rows], kind="stable")
    targets = set(order[: asked.target].tolist())
    last = asked.first_seed + asked.seeds - 1
    print(
        f"{table.name}, seeds {asked.first_seed} to {last}, until one of the {asked.target} best\n"
    )
    print("| controller | prior | models | change |")
    print("|---|---|---|---|")
    for name in asked.controllers:
        counts = {
            kind: np.array(
                [
                    models_until(name, table, targets, seed, kind, asked.strength)
                    for seed in range(asked.first_seed, asked.first_seed + asked.seeds)
                ]
            )
            for kind in SHARES
        }
        for kind, found in counts.items():
            change = "" if kind == "none" else _change(found, counts["none"])
            print(f"| {name} | {kind} | {_mean(found)} | {change} |", flush=True)


def _mean(counts: NDArray[np.int64]) -> str:
    value, low, high = with_interval(np.mean, np.random.default_rng(0), counts)
    return f"{value:.0f} ({low:.0f} to {high:.0f})"


def _change(counts: NDArray[np.int64], without: NDArray[np.int64]) -> str:
    def ratio(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
        return float(a.mean() / b.mean() - 1)

    value, low, high = with_interval(ratio, np.random.default_rng(0), counts, without)
    return f"{100 * value:+.0f} % ({100 * low:+.0f} to {100 * high:+.0f})"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("controllers", nargs="*", default=["random", "evolution", "predictor"])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--target", type=int, default=15)
    parser.add_argument("--strength", type=float, default=0.5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
