"""Searches from Python: warm starts, several objectives, policy files."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.api import search
from nas.core.errors import BadInput
from nas.core.settings import read_config
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.report import search_facts
from nas.jobs.search.summary import SearchSummary
from nas.loop.candidate import Candidate
from nas.loop.objectives import named_objectives
from tests.toys import CONTROLLERS

TOY = {
    "space": "tests.toys:Perceptrons",
    "scores": ("tests.toys:FirstWeight",),
    "task": "tests.toys:Quadrants",
    "training": {"steps": 4, "rungs": 2},
    "execution": {"executor": "serial"},
    "survivors": 2,
}
FIRST = "first-weight"


def searched(run: Path, **settings: Any) -> SearchSummary:
    return search(read_config(SearchConfig, None, (), {**TOY, "run": run, **settings}))


def warm(pool: int = 9, best: int = 3) -> dict[str, Any]:
    return {"score": TOY["scores"][0], "pool": pool, "best": best}


def best_of(drawn: tuple[Candidate, ...], wanted: int) -> set[int]:
    unique = [c for c in drawn if c.duplicate_of is None]
    return {c.number for c in sorted(unique, key=lambda c: -c.scores[FIRST])[:wanted]}


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_warm_start_trains_the_best_of_the_pool_and_the_proposals(
    name: str, tmp_path: Path
) -> None:
    run = searched(tmp_path / "run", controller=name, warm_start=warm(), candidates=7)
    drawn, proposed = run.candidates[:9], run.candidates[9:]
    assert len(proposed) == 7 - 3
    assert {c.number for c in drawn if c.rungs} == best_of(drawn, 3)
    assert all(c.rungs for c in proposed)
    assert sum(len(c.rungs) > 1 for c in run.candidates) == 2


def test_the_controller_receives_only_the_best_of_the_pool(tmp_path: Path, monkeypatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(
        "nas.loop.controller.Controller.tell", lambda _, *told: heard.append(told[1])
    )
    run = searched(tmp_path / "run", controller="evolution", warm_start=warm(), candidates=3)
    best = {c.rungs[0].loss for c in run.candidates if c.rungs}
    assert set(heard) >= best
    assert set(heard) - best <= {None}  # duplicates of the rest of the pool


def test_a_pool_can_be_ranked_by_all_scores(tmp_path: Path) -> None:
    scores = (*TOY["scores"], "parameters")
    settings = {"warm_start": warm(), "scores": scores, "ranking": "rank-sum", "candidates": 3}
    run = searched(tmp_path / "run", **settings)
    drawn = [c for c in run.candidates if c.duplicate_of is None]

    def places(candidate: Candidate) -> int:
        return sum(c.scores[name] > candidate.scores[name] for c in drawn for name in c.scores)

    best = sorted(drawn, key=lambda c: (places(c), c.number))[:3]
    assert {c.number for c in run.candidates if c.rungs} == {c.number for c in best}
    with pytest.raises(BadInput, match='ranking was "rank-sum"'):
        searched(tmp_path / "run", **{**settings, "ranking": "first"})


def test_an_extended_run_keeps_its_pool(tmp_path: Path) -> None:
    first = searched(tmp_path / "run", warm_start=warm(), candidates=4)
    longer = searched(tmp_path / "run", warm_start=warm(), candidates=8)
    assert longer.candidates[:9] == first.candidates[:9]
    assert len(longer.candidates) == len(first.candidates) + 4
    with pytest.raises(BadInput, match=r"warm_start\.pool was 9 and is now 10"):
        searched(tmp_path / "run", warm_start=warm(pool=10), candidates=8)


def test_losses_can_guide_while_scores_are_recorded(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", objectives=("loss",), candidates=5)
    assert all(c.rungs and FIRST in c.scores for c in run.candidates)
    assert sum(len(c.rungs) > 1 for c in run.candidates) == 2
    assert "pareto_front" not in search_facts(run)


@pytest.mark.parametrize("name", ["random", "tpe", "nsga-ii"])
def test_no_trained_candidate_dominates_the_pareto_front(name: str, tmp_path: Path) -> None:
    objectives = ("loss", "parameters", "latency")
    run = searched(tmp_path / "run", controller=name, objectives=objectives, candidates=12)
    unique = [c for c in run.candidates if c.duplicate_of is None]
    told = {c.number: tuple(named_objectives(c, objectives).values()) for c in unique}
    front = {entry["number"] for entry in search_facts(run)["pareto_front"]}
    for number, values in told.items():
        better = [v for v in told.values() if v != values and all(map(float.__le__, v, values))]
        assert bool(better) != (number in front)
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "<h2>Pareto front</h2>" in page
    assert (tmp_path / "run" / "report" / "pareto-front.svg").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": ("parameters",)}, "objectives must include loss"),
        ({"objectives": ("loss", "loss")}, "must not repeat a name"),
        (
            {"objectives": ("loss", "flops"), "controller": "mcts"},
            'mcts" supports only one .*nsga-ii',
        ),
        ({"warm_start": {"pool": 9}}, r"warm_start\.score"),
        ({"warm_start": {"score": "luck"}}, 'unknown score "luck"'),
        (
            {"warm_start": {"score": "synflow", "pool": 3}},
            r"best \(10\) must not exceed the pool \(3\)",
        ),
        ({"policy": "p.safetensors", "controller": "mcts"}, "use policy-gradient or n2n"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        searched(tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_policy_file_works_in_another_space(tmp_path: Path) -> None:
    """A finished run that is started again does not change the file."""
    file = tmp_path / "policy.safetensors"
    learns = {"controller": "policy-gradient", "policy": file, "candidates": 24}
    searched(tmp_path / "first", **learns)
    first = file.read_bytes()
    searched(tmp_path / "second", space="tests.toys:DeeperPerceptrons", **learns)
    assert (tmp_path / "second" / "policy-before.safetensors").read_bytes() == first
    second = file.read_bytes()
    assert second != first
    searched(tmp_path / "first", **learns)
    assert file.read_bytes() == second
    file.write_text("no weights")
    with pytest.raises(BadInput, match="is not a policy"):
        searched(tmp_path / "third", **learns)


def test_every_verb_is_a_function_after_any_import() -> None:
    for module in ("nas.cli.main", "nas.api"):
        importlib.import_module(module)
    assert all(inspect.isfunction(getattr(nas, verb)) for verb in nas.VERBS)
