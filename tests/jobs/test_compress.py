"""`nas compress` through the real command line, and what it refuses."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nas import api
from nas.core.errors import BadInput, TargetNotMet
from nas.core.settings import Named, read_config
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.distilled import Asked, Distilled, Known
from nas.jobs.compress.finish import _int8
from nas.jobs.compress.report import compress_table
from nas.jobs.compress.student_files import load_student
from nas.jobs.compress.summary import read_compression
from nas.models.eight_bits import FLOAT32, INT8, metric_of
from nas.models.source import find_model, weights_of
from nas.tasks.images import load_digits
from search_spaces.space import ModelSize
from tests.jobs.command import nas, results, start, wait_for

SETTINGS = {
    "teacher": "resnet8",
    "execution.executor": "serial",
    "updates": 2,
    "pool": 3,
    "rollouts": 2,
    "teacher_steps": 50,
    "training.steps": 8,
    "training.rungs": 2,
    "survivors": 1,
    "training.guide": "teacher",
    "training.noise": 0.01,
    "programs": False,
}


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("compress")
    written = {"cache": folder, "programs": True}
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, **written}.items()]
    files = ("--run", folder / "run", "--policy", folder / "policy.safetensors")
    ended = nas("compress", *settings, *files, "--json", fresh=True)
    assert ended.returncode == 0, ended.stderr
    assert "kept whole: linear (they are outputs of the network)" in ended.stderr
    assert "leaked" not in ended.stderr  # as nanobind says of objects that are frozen at exit
    return folder, json.loads(ended.stdout)


def test_a_student_is_smaller_and_its_files_give_the_same_answers(compressed) -> None:
    folder, facts = compressed
    teacher, student = facts["teacher"], facts["student"]
    assert student["parameters"] < teacher["parameters"]
    assert facts["compression"] == teacher["parameters"] / student["parameters"]
    trained = {r["digest"] for r in results(folder / "run") if r["rungs"]}
    assert facts["students_trained"] == len(trained)
    program = torch.export.load(Path(student["path"]) / "model.pt2").module()
    loaded, images = load_student(Path(student["path"])), torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(program(images), loaded(images))
    assert sum(p.numel() for p in loaded.parameters()) == student["parameters"]
    assert (folder / "run" / "report" / "students.svg").exists()
    assert "points of test accuracy" in (Path(student["path"]) / "README.md").read_text()
    assert (folder / "policy.safetensors").exists()


PROGRAMS = """
import sys
import numpy, onnxruntime, torch
images = torch.linspace(-1, 1, 3 * 64).view(3, 1, 8, 8)
torch.save(torch.export.load("model.pt2").module()(images), "answers.pt")
session = onnxruntime.InferenceSession("model.onnx")
numpy.save("answers.npy", session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])
assert not any(name.split(".")[0] in ("nas", "compress", "kernels") for name in sys.modules)
"""


def test_its_programs_give_the_same_answers_without_us(compressed, tmp_path: Path) -> None:
    _, facts = compressed
    student = Path(facts["student"]["path"])
    for file in ("model.pt2", "model.onnx"):
        shutil.copy(student / file, tmp_path)
    subprocess.run([sys.executable, "-c", PROGRAMS], cwd=tmp_path, check=True)
    expected = load_student(student)(torch.linspace(-1, 1, 3 * 64).view(3, 1, 8, 8))
    torch.testing.assert_close(torch.load(tmp_path / "answers.pt"), expected)
    onnx = torch.from_numpy(np.load(tmp_path / "answers.npy"))
    torch.testing.assert_close(onnx, expected, atol=1e-5, rtol=1e-4)


def test_the_student_is_tested_and_timed_in_int8(compressed) -> None:
    folder, facts = compressed
    int8, files = facts["student"]["int8"], Path(facts["student"]["path"])
    assert int8["bytes"] == (files / INT8).stat().st_size
    assert int8["float32_bytes"] == (files / FLOAT32).stat().st_size > 2 * int8["bytes"]
    task = find_model("resnet8", None, Named(name="digits"), ModelSize())[1]
    assert int8["metric"] == metric_of(files / INT8, task, task.test_batches())
    assert abs(int8["metric"] - facts["student"]["accuracy"]) < 0.1
    said = nas("report", folder / "run").stdout
    assert "kept whole: linear (they are outputs of the network)" in said
    assert "int8 accuracy" in said and "int8 milliseconds_batch_1 (ONNX)" in said
    assert max(len(line) for line in said.splitlines() if "(ONNX)" in line) <= 80


def test_a_failing_quantiser_costs_the_copy_and_not_the_run(compressed, monkeypatch) -> None:
    def failing(*arguments: object) -> None:
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setattr("nas.jobs.compress.finish.measured_int8", failing)
    folder, facts = compressed
    task = find_model("resnet8", None, Named(name="digits"), ModelSize())[1]
    assert _int8(Path(facts["student"]["path"]), task) == "no such operator"
    summary = read_compression(folder / "run")
    assert summary.measured is not None
    without = replace(summary, measured=replace(summary.measured, int8="no such operator"))
    assert compress_table(without).endswith("no int8 copy: no such operator")


def test_the_student_is_exported_with_its_int8_copy(compressed, tmp_path: Path) -> None:
    folder, facts = compressed
    ended = nas("export", folder / "run", "--to", tmp_path / "to", "--int8")
    assert ended.returncode == 0, ended.stderr
    assert "of the predictions are the same" in ended.stdout
    files = Path(facts["student"]["path"])
    assert (tmp_path / "to" / INT8).read_bytes() == (files / INT8).read_bytes()


def test_the_best_of_the_screened_pool_open_the_search(compressed) -> None:
    folder, _ = compressed
    found = results(folder / "run")
    pool, later = found[:3], found[3:]
    worth = {r["number"]: r["scores"]["untrained-reward"] for r in pool if r["scores"]}
    opened = {r["number"] for r in pool if r["rungs"]}
    assert opened == set(sorted(worth, key=worth.get)[-2:])
    assert len(opened) + len(later) == 2 * 2


def test_a_killed_run_continues_and_loses_no_student(tmp_path: Path) -> None:
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, "cache": tmp_path}.items()]
    run = tmp_path / "run"
    driver = start("compress", *settings, "--updates", 4, "--run", run)
    wait_for(driver, lambda: any(r["rungs"] for r in results(run)))
    driver.kill()
    driver.communicate()
    before = [r for r in results(run) if r["rungs"]]
    ended = nas("compress", *settings, "--updates", 4, "--run", run, "--json")
    assert ended.returncode == 0, ended.stderr
    after = results(run)
    assert len(after) == 3 + 4 * 2 - 2
    for record in before:
        (kept,) = [r for r in after if r["number"] == record["number"]]
        assert kept["rungs"][0] == record["rungs"][0]
    trained = [r["digest"] for r in after if r["rungs"] and r["duplicate_of"] is None]
    assert len(trained) == len(set(trained))


def test_a_network_of_a_searched_cell_is_compressed(tmp_path: Path) -> None:
    config = read_config(
        CompressConfig,
        None,
        (),
        {
            **SETTINGS,
            "teacher": "reber-gru",
            "teacher_steps": 250,
            "training.guide": "none",
            "task.strings": 2000,
            "size.layers": 1,
            "size.hidden": 24,
            "updates": 1,
            "run": tmp_path / "run",
            "cache": tmp_path,
        },
    )
    summary = api.compress(config)
    teacher, small = summary.measured.teacher, summary.measured.student
    assert small.widths["layers.0"] < teacher.widths["layers.0"] == 24
    student = load_student(summary.student_folder)
    assert student.layers[0].hidden_size == small.widths["layers.0"]


def test_a_network_that_cannot_be_exported_keeps_its_report_and_its_code(tmp_path: Path) -> None:
    settings = {**SETTINGS, "teacher": "tests.models.own_networks:Packed", "cache": tmp_path}
    settings |= {
        "teacher_steps": 150,
        "training.guide": "none",
        "updates": 1,
        "pool": 0,
        "programs": True,
    }
    asked = [f"--set={key}={value}" for key, value in settings.items()]
    ended = nas("compress", *asked, "--run", tmp_path / "run", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "model.pt2 failed and is left out" in ended.stderr
    student = json.loads(ended.stdout)["student"]
    assert student["files"]["takes"] == {"model.py": "any number of inputs"}
    assert student["files"]["failed"].keys() == {"model.pt2", "model.onnx"}
    assert "model.pt2 failed: " in nas("report", tmp_path / "run").stdout
    assert "from model import load" in (Path(student["path"]) / "README.md").read_text()


def test_a_language_model_is_compressed_with_its_teachers_live_answers(
    tmp_path: Path,
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 400)
    flags = ["--teacher", "gru", "--task", "language-model", "--data", text, "--json"]
    sizes = {"size.embedding": 8, "size.hidden": 24, "size.layers": 2, "teacher_steps": 60}
    task = {"task.batch": 4, "task.window": 16, "task.score_window": 8, "task.level": "byte"}
    asked = {"training.guide": "none", "teacher": "gru", "cache": tmp_path}
    settings = {**SETTINGS, **sizes, **task, **asked}
    asked = [f"--set={key}={value}" for key, value in settings.items()]
    ended = nas("compress", *flags, *asked, "--run", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert facts["compression"] > 1
    assert 1 < facts["teacher"]["perplexity"] < 256 / 1.5
    assert facts["student"]["perplexity"] > 1
    assert not list(tmp_path.glob("logits-*"))
    printed = nas("report", tmp_path / "run").stdout
    assert "test perplexity" in printed.splitlines()[0]


def test_a_live_teacher_carries_its_state() -> None:
    named = Named(name="python-text", batch=2, window=16)
    subject, task = find_model("gru", None, named, ModelSize(8, 12, 1))
    subject = replace(subject, weights=weights_of(subject.build(3)))
    whole, state = subject.build(0).eval(), None
    batches = Distilled(task, Asked(task, subject)).training_batches(0)
    for batch, distilled in islice(zip(task.training_batches(0), batches, strict=False), 3):
        with torch.no_grad():
            expected, state, _ = whole(batch.inputs, state, None)
        torch.testing.assert_close(distilled.targets, expected)


def test_the_student_is_exported_unchanged(compressed, tmp_path: Path) -> None:
    folder, facts = compressed
    ended = nas("export", folder / "run", "--best", "--to", tmp_path / "to")
    assert ended.returncode == 0, ended.stderr
    assert "model.pt2" in ended.stdout
    copied, kept = load_student(tmp_path / "to"), load_student(Path(facts["student"]["path"]))
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(copied(images), kept(images))


def test_a_continued_run_trains_no_student_again(compressed) -> None:
    folder, facts = compressed
    before = results(folder / "run")
    config = read_config(CompressConfig, None, (), {**SETTINGS, "run": folder / "run"})
    summary = api.compress(config.model_copy(update={"cache": folder}))
    assert results(folder / "run") == before
    assert summary.best.digest == facts["student"]["digest"]
    assert summary.measured.student.tested == facts["student"]["accuracy"]
    assert len(list(folder.glob("logits-*.npy"))) == 1


def test_a_missed_target_is_reported(compressed) -> None:
    folder, _ = compressed
    settings = {**SETTINGS, "run": folder / "strict", "updates": 1, "least_accuracy": 1.0}
    config = read_config(CompressConfig, None, (), {**settings, "cache": folder})
    with pytest.raises(TargetNotMet, match=r"keeps \d+\.\d% of the accuracy"):
        api.compress(config)
    assert TargetNotMet.exit_code == 3


def test_the_search_cannot_read_the_test_data() -> None:
    task = load_digits()
    distilled = Distilled(task, Known(task, np.zeros((len(task.train), 10), np.float32)))
    with pytest.raises(RuntimeError, match="used once, at the end"):
        distilled.test_batches()


def test_a_student_learns_the_teachers_answers_to_the_images_it_sees() -> None:
    task = load_digits(batch=16)
    logits = np.eye(10, dtype=np.float32)[task.train.targets]
    ours = next(Distilled(task, Known(task, logits)).training_batches(3))
    labelled = next(task.training_batches(3))
    assert torch.equal(ours.inputs, labelled.inputs)
    assert torch.equal(ours.targets.argmax(1), labelled.targets)


def test_a_policy_file_is_learnt_by_a_policy_gradient() -> None:
    assert CompressConfig().controller.name == "mcts"
    assert CompressConfig.model_validate({"policy": "p"}).controller.name == "policy-gradient"
    given = CompressConfig.model_validate({"policy": "p", "controller": "n2n"})
    assert given.controller.name == "n2n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_compression": 1e6}, "the smallest has"),
        ({"teacher_steps": 1}, "which is guessing among 10 classes"),
        ({"weights": "none.pt", "task": "digits"}, "none.pt does not exist"),
        ({"task": "masked-language-model"}, "resnet8 cannot take inputs of 128"),
        ({"policy": "p", "controller": "random"}, "trains no policy"),
        ({"task": "reber"}, "resnet8 cannot take inputs of 49"),
    ],
)
def test_bad_settings_of_a_compression_are_refused(tmp_path: Path, settings, message: str) -> None:
    run = tmp_path / "run"
    execution = {"executor": "serial"}
    with pytest.raises(BadInput, match=message):
        api.compress(teacher="resnet8", run=run, cache=tmp_path, execution=execution, **settings)
    assert not run.exists()
