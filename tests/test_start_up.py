"""Commands that need no model import no heavy packages, such as torch."""

import os
from pathlib import Path

import numpy as np
import pytest
from optuna.samplers import RandomSampler

from nas import api
from tests.jobs.command import nas

HEAVY = {
    "matplotlib",
    "networkx",
    "optuna",
    "ray",
    "scipy",
    "sklearn",
    "tensorboard",
    "torch",
    "transformers",
}


def heavy_imports(*arguments: object, ends_with: int) -> set[str]:
    """Return the heavy packages that the command imports, and check its exit code."""
    ended = nas(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert ended.returncode == ends_with, ended.stderr.splitlines()[-5:]
    timed = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    assert timed
    return HEAVY & {line.rpartition("|")[2].strip().split(".")[0] for line in timed}


@pytest.mark.parametrize("arguments", [["--help"], ["ls"], ["ls", "--json"]])
def test_help_and_lists_import_nothing_heavy(arguments: list[str]) -> None:
    assert not heavy_imports(*arguments, ends_with=0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "--space", "nope"],
        ["search", "--score", "nope"],
        ["search", "--score", "nope,between=sequences"],
        ["search", "--task", "nope"],
        ["search", "--controller", "nope"],
        ["search", "--candidates", 2, "--survivors", 3],
        ["search", "--set", "training.stepz=3"],
        ["search", "--set", "training.steps=many"],
        ["search", "nope.toml"],
        ["compress", "--teacher", "nope"],
        ["compress", "--weights", "nope.pt"],
        ["compress", "--controller", "nope"],
        ["compress", "--task", "nope"],
        ["compress", "--set", "training.method=nope"],
        ["sweep", "--model", "nope"],
        ["sweep", "--model", "reber-lstm", "--weights", "nope.pt"],
        ["sweep", "--model", "reber-lstm", "--task", "nope"],
        ["sweep", "--model", "reber-lstm", "--methods", "nope"],
        ["sweep", "--model", "reber-lstm", "--scope", "nope"],
        ["adapt", "--items", "nope.jsonl"],
        ["adapt", "--set", "task=nope"],
        ["adapt", "--objective", "nope"],
        ["train", "nope"],
        ["export", "nope", "--to", "there"],
        ["report", "nope"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_a_refusal_that_needs_no_model_imports_nothing_heavy(arguments: list) -> None:
    assert not heavy_imports(*arguments, ends_with=2)


def test_a_report_imports_only_what_draws(tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = {"task": "n-parity", "candidates": 3, "survivors": 3, "training": {"steps": 2}}
    api.search(run=run, execution={"executor": "serial"}, scores=["parameters"], **small)
    assert heavy_imports("report", run, ends_with=0) == {"matplotlib", "networkx"}


def stops_at_once(rng: np.random.Generator) -> RandomSampler:
    """Return a controller that ends the process at the first proposal."""
    return StopsAtOnce()


class StopsAtOnce(RandomSampler):
    def sample_independent(self, *arguments: object) -> None:
        os._exit(0)


def test_a_search_imports_no_plotting_before_its_first_proposal(tmp_path: Path) -> None:
    search = ["search", "--controller", "tests.test_start_up:stops_at_once", "--task", "n-parity"]
    run = ["--executor", "serial", "--run", tmp_path / "run"]
    assert heavy_imports(*search, *run, ends_with=0) == {"optuna", "tensorboard", "torch"}
