"""A deterministic run has the same record, however often its driver dies."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nas.core.executor import Done, WorkerLost
from nas.core.job import Objective
from nas.core.registry import create_controller
from nas.execution.serial import SerialExecutor
from nas.loop.constraints import read_constraint
from nas.loop.controller import Controller
from nas.loop.driver import Driver
from nas.loop.plan import Plan
from nas.loop.run_folder import RunFolder
from nas.loop.samplers import MULTI_OBJECTIVE
from nas.loop.signals import Stop
from tests.jobs.command import results, without_times
from tests.loop.instant import InstantJob
from tests.toys import CONTROLLERS, BelievedPerceptrons, DeeperPerceptrons

JOB = InstantJob(DeeperPerceptrons())
CANDIDATES = 30
LOSS = Plan(CANDIDATES, (1, 2, 4), (CANDIDATES, 8, 2), JOB.objective, deterministic=True)
GUIDED = replace(LOSS, places=(8, 4, 2), guide=Objective("score", higher_is_better=True))
POOL = replace(LOSS, pool=12, opening=6)


class Died(BaseException):
    """Stands for a kill."""


class TwoWorkers(SerialExecutor):
    """Two workers that finish in any order; some die, so that their calls are repeated."""

    width = 2

    def __init__(self, rng: random.Random, deaths: float) -> None:
        super().__init__()
        self.rng, self.deaths = rng, deaths

    def wait(self, handles, seconds):
        chosen = self.rng.choice(handles)
        outcomes = SerialExecutor.wait(self, [chosen], seconds)
        if isinstance(outcomes[0][1], Done) and self.rng.random() < self.deaths:
            return [(chosen, WorkerLost("SIGKILL"))]
        return outcomes


def dies_after(run: RunFolder, calls: int) -> None:
    """Let the driver die at one of its writes: before it, or right after it."""
    left = calls

    def dying(original, *arguments):
        nonlocal left
        left -= 1
        if left == 0:
            raise Died
        answer = original(*arguments)
        if left == 1:
            raise Died
        return answer

    for name in ("add", "start", "write", "write_checkpoint", "show", "finish"):
        setattr(run, name, partial(dying, getattr(run, name)))


def searched(
    folder: Path, plan: Plan, name: str, kills: int, deaths: float = 0.0, job: InstantJob = JOB
) -> list:
    """Search with a number of kills; returns the record."""
    rng = random.Random(f"{name} {kills}")
    for kill in range(kills + 1):
        with RunFolder.open(folder, {}, plan.judged_by) as run:
            if kill < kills:
                dies_after(run, rng.randint(3, 60))
            proposers = [
                Controller(
                    create_controller(which, np.random.default_rng(seed), {}),
                    bool(plan.guide),
                    len(plan.judged_by),
                )
                for seed, which in enumerate([name, "random"])
            ]
            try:
                executor = TwoWorkers(rng, deaths)
                driver = Driver(run, proposers[0], job, executor, plan, (), proposers[1])
                driver.search(Stop(60, evaluating_here=True))
            except Died:
                pass
    return without_times(results(folder))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_run_that_was_killed_has_the_record_of_one_that_was_not(
    tmp_path: Path, name: str
) -> None:
    whole = searched(tmp_path / "whole", LOSS, name, kills=0)
    assert len(whole) == CANDIDATES
    assert searched(tmp_path / "killed", LOSS, name, kills=4) == whole


@pytest.mark.slow
@pytest.mark.parametrize("plan", [LOSS, GUIDED], ids=["loss", "guided"])
@pytest.mark.parametrize("name", CONTROLLERS)
def test_twenty_kills_change_nothing(tmp_path: Path, name: str, plan: Plan) -> None:
    plan = replace(plan, candidates=60, places=(60 if plan is LOSS else 8, 8, 2))
    whole = searched(tmp_path / "whole", plan, name, kills=0)
    assert searched(tmp_path / "killed", plan, name, kills=20) == whole


def test_workers_that_die_do_not_change_the_record(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", LOSS, "evolution", kills=0)
    assert searched(tmp_path / "dying", LOSS, "evolution", kills=5, deaths=0.05) == whole


def test_a_pool_is_repeated_as_well(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", POOL, "evolution", kills=0)
    assert len(whole) == CANDIDATES + 12 - 6
    assert searched(tmp_path / "killed", POOL, "evolution", kills=5) == whole


def test_several_objectives_are_repeated_as_well(tmp_path: Path) -> None:
    plan = replace(LOSS, steps=(1,), places=(CANDIDATES,), objectives=("loss", "parameters"))
    for name in MULTI_OBJECTIVE:
        whole = searched(tmp_path / name / "whole", plan, name, kills=0)
        assert searched(tmp_path / name / "killed", plan, name, kills=3) == whole


@pytest.mark.parametrize("name", ["tpe", "evolution", "predictor"])
def test_priors_and_constraints_are_repeated_as_well(tmp_path: Path, name: str) -> None:
    job = InstantJob(BelievedPerceptrons())
    plan = replace(LOSS, constraints=(read_constraint("score<=0.7"),))
    whole = searched(tmp_path / "whole", plan, name, kills=0, job=job)
    assert searched(tmp_path / "killed", plan, name, kills=4, job=job) == whole
    infeasible = [record for record in whole if record["scores"]["score"] > 0.7]
    assert 0 < len(infeasible) < len(whole) / 2
    assert all(bool(r["rungs"]) != (r in infeasible) for r in whole if r["duplicate_of"] is None)


def test_a_run_with_another_budget_keeps_its_candidates_and_says_that_it_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    small = searched(tmp_path / "run", replace(LOSS, candidates=15, places=(15, 8, 2)), "tpe", 0)
    large = searched(tmp_path / "run", LOSS, "tpe", 0)
    assert [record["digest"] for record in large[:15]] == [record["digest"] for record in small]
    assert len(large) == CANDIDATES
    stopped = searched(tmp_path / "other", replace(LOSS, deterministic=False), "tpe", kills=1)
    assert searched(tmp_path / "other", LOSS, "tpe", 0)[:10] == stopped[:10]
    assert "cannot be repeated exactly" in capsys.readouterr().err
