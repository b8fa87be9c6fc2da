"""Limits of a compression through the real command line, and a new target for a finished run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.latency import LatencyTable
from nas import api
from nas.core.errors import BadInput, TargetNotMet
from nas.core.trust import trusting
from nas.jobs.compress.adjusting import Adjusting
from nas.jobs.compress.costs import Meter
from nas.jobs.compress.student_files import load_student
from nas.scores.size import count_parameters
from search_spaces.layer_removal.space import Student
from tests.jobs.command import nas, results

SMALL: Any = {
    "execution": {"executor": "serial"},
    "updates": 2,
    "rollouts": 3,
    "survivors": 2,
    "training": {"steps": 12, "rungs": 2},
    "programs": False,
}
NUMBERS: Any = {
    "teacher": "tests.own_training:teacher_of_numbers",
    "task": "tests.own_training:numbers",
}
TEACHER = 401  # parameters


@pytest.fixture(autouse=True)
def trusted() -> Iterator[None]:
    """Read the runs of these tests as a user does who made them: with `--trust`."""
    with trusting():
        yield


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    limits = ["--max-parameters", "3e2", "--max-mb", 0.0012, "--max-macs", "2.6e2"]
    flags = [
        "--teacher",
        "tests.own_training:teacher_of_numbers",
        "--task",
        "tests.own_training:numbers",
    ]
    few = ["--updates", 2, "--rollouts", 3, "--set=survivors=2", "--set=training.steps=12"]
    few.append("--set=programs=false")
    where = ["--run", folder / "run", f"--set=cache={folder}", "--executor", "serial"]
    ended = nas("compress", *flags, *few, *limits, *where)
    assert ended.returncode == 0, ended.stderr
    assert "limits: " in ended.stdout and "of 300 parameters" in ended.stdout
    return folder / "run"


def test_every_student_uses_what_the_limits_allow(limited: Path) -> None:
    for record in results(limited):
        removed, _ = record["architecture"]["spec"]
        assert 300 * (0 if removed else 0.9) < record["parameters"] <= 300
        assert record["measures"]["bytes"] <= 1200
        assert record["measures"]["macs"] <= 260
        assert record["rungs"][0]["objective"] >= 0


def test_a_run_gets_a_new_target_without_a_new_search(limited: Path) -> None:
    before = results(limited)
    ended = nas("compress", "--resolve", limited, "--max-parameters", 100, "--json", "--trust")
    assert ended.returncode == 0, ended.stderr
    student = json.loads(ended.stdout)["student"]
    folder = limited / "resolved" / "max_parameters=100"
    assert student["path"] == str(folder / "student")
    assert count_parameters(load_student(folder / "student")) == student["parameters"] <= 100
    assert results(limited) == before
    (record,) = results(folder)
    assert [rung["step"] for rung in record["rungs"]] == [12]
    assert "is made for the limits" in ended.stderr
    assert f"a new target for {limited}" in nas("report", folder).stdout
    with pytest.raises(BadInput, match=f"{folder} holds no search: pass {limited} instead"):
        api.compress(resolve=folder, max_mb=0.001)


def test_a_student_of_the_record_that_meets_the_new_target_is_taken(limited: Path) -> None:
    finished = {r["number"]: r for r in results(limited) if r["rungs"][-1]["step"] == 12}
    summary = api.compress(resolve=limited, max_mb=0.0013)
    assert summary.measured is not None
    assert summary.folder == limited / "resolved" / "max_mb=0.0013"
    kept = finished[summary.measured.best]
    assert (summary.measured.student.validation) == kept["rungs"][-1]["metric"]
    assert max(r["measures"]["kept"] for r in finished.values()) == kept["measures"]["kept"]


def test_a_new_target_that_the_record_misses_is_reported(limited: Path) -> None:
    limits = ["--max-parameters", 60, "--set=least_accuracy=1", "--trust"]
    ended = nas("compress", "--resolve", limited, *limits)
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-1].startswith("nas: no student met the target: the closest")
    assert (
        "no student yet"
        in nas("report", limited / "resolved" / "max_parameters=60,least_accuracy=1").stdout
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a new target"),
        ({"max_mb": 1.0, "teacher": "resnet8"}, "leave out teacher"),
        (
            {"max_mb": 1e-5},
            "no student .* meets the limit of 1e-05 MB: the smallest has 6.8e-05 MB",
        ),
        ({"max_mb": 1.0}, "meets the limits as it is, with 0.00.* MB: ask for less"),
        ({"max_mb": 0.001, "resolve": "nowhere"}, "nowhere is not a run"),
    ],
)
def test_impossible_targets_are_refused(limited: Path, settings: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        api.compress(**{"resolve": limited, **settings})


def test_limits_that_no_student_meets_are_refused_before_any_work(tmp_path: Path) -> None:
    for limit, said in (
        (
            {"max_ms": 1e-6},
            "meets the limit of 1e-06 ms at batch 2 with 1 thread: the smallest takes ab",
        ),
        ({"max_parameters": 3}, "the smallest has 1. parameters"),
        ({"max_ms": 1e6}, "meets the limits as it is, with .* ms at batch 2 with 1 thread"),
    ):
        with pytest.raises(BadInput, match=said):
            api.compress(run=tmp_path / "run", cache=tmp_path, at_batch=2, **NUMBERS, **limit)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network takes a millisecond, and one for each 100 parameters; the table says half of it."""

    def taken(model: torch.nn.Module) -> float:
        return 1 + count_parameters(model) / 100

    monkeypatch.setattr(Meter, "times", lambda self, models, turns: [*map(taken, models)])
    monkeypatch.setattr(
        LatencyTable, "milliseconds", lambda self, model, inputs: count_parameters(model) / 200
    )


@pytest.mark.usefixtures("clock")
def test_milliseconds_are_met_though_the_prediction_is_off(tmp_path: Path) -> None:
    run: Any = {"run": tmp_path / "run", "cache": tmp_path}
    summary = api.compress(**SMALL, **NUMBERS, **run, max_ms=3.0)
    assert summary.measured is not None
    assert 0.85 * 3.0 <= summary.measured.limits.costs["milliseconds"] <= 3.0
    assert summary.measured.student.speed.milliseconds[1] <= 3.0
    assert "of 3 ms at batch 1 with 1 thread" in nas("report", tmp_path / "run").stdout
    again = api.compress(resolve=tmp_path / "run", max_ms=2.5)
    assert again.measured is not None
    assert 0.85 * 2.5 <= again.measured.limits.costs["milliseconds"] <= 2.5


@pytest.mark.usefixtures("clock")
def test_a_run_whose_students_miss_the_limits_says_what_came_closest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Meter.times

    def slower_at_the_end(self: Meter, models: list, turns: int) -> list[float]:
        return [t * (1.5 if n else 1) for n, t in enumerate(times(self, models, turns))]

    wide = Student((), (("0", 15),))
    monkeypatch.setattr(Adjusting, "__call__", lambda self, student: wide)
    monkeypatch.setattr(Meter, "times", slower_at_the_end)
    run: Any = {"run": tmp_path / "run", "cache": tmp_path}
    with pytest.raises(TargetNotMet, match=r"the closest has .* of 1.9 ms at batch 1 .*keeps"):
        api.compress(**SMALL, **NUMBERS, **run, max_ms=1.9)
    assert not (tmp_path / "run" / "student").exists()
    objectives = [r["rungs"][0]["objective"] for r in results(tmp_path / "run")]
    assert max(objectives) < 0


def test_a_teacher_of_several_inputs_is_compressed_within_a_limit(tmp_path: Path) -> None:
    flags = [
        "--teacher",
        "tests.own_training:TwoInputs",
        "--task",
        "tests.own_training:named_batches",
    ]
    few = ["--updates", 1, "--rollouts", 2, "--set=training.steps=6", "--set=survivors=1"]
    where = ["--run", tmp_path / "run", f"--set=cache={tmp_path}", "--executor", "serial"]
    limits = ["--max-parameters", 200, "--set=teacher_steps=60"]
    ended = nas("compress", *flags, *few, *limits, *where, "--json")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert facts["student"]["parameters"] <= 200 < facts["teacher"]["parameters"]
    student = load_student(Path(facts["student"]["path"]))
    inputs = {"points": torch.randn(5, 6), "group": torch.arange(5) % 4}
    program = torch.export.load(Path(facts["student"]["path"]) / "model.pt2").module()
    torch.testing.assert_close(program(**inputs), student(**inputs))


def test_a_student_is_the_teacher_of_a_smaller_one(limited: Path, tmp_path: Path) -> None:
    common: Any = {"task": NUMBERS["task"], "cache": tmp_path, "run": tmp_path / "run"}
    summary = api.compress(**SMALL, teacher=str(limited / "student"), **common, max_parameters=120)
    assert summary.measured is not None
    teacher = count_parameters(load_student(limited / "student"))
    assert summary.measured.teacher.speed.parameters == teacher
    assert count_parameters(load_student(summary.student_folder)) <= 120
    swept = api.sweep(
        model=str(limited / "student"),
        task=NUMBERS["task"],
        levels=(0.5,),
        programs=False,
        what=("weights", "channels"),
        recover_epochs=1,
        run=tmp_path / "sweep",
        execution={"executor": "serial"},
    )
    assert not [row.failed for row in swept.rows if row.failed]
    for folder in sorted((tmp_path / "sweep" / "pruned").iterdir()):
        load_student(folder)
