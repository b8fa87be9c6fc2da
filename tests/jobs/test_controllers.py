"""Every controller through the real command line."""

import pytest

from tests.jobs.command import TOY, nas, results

SERIAL = ("search", *TOY, "--survivors", 1, "--executor", "serial")


@pytest.mark.parametrize("name", ["local-search", "mcts", "policy-gradient", "predictor"])
def test_a_search_with_it_succeeds(name: str, tmp_path) -> None:
    done = nas(*SERIAL, "--controller", name, "--candidates", 12, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path / "run")) == 12


def test_several_objectives_and_a_warm_start_give_a_pareto_front(tmp_path) -> None:
    objectives = ("--controller", "nsga-ii", "--objectives", "loss,parameters,latency")
    pool = ("--warm-start", "toys:FirstWeight", "--pool", 9, "--set", "warm_start.best=3")
    run = ("--candidates", 8, "--run", tmp_path / "run")
    done = nas(*SERIAL, *objectives, *pool, *run)
    assert done.returncode == 0, done.stderr
    assert "14 candidates" in done.stdout and "8 trained" in done.stdout
    assert done.stdout.splitlines()[2] == "Pareto front"


def test_an_unknown_objective_is_refused_in_one_line(tmp_path) -> None:
    done = nas(*SERIAL, "--objectives", "loss,speed", "--run", tmp_path / "run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "objectives.1" in done.stderr and "'step_latency', not 'speed'" in done.stderr
    assert not (tmp_path / "run").exists()
