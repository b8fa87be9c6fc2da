"""Compares controllers of `nas compress` with the same budget of students.

python -m tests.benchmarks.compress_controllers FOLDER [--updates 20] [--rollouts 5] [--seeds 3]
    [--policy FILE] [--set NAME=VALUE …] CONTROLLER …

Every student trains for one rung and inherits its weights. Prints the mean reward of the students
in the first ten updates and in the last five, ± its standard error over the seeds, and the gain
over the first controller, seed by seed; draws rewards over time in FOLDER/rewards.svg. With
--policy, `n2n+` is n2n that starts from FILE. Runs that already exist in FOLDER are not repeated.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas import api
from nas.core.settings import read_config
from nas.jobs.compress.config import CompressConfig
from nas.reporting.figure import save_figure


def main() -> None:
    asked = _asked()
    rewards = {
        name: np.array([_rewards(name, seed, asked) for seed in range(asked.seeds)])
        for name in asked.controllers
    }
    ten, five = slice(None, 10), slice(-5, None)
    base = rewards[asked.controllers[0]]
    print(
        "| controller | first ten updates | last five | more than the first controller, last five |"
    )
    print("|---|---|---|---|")
    for name, found in rewards.items():
        means = [found[:, when].mean((1, 2)) for when in (ten, five)]
        gain = (found - base)[:, five].mean((1, 2))
        print(f"| {name} | " + " | ".join(map(_with_error, [*means, gain])) + " |")
    if "n2n" in rewards and "n2n+" in rewards:
        gain = (rewards["n2n+"] - rewards["n2n"])[:, ten].mean((1, 2))
        print(f"n2n+ minus n2n, first ten updates: {_with_error(gain)}")
    save_figure(_figure(rewards), asked.folder / "rewards")


def _rewards(name: str, seed: int, asked: argparse.Namespace) -> NDArray[np.float64]:
    """Return rewards `[updates, rollouts]`, −1 for students that failed."""
    run = asked.folder / f"{name}-{seed}"
    settings = {
        "controller.name": name.removesuffix("+"),
        "updates": asked.updates,
        "rollouts": asked.rollouts,
        "training.rungs": 1,
        "survivors": 1,
        "seed": seed,
        "run": run,
        "execution.executor": "serial",
        "cache": asked.folder / "cache",
    }
    if name.startswith("n2n"):
        settings["policy"] = asked.folder / f"{name}-{seed}.policy"
        if name.endswith("+") and not settings["policy"].exists():
            shutil.copy(asked.policy, settings["policy"])
    summary = api.compress(read_config(CompressConfig, None, asked.set, settings))
    tried = [c for c in summary.candidates if c.rungs or c.failed]  # without the pool
    found = [-c.rungs[0].loss if c.rungs else -1.0 for c in tried]
    return np.array(found).reshape(asked.updates, asked.rollouts)


def _with_error(values: NDArray[np.float64]) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():+.3f} ± {error:.3f}"


def _figure(rewards: dict[str, NDArray[np.float64]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, found in rewards.items():
        updates, mean = np.arange(1, found.shape[1] + 1), found.mean((0, 2))
        error = found.mean(2).std(0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0 * mean
        axes.plot(updates, mean, label=name)
        axes.fill_between(updates, mean - error, mean + error, alpha=0.15, linewidth=0)
    axes.set(xlabel="update", ylabel="mean reward of its students (band: standard error)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("controllers", nargs="+")
    parser.add_argument("--policy", type=Path)
    for name, default in (("updates", 20), ("rollouts", 5), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
