"""A run's record: what it saves, refuses and repairs."""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import optuna
import pytest

import nas
from nas.core.errors import BadInput, RunLocked
from nas.core.job import Objective
from nas.core.settings import read_config
from nas.jobs.search.config import SearchConfig
from nas.loop.candidate import Candidate, Rung
from nas.loop.controller import Controller
from nas.loop.journal import JOURNAL, STUDY_NAME
from nas.loop.journal_file import repair_journal
from nas.loop.run_folder import RunFolder
from search_spaces.architecture import Architecture
from tests.toys import Perceptrons

IDENTITY = {"space.name": "perceptrons", "seed": 0}


JUDGED = Objective("validation loss", "nats")


def opened(folder: Path, identity=IDENTITY) -> AbstractContextManager[RunFolder]:
    return RunFolder.open(folder, identity, [JUDGED])


def controller(seed: int = 0) -> Controller:
    return Controller(optuna.samplers.RandomSampler(seed=seed), maximise=True)


def test_a_proposal_and_its_result_are_saved_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    proposal = controller().propose(Perceptrons())
    rung = Rung(10, 0.5, 0.5, 0.9, 0.6, 1.5, "trials/0000/step-10.safetensors")
    with opened(folder, IDENTITY) as run:
        candidate = run.add(proposal)
        assert run.result(run.trial(0)) is None
        scores, measures = {"s": 1.0}, {"milliseconds": 5.0}
        full = Candidate(
            0, candidate.architecture, 3, 4, scores, measures, rungs=(rung,), seconds=2.0
        )
        run.write(full)
        run.show(full)
    with opened(folder, IDENTITY) as run:
        (trial,) = run.trials()
        assert trial.params == dict(proposal.params)
        assert trial.user_attrs["digest"] == proposal.architecture.digest()
        assert trial.user_attrs["s"] == 1.0 and trial.user_attrs["milliseconds"] == 5.0
        assert run.result(trial) == full
        run.finish(full, [0.5])
        assert run.trial(0).value == 0.5


def test_another_driver_and_another_search_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with (
        opened(folder, IDENTITY),
        pytest.raises(RunLocked),
        opened(folder, IDENTITY),
    ):
        pass
    with (
        pytest.raises(BadInput, match="seed was 0 and is now 1"),
        opened(folder, {**IDENTITY, "seed": 1}),
    ):
        pass


def test_an_incomplete_last_line_of_the_journal_is_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with opened(folder, IDENTITY) as run:
        run.add(controller().propose(Perceptrons()))
    journal = folder / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    assert repair_journal(journal) == 19
    assert journal.read_bytes() == whole
    assert repair_journal(journal) == 0


def test_refused_proposals_are_not_candidates() -> None:
    class Picky(Perceptrons):
        def decide(self, decisions) -> Architecture:
            from search_spaces.decisions import InvalidArchitecture

            architecture = super().decide(decisions)
            if len(architecture.spec) < 3:
                raise InvalidArchitecture("too shallow")
            return architecture

    asked = controller()
    assert all(len(asked.propose(Picky()).architecture.spec) == 3 for _ in range(10))


def test_a_controller_remembers_the_record_in_order() -> None:
    first, again = controller(), controller(1)
    for i in range(5):
        proposal = first.propose(Perceptrons())
        first.tell(proposal.token, float(i) if i != 2 else None)
    for trial in first._study.trials:
        again.remember(trial, trial.value, evaluated=True)
    assert [t.params for t in again._study.trials] == [t.params for t in first._study.trials]
    assert [t.state for t in again._study.trials] == [t.state for t in first._study.trials]


def test_a_run_works_with_any_optuna_storage(tmp_path: Path) -> None:
    settings = {
        "space": "tests.toys:Perceptrons",
        "scores": ["tests.toys:FirstWeight"],
        "task": "tests.toys:Quadrants",
        "training": {"steps": 4, "rungs": 2},
        "execution": {"executor": "serial"},
        "run": tmp_path / "run",
        "storage": f"sqlite:///{tmp_path / 'team.db'}",
        "survivors": 2,
    }
    nas.search(candidates=6, **settings)
    summary = nas.search(candidates=9, **settings)
    assert [c.number for c in summary.candidates] == list(range(9))
    name = (tmp_path / "run" / STUDY_NAME).read_text()
    study = optuna.load_study(study_name=name, storage=settings["storage"])
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 9 and states.count("RUNNING") == 0
    assert study.metric_names == ["first-weight"]
    assert {"digest", "parameters", "first-weight"} <= set(study.trials[0].user_attrs)
    assert not (tmp_path / "run" / JOURNAL).exists()


@pytest.mark.parametrize("name", ["random", "tpe", "evolution"])
def test_every_controller_searches_every_space(tmp_path: Path, name: str) -> None:
    for space in ("tests.toys:Perceptrons", "rnn-cell"):
        summary = nas.search(
            space=space,
            controller=name,
            scores=["parameters"],
            task="tests.toys:Quadrants",
            model={"hidden": 4, "layers": 1},
            training={"steps": 2, "rungs": 1},
            execution={"executor": "serial"},
            candidates=30,
            survivors=1,
            run=tmp_path / space.replace(":", "-"),
        )
        assert len(summary.candidates) == 30
        assert summary.finished


def test_without_scores_every_candidate_trains_and_the_best_advance(tmp_path: Path) -> None:
    summary = nas.search(
        space="tests.toys:Perceptrons",
        scores=[],
        task="tests.toys:Quadrants",
        training={"steps": 8, "rungs": 3},
        execution={"executor": "serial"},
        candidates=8,
        survivors=4,
        run=tmp_path / "run",
    )
    unique = [c for c in summary.candidates if c.duplicate_of is None]
    assert all(c.rungs for c in unique)
    reached = sorted((len(c.rungs) for c in unique), reverse=True)
    assert reached == [3, 3, 2, 2, 1, 1, 1, 1][: len(unique)]
    second = sorted(c.rungs[0].loss for c in unique)[:4]
    assert {c.rungs[0].loss for c in unique if len(c.rungs) > 1} == set(second)


def test_settings_come_from_file_then_set_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('space = "rnn-cell"\ncandidates = 5\nsurvivors = 1\n[training]\nsteps = 7\n')
    config = read_config(
        SearchConfig, file, ["training.steps=8", "space.budgets=[7]"], {"candidates": 6}
    )
    assert (config.candidates, config.survivors, config.training.steps) == (6, 1, 8)
    assert config.space.options == {"budgets": [7]}
    assert np.isclose(config.training.learning_rate, 2e-3)
