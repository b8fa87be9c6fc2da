"""What the tasks hold; what all owe their users is in tests/contracts/test_tasks.py."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.core.errors import BadInput
from nas.core.registry import load_task
from nas.core.task import Task
from nas.tasks.growing_memory import drawn_lengths
from nas.tasks.n_parity import NParity
from nas.tasks.reber import altered, draw, is_reber

TEXT = "".join(f"line {i} of a text , and more\n" for i in range(400))


@pytest.fixture(
    scope="module",
    params=[
        "python-text",
        "language-model",
        "masked-language-model",
        "reber",
        "n-parity",
        "digits",
    ],
)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Task:
    if request.param == "language-model":
        path = tmp_path_factory.mktemp("text") / "text.txt"
        path.write_text(TEXT)
        return load_task("language-model", {"data": path, "batch": 4, "window": 30})
    options = {"reber": {"strings": 400}, "python-text": {"limit_bytes": 1_000_000}}
    return load_task(request.param, options.get(request.param, {}))


def first(task: Task, seed: int, count: int = 5) -> list:
    return list(islice(task.training_batches(seed), count))


def test_perfect_answers_have_the_best_metric(task: Task) -> None:
    batch = next(task.validation_batches())
    sure = 50.0 * torch.nn.functional.one_hot(batch.targets.clamp(min=0), task.shape.outputs)
    measured = task.measure([(sure, batch.targets)])
    assert measured.loss == pytest.approx(0, abs=1e-6)
    assert measured.metric == pytest.approx(1.0)


def language(path: Path, **options):
    return load_task("language-model", {"data": path, **options})


def test_targets_are_the_next_tokens_and_windows_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    task = language(path, batch=4, window=30, level="byte")
    batches = first(task, 0, 6)
    inputs = torch.cat([b.inputs for b in batches], dim=1)
    targets = torch.cat([b.targets for b in batches], dim=1)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert len({b.inputs.shape[1] for b in batches}) > 1
    steps = inputs.shape[1]
    assert bytes(inputs[0].tolist()) == task.train[:steps].astype(np.uint8).tobytes()


def test_parts_are_recognised_by_their_names(tmp_path: Path) -> None:
    for name, word in (("wiki.train.tokens", "a"), ("wiki.valid.tokens", "b"), ("test.txt", "c")):
        (tmp_path / name).write_text(f"{word} x y z " * 100)
    (tmp_path / "README").write_text("nothing")
    task = language(tmp_path, level="word", batch=2)
    assert (len(task.train), len(task.valid), len(task.test)) == (400, 400, 400)
    assert task.vocabulary == 5
    assert (task.valid == 0).mean() == 0.25, "words that training does not have are unknown"


def test_a_corpus_without_training_text_trains_on_its_validation_text(tmp_path: Path) -> None:
    for name in ("valid", "test"):
        (tmp_path / f"{name}.txt").write_text(f"{name} x y z " * 500)
    task = language(tmp_path, level="word", batch=2)
    assert len(task.train) + len(task.valid) == len(task.test) == 2000
    assert len(task.train) > 10 * len(task.valid) > 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"ab", "tokens"),
        (b"\xff\xfe\x00", "not UTF-8 at byte 0"),
    ],
)
def test_an_unusable_text_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "some.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        language(path)
    assert words in str(error.value) and "some.txt" in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0}, "window is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"level": "letter"}, 'unknown level "letter"; choose auto, word, byte'),
    ],
)
def test_invalid_options_are_named(tmp_path: Path, options: dict, words: str) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    with pytest.raises(BadInput) as error:
        language(path, **options)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["BTXSE", "BPVVE", "BTSSXXTVVE", "BPTVPXVVE", "BTXXTTVPSE"])
def test_the_automaton_accepts_its_strings(text: str) -> None:
    assert is_reber(text)
    assert not is_reber(text[:-1])
    assert not is_reber(text + "E")


def test_the_lengths_of_reber_strings_agree_with_the_literature() -> None:
    rng = np.random.default_rng(0)
    texts = [draw(rng) for _ in range(4000)]
    assert all(map(is_reber, texts))
    lengths = np.bincount([len(text) for text in texts])
    assert min(np.nonzero(lengths)[0]) >= 11 and len(lengths) - 1 <= 53
    smooth = np.convolve(lengths, np.ones(5), "same")
    assert 18 <= int(smooth.argmax()) <= 26
    assert np.mean([is_reber(altered(text, rng)) for text in texts]) < 0.1


def test_reber_labels_are_balanced_and_correct() -> None:
    task = load_task("reber", {"strings": 400})
    assert len(task.train) + len(task.valid) + len(task.test) == 400
    for part in (task.train, task.valid, task.test):
        for row, length, target in zip(part.inputs, part.lengths, part.targets, strict=True):
            assert is_reber(bytes(row[:length].tolist()).decode()) == bool(target)
            assert not row[length:].any()
    assert np.mean(task.train.targets) == pytest.approx(0.5, abs=0.1)


def test_the_target_is_the_parity_of_the_marked_bits_and_n_grows() -> None:
    rng, counts = np.random.default_rng(0), np.array([2, 5, 9] * 40)
    batch = NParity(10, marks=True).draw(counts, drawn_lengths(counts, rng), rng)
    counted = batch.inputs >= 3
    assert counted.sum(dim=1).tolist() == [2, 5, 9] * 40
    assert torch.equal((batch.inputs == 4).sum(dim=1) % 2, batch.targets)
    last = torch.stack([row[n - 1] for row, n in zip(counted, batch.lengths, strict=True)])
    assert last.all(), "the bits that count are the last ones"
    task = load_task("n-parity", {"largest": 6, "steps_per_n": 2})
    newest = [int((b.inputs >= 3).sum(dim=1).max()) for b in first(task, 0, 12)]
    assert newest == [2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6]


def test_images_are_read_from_files_channels_first_and_normalised(
    data_folder: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "mnist.npz"  # a name without "test": its images are training images
    copied.write_bytes((data_folder / "vision" / "mnist_test.npz").read_bytes())
    mnist = load_task("images", {"data": copied})
    assert (mnist.shape.inputs, mnist.shape.height, mnist.shape.outputs) == (1, 28, 10)
    batch = next(mnist.training_batches(0)).inputs
    assert abs(float(batch.mean())) < 0.1 and float(batch.std()) == pytest.approx(1, abs=0.1)
    copied.write_bytes((data_folder / "vision" / "cifar10_test1k.npz").read_bytes())
    cifar = load_task("images", {"data": copied})
    assert (cifar.shape.inputs, cifar.shape.height, cifar.shape.outputs) == (3, 32, 10)
    # The mean of CIFAR-10's channels is published as 0.4914, 0.4822, 0.4465.
    assert np.array(cifar.mean) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.02)


def test_unusable_images_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 3, 3), np.float32), y=np.zeros(4))
    with pytest.raises(BadInput, match=r"a\.npz: images are float32"):
        load_task("images", {"data": tmp_path})
    np.savez(tmp_path / "a.npz", z=np.zeros(3))
    with pytest.raises(BadInput, match=r"a\.npz has the arrays z: add x or images"):
        load_task("images", {"data": tmp_path})
