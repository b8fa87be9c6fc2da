"""`nas compress` through the real command line, and what it must never do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nas import api
from nas.compressing.config import CompressConfig
from nas.compressing.student_files import load_student
from nas.config import read_config
from nas.errors import BadInput, TargetNotMet
from nas.tasks.distilled import Distilled
from nas.tasks.images import load_digits
from tests.jobs.command import nas, results

SETTINGS = {
    "teacher": "resnet8",
    "execution.executor": "serial",
    "updates": 2,
    "rollouts": 2,
    "teacher_steps": 50,
    "training.steps": 8,
    "training.rungs": 2,
    "survivors": 1,
    "training.guide": "teacher",
    "training.noise": 0.01,
}


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("compress")
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, "cache": folder}.items()]
    files = ("--run", folder / "run", "--policy", folder / "policy.safetensors")
    ended = nas("compress", *settings, *files, "--json")
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout)


def test_a_student_is_smaller_and_its_files_answer_alike(compressed) -> None:
    folder, facts = compressed
    teacher, student = facts["teacher"], facts["student"]
    assert student["parameters"] < teacher["parameters"]
    assert facts["compression"] == teacher["parameters"] / student["parameters"]
    assert facts["students_trained"] == len({r["digest"] for r in results(folder / "run")})
    program = torch.export.load(Path(student["path"]) / "model.pt2").module()
    loaded, images = load_student(Path(student["path"])), torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(program(images), loaded(images))
    assert sum(p.numel() for p in loaded.parameters()) == student["parameters"]
    assert (folder / "run" / "report" / "students.svg").exists()
    assert "points of test accuracy" in (Path(student["path"]) / "README.md").read_text()
    assert (folder / "policy.safetensors").exists()


def test_the_student_is_exported_as_it_is(compressed, tmp_path: Path) -> None:
    folder, facts = compressed
    ended = nas("export", folder / "run", "--best", "--to", tmp_path / "to")
    assert ended.returncode == 0, ended.stderr
    assert "model.pt2" in ended.stdout
    copied, kept = load_student(tmp_path / "to"), load_student(Path(facts["student"]["path"]))
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(copied(images), kept(images))


def test_a_run_that_goes_on_trains_nobody_again(compressed) -> None:
    folder, facts = compressed
    before = results(folder / "run")
    config = read_config(CompressConfig, None, (), {**SETTINGS, "run": folder / "run"})
    summary = api.compress(config.model_copy(update={"cache": folder}))
    assert results(folder / "run") == before
    assert summary.best.digest == facts["student"]["digest"]
    assert summary.student.accuracy == facts["student"]["accuracy"]
    assert len(list(folder.glob("logits-*.npy"))) == 1


def test_a_target_that_no_student_met_is_said(compressed) -> None:
    folder, _ = compressed
    settings = {**SETTINGS, "run": folder / "strict", "updates": 1, "least_accuracy": 1.0}
    config = read_config(CompressConfig, None, (), {**settings, "cache": folder})
    with pytest.raises(TargetNotMet, match=r"keeps \d+\.\d% of the accuracy"):
        api.compress(config)
    assert TargetNotMet.exit_code == 3


def test_the_search_cannot_read_the_test_data() -> None:
    task = load_digits()
    distilled = Distilled(task, np.zeros((len(task.train), 10), np.float32))
    with pytest.raises(RuntimeError, match="used once, at the end"):
        distilled.test_batches()


def test_a_student_learns_the_teachers_answers_to_the_very_images_it_sees() -> None:
    task = load_digits(batch=16)
    logits = np.eye(10, dtype=np.float32)[task.train.targets]
    ours = next(Distilled(task, logits).training_batches(3))
    labelled = next(task.training_batches(3))
    assert torch.equal(ours.inputs, labelled.inputs)
    assert torch.equal(ours.targets.argmax(1), labelled.targets)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_compression": 1e6}, "the smallest has"),
        ({"teacher_steps": 1}, "which is guessing among 10 classes"),
        ({"weights": "none.pt", "task": "digits"}, "none.pt does not exist"),
        ({"task": "python-text"}, "python-text is no classification"),
        ({"policy": "p", "controller": "random"}, "trains no policy"),
        ({"task": "reber"}, "resnet8 cannot take inputs of 49"),
    ],
)
def test_what_cannot_be_compressed_is_refused(tmp_path: Path, settings, said: str) -> None:
    run = tmp_path / "run"
    execution = {"executor": "serial"}
    with pytest.raises(BadInput, match=said):
        api.compress(teacher="resnet8", run=run, cache=tmp_path, execution=execution, **settings)
    assert not run.exists()
