"""Networks, data, losses and loops of the user, through compress, sweep and search."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from nas import api
from nas.core.errors import BadInput, NasError
from nas.core.settings import Named
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.student_files import load_student
from nas.jobs.compress.teacher import answers_of, find_teacher
from nas.models.trained import only_guesses
from nas.tasks.images import load_digits
from tests import own_training
from tests.jobs.command import nas

SMALL = {
    "execution": {"executor": "serial"},
    "updates": 1,
    "rollouts": 2,
    "survivors": 1,
    "training": {"steps": 6, "rungs": 2},
    "programs": False,
}
HERE = "tests.own_training"


def compress(folder: Path, teacher: str, task: str, **settings):
    settings = {**SMALL, "run": folder / "run", "cache": folder, **settings}
    return api.compress(teacher=f"{HERE}:{teacher}", task=f"{HERE}:{task}", **settings)


def test_a_teacher_that_comes_trained_is_measured_and_kept(tmp_path: Path) -> None:
    flags = ["--teacher", "own_training:teacher_of_numbers", "--task", "own_training:numbers"]
    few = ["--updates", 1, "--rollouts", 2, "--set=training.steps=6", "--set=survivors=1"]
    few.append("--set=programs=false")
    folders = ["--run", tmp_path / "run", f"--set=cache={tmp_path}"]
    ended = nas("compress", *flags, *few, "--executor", "serial", *folders, "--json")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    said = "teacher own_training:teacher_of_numbers: r2 0.9"
    assert facts["note"].startswith(said)
    assert facts["note"].endswith("on the validation data, weights kept as they are")
    assert facts["note"] in ended.stderr
    assert facts["note"] in nas("report", tmp_path / "run").stdout
    task = own_training.numbers()
    answers = [
        (own_training.teacher_of_numbers()(own_training.POINTS[128:]), b.targets)
        for b in task.test_batches()
    ]
    assert facts["teacher"]["r2"] == pytest.approx(task.measure(answers).metric, abs=2e-3)
    assert facts["compression"] > 1


def test_a_teacher_that_only_guesses_is_trained_and_that_is_said(tmp_path: Path) -> None:
    summary = compress(tmp_path, "untrained", "classes", teacher_steps=40)
    assert "no better than guessing: it is trained for 40 steps" in summary.note
    assert summary.measured.teacher.tested > 0.75


def test_students_of_a_teacher_without_labels_keep_its_embeddings(tmp_path: Path) -> None:
    summary = compress(tmp_path, "encoder", "embeddings", pool=2)
    assert (summary.metric, summary.measured.teacher.tested) == ("cosine", pytest.approx(1.0))
    assert 0 < summary.measured.student.tested < 1
    scores = [c.scores["untrained-reward"] for c in summary.candidates if c.scores]
    assert all(0 <= score <= 1 for score in scores)


def test_the_targets_of_an_embedding_task_are_what_students_learn(tmp_path: Path) -> None:
    config = CompressConfig(
        teacher=f"{HERE}:encoder", task=Named(name=f"{HERE}:embeddings"), cache=tmp_path
    )
    source, task = find_teacher(config)
    answered = next(answers_of(source, task, tmp_path).training_batches(0))
    assert torch.equal(answered.targets, next(task.training_batches(0)).targets)
    assert answers_of(source, task, tmp_path) is task  # the teacher answers each batch once


def test_own_loss_and_metric_judge_the_students(tmp_path: Path) -> None:
    summary = compress(tmp_path, "network", "own_functions")
    assert summary.metric == "share_near"
    assert "weights kept as they are" in summary.note


@pytest.mark.parametrize("network", ["TwoAnswers", "NamedAnswers"])
def test_networks_that_return_more_than_logits_are_compressed(network: str, tmp_path: Path) -> None:
    found = compress(tmp_path, network, "images", teacher_steps=80, programs=True)
    student = load_student(found.student_folder)
    images = torch.rand(3, 1, 6, 6)
    program = torch.export.load(found.student_folder / "model.pt2").module()
    torch.testing.assert_close(program(images), student(images))


def test_networks_that_return_more_than_logits_are_swept(tmp_path: Path) -> None:
    execution = {"executor": "serial"}
    common = {"task": f"{HERE}:images", "levels": (0.5,), "recover_epochs": 1, "epoch_steps": 2}
    for network in ("TwoAnswers", "NamedAnswers"):
        summary = api.sweep(
            model=f"{HERE}:{network}",
            what=("weights", "channels"),
            run=tmp_path / network,
            train_epochs=1,
            programs=network == "NamedAnswers",
            execution=execution,
            **common,
        )
        assert not [row.failed for row in summary.rows if row.failed]


def test_a_sweep_keeps_the_weights_that_a_function_gives(tmp_path: Path) -> None:
    flags = ["--model", "own_training:teacher_of_numbers", "--task", "own_training:numbers"]
    more = ["--levels", "0.3", "--recover-epochs", 1, "--executor", "serial"]
    more.append("--set=programs=false")
    ended = nas("sweep", *flags, *more, "--run", tmp_path / "run", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "model own_training:teacher_of_numbers: r2 0.9" in ended.stderr
    (row,) = json.loads(ended.stdout)["rows"]
    assert row["metric_dense"] == pytest.approx(0.9199, abs=2e-3)
    assert "weights kept as they are" in nas("report", tmp_path / "run").stdout


def test_a_network_of_several_inputs_is_swept(tmp_path: Path) -> None:
    summary = api.sweep(
        model=own_training.TwoInputs,
        task=own_training.named_batches,
        levels=(0.5,),
        recover_epochs=2,
        programs=False,
        run=tmp_path / "run",
        execution={"executor": "serial"},
    )
    (row,) = summary.rows
    assert row.failed is None
    assert row.metric_after < row.metric_before  # mean squared errors


def test_cells_are_searched_for_a_task_of_ones_own(tmp_path: Path) -> None:
    summary = api.search(
        task=f"{HERE}:sequences",
        candidates=2,
        survivors=1,
        model={"hidden": 8, "layers": 1, "embedding": 8},
        training={"steps": 3, "rungs": 1},
        scores=("parameters",),
        execution={"executor": "serial"},
        run=tmp_path / "run",
    )
    assert summary.candidates
    with pytest.raises(BadInput, match="spaces have networks for one tensor"):
        api.search(task=f"{HERE}:classes", run=tmp_path / "other")
    with pytest.raises(BadInput, match="make the task with outputs=NUMBER"):
        api.search(task=f"{HERE}:sequences_of_own_loss", run=tmp_path / "other")


def test_the_users_loop_trains_each_stretch(tmp_path: Path) -> None:
    own_training.CALLS.clear()
    fit = f"{HERE}:fit"
    summary = compress(tmp_path, "teacher_of_numbers", "numbers", fit=fit, inherit=False)
    best = summary.best
    assert own_training.CALLS == [1, 1, 5]  # two students; then the best of them, up to step 6
    assert [rung.step for rung in best.rungs] == [1, 6]
    assert best.rungs[-1].loss < best.rungs[0].loss


@pytest.mark.parametrize(
    ("fit", "packages"),
    [
        ("fit_with_lightning", ["lightning"]),
        ("fit_with_transformers", ["transformers", "accelerate"]),
    ],
)
def test_loops_of_other_libraries_train_students(fit: str, packages: list[str], tmp_path) -> None:
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    summary = compress(tmp_path, "teacher_of_numbers", "numbers", fit=f"{HERE}:{fit}")
    assert summary.measured


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": f"{HERE}:bad_loss"}, 'loss "each_error" returned a tensor of shape \\[32, 1\\]'),
        ({"task": f"{HERE}:bad_metric"}, 'metric "each_error" returned a tensor of shape'),
        ({"task": f"{HERE}:empty"}, "train yields no batches"),
        ({"teacher": f"{HERE}:needs_width"}, "needs width, but only classes and channels"),
        ({"teacher": f"{HERE}:untrained", "task": f"{HERE}:own_functions"}, "outputs=NUMBER"),
        ({"teacher": f"{HERE}:fit"}, "needs model, but only classes and channels are passed"),
        ({"teacher": f"{HERE}:broken"}, "broken.*: FileNotFoundError: .*nowhere.pt"),
        ({"training": {"method": "kl"}}, '"kl" compares probabilities of classes'),
        (
            {"fit": f"{HERE}:nothing"},
            'fit "tests.own_training:nothing": module .* has no "nothing"',
        ),
        ({"fit": "nowhere:fit"}, 'fit "nowhere:fit" cannot be imported'),
        ({"fit": "fit"}, 'fit "fit" names no function'),
        ({"fit": f"{HERE}:encoder"}, "does not take a network and a number of steps"),
        ({"teacher": own_training.encoder()}, r"teacher is a network \(Sequential\): write a func"),
        ({"teacher": lambda: None}, "teacher is .*<lambda> of .*, which workers cannot import"),
    ],
)
def test_bad_input_gets_one_line(settings, said: str, tmp_path: Path) -> None:
    given = {"teacher": own_training.teacher_of_numbers, "task": own_training.numbers, **settings}
    with pytest.raises(BadInput, match=said) as refused:
        api.compress(**{**SMALL, "run": tmp_path / "run", **given})
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_loop_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"no student could be trained.*KeyError"):
        compress(tmp_path, "teacher_of_numbers", "numbers", fit=f"{HERE}:failing_fit")


def test_few_classes_are_no_reason_to_train_a_trained_network_again() -> None:
    assert not only_guesses(own_training.classes(), 0.7)
    assert only_guesses(own_training.classes(), 0.52)
    assert only_guesses(load_digits(), 0.14)
    assert not only_guesses(load_digits(), 0.16)
    assert not only_guesses(own_training.embeddings(), 0.01)


def test_workers_are_sent_a_task_of_loaders_and_data_that_cannot_be_sent_is_refused(
    tmp_path: Path,
) -> None:
    flags = ["--teacher", "own_training:teacher_of_numbers", "--updates", 1, "--rollouts", 2]
    few = ["--set=training.steps=4", "--set=survivors=1", "--workers", 1, f"--set=cache={tmp_path}"]
    few.append("--set=programs=false")
    for task, code in (("numbers", 0), ("locked", 2)):
        given = ["--task", f"own_training:{task}", "--run", tmp_path / task]
        ended = nas("compress", *flags, *few, *given)
        assert ended.returncode == code, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(
        "nas: a CompressJob cannot be sent to workers (cannot pickle '_thread.lock"
    )
