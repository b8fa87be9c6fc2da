"""A search loses nothing and counts nothing twice, whichever process dies."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.command import (
    PATIENCE,
    TOY,
    Command,
    nas,
    results,
    start,
    wait_for,
    without_times,
)
from tests.jobs.forked import ForkedCommand

CANDIDATES = 24
SEARCH = ["search", *TOY, "--candidates", CANDIDATES, "--survivors", 3, "--json"]


def command(run: Path, executor: str, *more: object) -> list[object]:
    return [*SEARCH, "--run", run, "--executor", executor, "--workers", 2, *more]


def assert_complete(run: Path) -> None:
    records = results(run)
    assert [record["number"] for record in records] == list(range(CANDIDATES))
    assert all(record["scores"] for record in records)
    assert sum(bool(record["rungs"]) for record in records) == 3
    digests = [r["digest"] for r in records if r["duplicate_of"] is None]
    assert len(digests) == len(set(digests))


def killed(process: Command, condition: Callable[[], object]) -> None:
    """Kill the process as soon as the condition holds."""
    wait_for(process, condition)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_serial_driver_continues_to_exactly_its_budget(tmp_path: Path) -> None:
    """Kills it after its first results, and again in the middle of a journal line."""
    run = tmp_path / "run"
    for done in (1, 13):
        process = start(*command(run, "serial"), NAS_TOY_SECONDS="0.05")
        killed(process, lambda done=done: len(results(run)) >= done)
        assert len(results(run)) < CANDIDATES
    with (run / "study.journal").open("a") as journal:
        journal.write('{"op_code": 4, "worker_id": "torn')
    ended = nas(*command(run, "serial"), fresh=True)
    assert ended.returncode == 0, ended.stderr
    assert "the last driver" in ended.stderr and "execution.isolate=true" in ended.stderr
    assert_complete(run)
    assert "the last driver" not in nas(*command(run, "serial")).stderr
    assert nas("report", run, fresh=True).returncode == 0


def test_a_killed_warm_start_keeps_its_pool_and_continues_to_exactly_its_budget(
    tmp_path: Path,
) -> None:
    """Kills it while it scores the pool, and again while it trains."""
    run = tmp_path / "run"
    pool = ["--warm-start", "toys:FirstWeight", "--pool", 12, "--set", "warm_start.best=4"]
    search = command(run, "serial", *pool, "--candidates", 10)
    before = []
    for done in (5, 14):
        process = start(*search, NAS_TOY_SECONDS="0.1")
        killed(process, lambda done=done: len(results(run)) >= done)
        before += results(run)
    ended = nas(*search)
    assert ended.returncode == 0, ended.stderr
    records = results(run)
    assert [record["number"] for record in records] == list(range(12 + 10 - 4))
    for old in before:
        new = records[old["number"]]
        assert (new["digest"], new["scores"]) == (old["digest"], old["scores"])
        assert new["rungs"][: len(old["rungs"])] == old["rungs"]
    drawn = [r for r in records[:12] if r["duplicate_of"] is None]
    best = sorted(drawn, key=lambda record: -record["scores"]["first-weight"])[:4]
    assert {r["number"] for r in drawn if r["rungs"]} == {r["number"] for r in best}
    assert all(record["rungs"] for record in records[12:])


def test_a_driver_killed_in_training_continues_from_the_checkpoints(tmp_path: Path) -> None:
    run, long = tmp_path / "run", ["--set", "training.steps=4000"]
    process = start(*command(run, "serial", *long))
    killed(process, lambda: any(record["rungs"] for record in results(run)))
    rungs = [record["rungs"] for record in results(run)]
    assert 1 <= sum(map(len, rungs)) < 4
    ended = nas(*command(run, "serial", *long))
    assert ended.returncode == 0, ended.stderr
    assert_complete(run)
    now = [record["rungs"] for record in results(run)]
    assert all(new[: len(old)] == old for old, new in zip(rungs, now, strict=True))


@pytest.mark.ray
def test_a_killed_ray_driver_continues_to_exactly_its_budget(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*command(run, "ray"), NAS_TOY_SECONDS="0.2")
    killed(process, lambda: len(results(run)) >= 3)
    assert len(results(run)) < CANDIDATES
    ended = nas(*command(run, "ray"), fresh=True)
    assert ended.returncode == 0, ended.stderr
    assert_complete(run)


@pytest.mark.ray
def test_dead_workers_are_replaced_and_a_candidate_that_kills_them_is_poison(
    tmp_path: Path,
) -> None:
    """Stdout also stays JSON."""
    run, marks = tmp_path / "run", tmp_path / "marks"
    marks.mkdir()
    search = ["toys:KillsItsWorker" if p == "toys:FirstWeight" else p for p in command(run, "ray")]
    ended = nas(*search, "--controller", "random", NAS_TOY_FOLDER=str(marks))
    assert ended.returncode == 0, ended.stderr
    records, kills = results(run), {mark.name for mark in marks.iterdir()}
    assert len(records) == CANDIDATES
    assert kills > {"4-0", "4-1", "4-2", "4-3"}  # and those that die once
    failed = {tuple(r["architecture"]["spec"]): r["failed"] for r in records if r["failed"]}
    assert failed.keys() == {(4,)} and "poison: 4 workers died" in failed[4,]
    assert json.loads(ended.stdout)["trained"] == 3


def test_a_second_driver_is_refused_with_75(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = start(*command(run, "serial"), NAS_TOY_SECONDS="0.3")
    wait_for(first, lambda: results(run))
    second = nas(*command(run, "serial"))
    first.kill()
    first.communicate()
    assert second.returncode == 75
    assert second.stderr.count("\n") == 1
    assert "in use by another" in second.stderr


SERIAL_AND_RAY = ["serial", pytest.param("ray", marks=pytest.mark.ray)]


@pytest.mark.parametrize(
    ("executor", "number", "code"),
    [
        ("serial", signal.SIGINT, 130),
        ("serial", signal.SIGTERM, 143),
        pytest.param("ray", signal.SIGTERM, 143, marks=pytest.mark.ray),  # Ray handles it too
    ],
)
def test_the_first_signal_lets_evaluations_finish_and_the_run_can_resume(
    tmp_path: Path, executor: str, number: signal.Signals, code: int
) -> None:
    """The other executor can resume it."""
    run, alone = tmp_path / "run", ["--set", "execution.batch=1"]
    process = start(*command(run, executor, *alone), NAS_TOY_SECONDS="0.5")
    wait_for(process, lambda: results(run))
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "run the same command again to continue" in err
    interrupted = len(results(run))
    assert 1 <= interrupted < CANDIDATES
    assert nas(*command(run, "serial")).returncode == 0
    assert_complete(run)


def start_search(run: Path, executor: str, grace: int) -> ForkedCommand:
    """Start a search, and wait for its first evaluation, which takes an hour."""
    started = run.parent / "started"
    variables = {"NAS_TOY_SECONDS": "3600", "NAS_TOY_STARTED": str(started)}
    process = start(*command(run, executor, "--grace", grace), **variables)
    wait_for(process, started.exists)
    return process


@pytest.mark.parametrize("executor", SERIAL_AND_RAY)
def test_the_second_signal_ends_at_once(tmp_path: Path, executor: str) -> None:
    run = tmp_path / "run"
    process = start_search(run, executor, grace=3600)
    process.send_signal(signal.SIGTERM)
    wait_for(process, lambda: "stopping" in process.complaints())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert nas(*command(run, "serial")).returncode == 0
    assert_complete(run)


def test_the_end_of_the_grace_period_ends_evaluations(tmp_path: Path) -> None:
    process = start_search(tmp_path / "run", "serial", grace=1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_a_run_with_another_objective_is_not_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert nas(*command(run, "serial")).returncode == 0
    before = sorted(path.stat().st_mtime for path in run.rglob("*.json"))
    changed = nas(*command(run, "serial", "--set", "training.steps=30"))
    assert changed.returncode == 2
    assert "training.steps was 20 and is now 30" in changed.stderr
    assert sorted(path.stat().st_mtime for path in run.rglob("*.json")) == before


@pytest.mark.parametrize("executor", SERIAL_AND_RAY)
def test_equal_seeds_give_equal_records(tmp_path: Path, executor: str) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        assert nas(*command(run, executor, "--seed", 3, "--deterministic")).returncode == 0
    first, second = (without_times(results(run)) for run in runs)
    assert first == second


def test_different_seeds_give_different_records(tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for seed, run in enumerate(runs):
        assert nas(*command(run, "serial", "--seed", seed)).returncode == 0
    first, second = (without_times(results(run)) for run in runs)
    assert first != second


def test_candidates_that_cannot_be_built_or_give_nan_fail_with_reasons(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    search = ["toys:ExplodingPerceptrons" if p == "toys:Perceptrons" else p for p in SEARCH]
    ended = nas(*search, "--run", run, "--executor", "serial", "--controller", "random")
    assert ended.returncode == 0, ended.stderr
    failures = {len(r["architecture"]["spec"]): r["failed"] for r in results(run)}
    assert failures[1] is None
    assert failures[2] == "build: RuntimeError: two layers are one too many"
    assert failures[3] == "score: first-weight is not finite: nan"


def test_a_nan_loss_is_a_failure_and_the_next_best_takes_its_place(tmp_path: Path) -> None:
    run = tmp_path / "run"
    search = ["toys:ExplodingPerceptrons" if p == "toys:Perceptrons" else p for p in SEARCH]
    search = ["parameters" if p == "toys:FirstWeight" else p for p in search]
    ended = nas(*search, "--run", run, "--executor", "serial", "--controller", "random")
    assert ended.returncode == 0, ended.stderr
    reasons = {r["failed"] for r in results(run) if len(r["architecture"]["spec"]) == 3}
    assert "train: the loss is nan at step 1" in reasons
    trained = [r["digest"] for r in results(run) if r["rungs"]]
    sound = {r["digest"] for r in results(run) if len(r["architecture"]["spec"]) == 1}
    assert 2 <= len(sound) <= 3
    assert sorted(trained) == sorted(sound)


def test_running_out_of_memory_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    run = tmp_path / "run"
    search = ["toys:RunsOutOfMemory" if p == "toys:FirstWeight" else p for p in SEARCH]
    nas(*search, "--run", run, "--executor", "serial", "--candidates", 3)
    assert {r["failed"] for r in results(run)} == {"score: out of memory"}
