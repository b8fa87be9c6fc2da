"""The driver saves a result before anyone else receives it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

import nas.loop.driver
from nas.core.executor import Handle, Outcome
from nas.core.job import Objective
from nas.execution.serial import SerialExecutor
from nas.jobs.search.job import SearchJob
from nas.loop.candidate import Candidate
from nas.loop.controller import Controller
from nas.loop.driver import Driver, Plan
from nas.loop.run_folder import RunFolder
from nas.loop.signals import Stop
from nas.training import TrainingSettings
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.space import ModelSize
from tests.toys import FirstWeight, Perceptrons, Quadrants

JOB = SearchJob(
    space=Perceptrons(),
    task=Quadrants(),
    scores=(FirstWeight(),),
    screen_size=ModelSize(),
    train_size=ModelSize(),
    training=TrainingSettings(device="cpu"),
    seed=0,
)

GUIDE = Objective("first-weight", higher_is_better=True)
PLAN = Plan(candidates=6, steps=(1,), places=(2,), objective=JOB.objective, guide=GUIDE, batch=2)


def kept(run: RunFolder) -> list[Candidate | None]:
    return [run.result(trial) for trial in run.trials()]


class Witness(Controller):
    """A controller that reads the run's folder whenever it receives a value."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__(optuna.samplers.RandomSampler(seed=0), maximise=True)
        self.run = run
        self.received: list[float | None] = []

    def tell(self, token: int, value: float | None) -> None:
        on_disk = [next(iter(c.scores.values())) for c in kept(self.run) if c and c.scores]
        assert value in on_disk
        self.received.append(value)
        super().tell(token, value)


def search(run: RunFolder, plan: Plan = PLAN) -> Driver:
    executor = SerialExecutor()
    driver = Driver(run, Witness(run), JOB, executor, plan)
    driver.search(Stop(60, evaluating_here=True))
    executor.close()
    return driver


def test_a_result_is_on_disk_before_the_controller_receives_it(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        driver = search(run)
        assert len(driver.controller.received) >= 6
        assert [c.number for c in kept(run) if c] == list(range(6))


def test_a_driver_that_dies_while_reporting_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch
) -> None:
    class Died(Exception):
        pass

    def dies(self, token: int, value: float | None) -> None:
        raise Died

    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        with monkeypatch.context() as patched:
            patched.setattr(Witness, "tell", dies)
            with suppress(Died):
                search(run)
        proposed = [trial.user_attrs["digest"] for trial in run.trials()]
        (first, *_) = [c for c in kept(run) if c]
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        driver = search(run)
        again = [trial.user_attrs["digest"] for trial in run.trials()]
        assert again[: len(proposed)] == proposed
        assert driver.candidates[first.number].seconds >= first.seconds
        assert driver.candidates[first.number].scores == first.scores
        assert sorted(driver.candidates) == list(range(6))


def test_a_finished_run_evaluates_nothing_again(tmp_path: Path, monkeypatch) -> None:
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        before = search(run).candidates
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        monkeypatch.setattr(nas.loop.driver.Driver, "_submit", None)
        assert search(run).candidates == before


class Measuring(SearchJob):
    """A job with measurements before and after training."""

    def screen(self, candidates):
        return [replace(found, measures={"before": 1.0}) for found in super().screen(candidates)]

    def train(self, number, architecture, until, checkpoint):
        trained = super().train(number, architecture, until, checkpoint)
        return replace(trained, measures={"after": 2.0})


def test_a_smaller_budget_ends_a_run_that_has_more_candidates(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        search(run)
        again = search(run, replace(PLAN, candidates=4))
        assert len(again.candidates) == 6


def test_a_jobs_measurements_are_in_the_record(tmp_path: Path) -> None:
    job = Measuring(**{name: getattr(JOB, name) for name in SearchJob.__dataclass_fields__})
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        Driver(run, Witness(run), job, SerialExecutor(), PLAN).search(Stop(60, True))
        measures = [dict(c.measures) for c in kept(run) if c and c.duplicate_of is None]
    assert measures.count({"before": 1.0, "after": 2.0}) == 2
    assert all(found["before"] == 1.0 for found in measures)


class Twins(Perceptrons):
    """A space of two architectures, so most proposals are duplicates."""

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.choose("width", (4, 8)),))


class AllAtOnce(SerialExecutor):
    """An executor that finishes all calls together, as happens with many workers."""

    def wait(self, handles, seconds):
        return [done for handle in handles for done in SerialExecutor.wait(self, [handle], seconds)]


def test_survivors_train_even_if_the_last_proposals_are_duplicates(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run:
        controller = Controller(optuna.samplers.RandomSampler(seed=0), maximise=True)
        job, plan = replace(JOB, space=Twins()), replace(PLAN, candidates=12, batch=1)
        driver = Driver(run, controller, job, AllAtOnce(), plan)
        driver.search(Stop(60, evaluating_here=True))
        assert sum(bool(c.rungs) for c in driver.candidates.values()) == 2


class Width:
    """A score that prefers few first units; most candidates have the same width as others."""

    name = "width"
    higher_is_better = False

    def __call__(self, model, batch, generator) -> dict[str, float]:
        return {"width": float(model.stack[0].out_features), "width-squared": 0.0}


class LastFirst(SerialExecutor):
    """An executor that runs the last submitted call first."""

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, Outcome]]:
        return super().wait([max(handles)], seconds)


@pytest.mark.parametrize("executor", [SerialExecutor, LastFirst])
@pytest.mark.parametrize("stopped_after", [None, 3, 14])
def test_the_candidates_with_the_best_rank_sum_train_in_any_order_of_results(
    tmp_path: Path, executor: type[SerialExecutor], stopped_after: int | None
) -> None:
    job = replace(JOB, scores=(FirstWeight(), Width()))
    scores = {"first-weight": True, "width": False}
    plan = replace(PLAN, candidates=12, places=(3,), batch=1, rank_sum=scores)

    class Stopped(Exception):
        pass

    class Stopper:
        seen = 0

        def update(self, candidate: Candidate) -> None:
            self.seen += 1
            if self.seen == stopped_after:
                raise Stopped

        def tick(self, in_flight: int) -> None: ...

    for watchers in [(Stopper(),), ()]:
        with RunFolder.open(tmp_path / "run", {}, PLAN.judged_by) as run, suppress(Stopped):
            works = executor()
            sampler = optuna.samplers.RandomSampler(seed=0)
            driver = Driver(run, Controller(sampler, True), job, works, plan, watchers)
            driver.search(Stop(60, evaluating_here=True))
            works.close()
    unique = [c for c in driver.candidates.values() if c.duplicate_of is None]

    def places(candidate: Candidate) -> tuple[int, int]:
        weight, width = (candidate.scores[name] for name in ("first-weight", "width"))
        heavier = sum(c.scores["first-weight"] > weight for c in unique)
        narrower = sum(c.scores["width"] < width for c in unique)
        return heavier + narrower, candidate.number

    trained = {c.number for c in driver.candidates.values() if c.rungs}
    assert trained == {c.number for c in sorted(unique, key=places)[:3]}
