"""Every task keeps the contract; a task that needs no data joins by its name in `OPTIONS`."""

import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from nas.core.registry import BUILT_IN, load_task
from nas.core.task import Measured
from nas.tasks.mad import Kind
from nas.testing import check_task
from search_spaces.space import DataShape
from tests.toys import Quadrants

TEXT = "".join(f"line {i} of a text , and more\n" for i in range(400))
OPTIONS = {
    "python-text": {"limit_bytes": 1_000_000},
    "language-model": {"batch": 4, "window": 30},
    "masked-language-model": {},
    "reber": {"strings": 400},
    "n-parity": {},
    "digits": {},
    "images": {},
    "sequences": {},
    "arithmetic": {},
    "state-tracking": {},
    "recall": {"passes": 2},
    "mad": {},
    "delayed-match": {},
    "copying": {},
    "selective-copying": {},
    "state-capacity": {},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each task that reads one."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    (folder / "text.txt").write_text(TEXT)
    pixels = rng.integers(0, 256, (200, 6, 5, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", x=pixels, y=labels)
    steps = rng.normal(size=(200, 7, 4)).astype(np.float32)
    np.savez(folder / "sequences.npz", x=steps, y=labels, length=np.full(200, 7))
    files = {"language-model": "text.txt", "images": "images.npz", "sequences": "sequences.npz"}
    return {name: folder / file for name, file in files.items()}


@pytest.mark.parametrize("kind", get_args(Kind)[1:])
def test_every_kind_of_mad_keeps_the_contract(kind: str) -> None:
    check_task(load_task("mad", {"kind": kind, "longest": 64, "batch": 4}))


@pytest.mark.parametrize("name", BUILT_IN["tasks"])
def test_it_keeps_the_contract(name: str, data: dict[str, Path]) -> None:
    given = {"data": data[name]} if name in data else {}
    check_task(load_task(name, {**OPTIONS[name], **given}))


COUNT = itertools.count()


class WithTestSets(Quadrants):
    def test_sets(self):
        return {"first": self._sets(0), "second": self._sets(1)}

    def _sets(self, number):
        yield self._batch([5, number])


@pytest.mark.parametrize("task", [Quadrants(), WithTestSets()])
def test_what_is_not_broken_passes(task) -> None:
    check_task(task)


class NewTestSetEachTime(WithTestSets):
    def _sets(self, number):
        yield self._batch([next(COUNT)])


class EmptyTestSet(WithTestSets):
    def _sets(self, number):
        return iter(())


class AnotherShapeInTestSet(WithTestSets):
    def _sets(self, number):
        batch = self._batch([number])
        yield batch._replace(targets=batch.targets + 2)


class NewBatchesEachTime(Quadrants):
    def training_batches(self, seed):
        return super().training_batches(next(COUNT))


class SameForEverySeed(Quadrants):
    def training_batches(self, seed):
        return super().training_batches(0)


class GlobalRandomness(Quadrants):
    def training_batches(self, seed):
        return super().training_batches(seed + np.random.randint(1000))


class RunsOut(Quadrants):
    def training_batches(self, seed):
        return itertools.islice(super().training_batches(seed), 20)


class WrongShape(Quadrants):
    shape = DataShape("features", 3, 2, every_step=False)


class TooFewAnswers(Quadrants):
    shape = DataShape("features", 2, 1, every_step=False)


class NewValidationEachTime(Quadrants):
    def validation_batches(self):
        return iter([self._batch([next(COUNT)])])


class NothingToValidate(Quadrants):
    def validation_batches(self):
        return iter(())


class NewScoreBatchEachTime(Quadrants):
    def score_batch(self, seed):
        return self._batch([next(COUNT)])


class HoldsAFunction(Quadrants):
    def __init__(self) -> None:
        self.draw = lambda: None


class WrongWayRound(Quadrants):
    higher_is_better = False


class ReturnsAPair(Quadrants):
    def measure(self, answered):
        return tuple(super().measure(answered))


class NoGradient(Quadrants):
    def loss(self, answers, targets):
        return super().loss(answers.detach(), targets)


class NotFinite(Quadrants):
    def measure(self, answered):
        return Measured(torch.nan, 1.0)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (object(), "object has no name, metric"),
        (NewBatchesEachTime(), "training batches differ for the same seed"),
        (SameForEverySeed(), "training batches are the same for every seed"),
        (GlobalRandomness(), "training batches use the global random state"),
        (RunsOut(), "training_batches ends after less than 200 batches"),
        (WrongShape(), r"the inputs of a training batch are \(32, 1, 2\): .* \(32, 1, 3\)"),
        (TooFewAnswers(), "the targets of a training batch reach 1: .* 0 to 0"),
        (NewValidationEachTime(), "validation batches differ from call to call"),
        (NothingToValidate(), "there are no validation batches"),
        (NewScoreBatchEachTime(), "score_batch differs for the same seed"),
        (HoldsAFunction(), "hold arrays and numbers only"),
        (WrongWayRound(), "the loss must be lower and accuracy lower; see higher_is_better"),
        (ReturnsAPair(), r"return Measured\(loss, metric\)"),
        (NotFinite(), r"return Measured\(loss, metric\), finite"),
        (NewTestSetEachTime(), 'test set "first" differs from call to call'),
        (EmptyTestSet(), "test set 'first' has 0 batches"),
        (AnotherShapeInTestSet(), 'a batch of test set "first" reach 3: .* 0 to 1'),
        (NoGradient(), "the gradient of loss raises RuntimeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Quadrants) else "",
)
def test_what_is_broken_is_caught(task, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_task(task)
