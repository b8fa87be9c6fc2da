"""Tasks made of loaders: the same batches for the same seed, and goals over the whole data."""

import math
import random
from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from nas.core.errors import BadInput
from nas.core.task import Task
from nas.tasks import LoaderTask
from search_spaces.space import DataShape
from tests.own_training import CLASSES, NUMBERS, POINTS, classes, encoder, parts

X, Y = torch.arange(24.0).view(12, 2), torch.arange(12.0)


class Noisy(Dataset):
    """Examples with noise from all three generators."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> tuple[torch.Tensor, float]:
        return X[i] + torch.rand(2) + np.random.rand() + random.random(), float(Y[i])


def drawn(task: LoaderTask, seed: int, number: int = 8) -> list[torch.Tensor]:
    return [batch.inputs for batch in islice(task.training_batches(seed), number)]


def test_the_same_seed_gives_the_same_batches_whatever_is_drawn_between_them() -> None:
    task = LoaderTask("regression", DataLoader(Noisy(), 5, shuffle=True), [(X, Y)])
    first, again = drawn(task, 1), []
    for batch in islice(task.training_batches(1), 8):
        again.append(batch.inputs)
        torch.rand(3), np.random.rand(), random.random()
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], drawn(task, 2)[0])
    assert not torch.equal(first[0], first[3])  # the next pass has another order


def test_a_loader_leaves_the_generators_of_others_alone() -> None:
    generator = torch.Generator()
    loader = DataLoader(Noisy(), 5, shuffle=True, generator=generator)
    task = LoaderTask("regression", loader, [(X, Y)])
    torch.manual_seed(0)
    alone = torch.rand(3)
    torch.manual_seed(0)
    first = drawn(task, 1)
    assert torch.equal(torch.rand(3), alone)
    assert all(map(torch.equal, first, drawn(task, 1)))


@pytest.mark.parametrize(
    ("batch", "inputs", "targets"),
    [
        ((X, Y), X, Y),
        (((X, X), Y), (X, X), Y),
        ((X, X, Y), (X, X), Y),
        ({"a": X, "b": X, "labels": Y}, {"a": X, "b": X}, Y),
        ((X.numpy(), Y.numpy()), X, Y),
    ],
)
def test_a_batch_is_inputs_and_targets(batch, inputs, targets) -> None:
    (found,) = LoaderTask("regression", [batch], [batch]).validation_batches()
    assert str(found.inputs) == str(inputs)
    assert torch.equal(found.targets, targets)


def test_the_shape_comes_from_the_data() -> None:
    images = [(torch.zeros(2, 3, 8, 9), torch.tensor([4, 0]))]
    assert classes().shape == DataShape("other", 6, 2, every_step=False)
    assert LoaderTask("classification", images, images).shape == DataShape(
        "images", 3, 5, every_step=False, height=8, width=9
    )
    tokens = [(torch.zeros(2, 7, dtype=torch.long), torch.full((2, 7), 3))]
    task = LoaderTask("language-model", tokens, tokens, inputs=9, outputs=9)
    assert task.shape == DataShape("tokens", 9, 9, every_step=True)
    assert isinstance(task, Task)


def measured(task: LoaderTask, *answered):
    batches = list(task.validation_batches())
    return task.measure(zip(answered, (b.targets for b in batches), strict=True))


def in_two(x: torch.Tensor, y: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of unequal sizes, for which a mean of means is wrong."""
    return [(x[:9], y[:9]), (x[9:], y[9:])]


def test_regression_is_measured_over_the_whole_data() -> None:
    predicted = Y + torch.linspace(-1, 2, 12)
    answers = predicted[:9, None], predicted[9:, None]
    spread = (Y - Y.mean()).square().sum()
    expected = {
        "mse": (predicted - Y).square().mean(),
        "mae": (predicted - Y).abs().mean(),
        "r2": 1 - (predicted - Y).square().sum() / spread,
    }
    for metric, value in expected.items():
        task = LoaderTask("regression", in_two(X, Y), in_two(X, Y), metric=metric)
        found = measured(task, *answers)
        assert found.metric == pytest.approx(float(value), rel=1e-6)
        assert found.loss == pytest.approx(float(expected["mse"]), rel=1e-6)
        assert task.higher_is_better == (metric == "r2")


def test_labels_that_are_ignored_do_not_count() -> None:
    targets = torch.tensor([[0, 1, -100], [1, -100, -100]])
    logits = functional.one_hot(torch.tensor([[0, 0, 0], [1, 0, 0]]), 2).float()
    data = [(torch.zeros(2, 3, 4), targets)]
    found = measured(LoaderTask("sequence-labels", data, data), {"logits": logits})
    assert found.metric == pytest.approx(2 / 3)
    assert found.loss == pytest.approx(
        float(functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    )


def test_perplexity_of_shifted_labels_is_that_of_the_next_tokens() -> None:
    tokens = torch.tensor([[0, 1, 2, 0]])
    data = [{"input_ids": tokens, "labels": tokens}]
    following = functional.one_hot(tokens.roll(-1), 3) * 2.0
    task = LoaderTask("language-model", data, data, shift=True)
    found = measured(task, following)
    expected = functional.cross_entropy(following[0, :3], tokens[0, 1:])
    assert found.metric == pytest.approx(math.exp(float(expected)))
    assert not task.higher_is_better


def test_f1_counts_all_labels_together() -> None:
    targets = torch.tensor([[1, 0, 1], [0, 0, 1.0]])
    logits = torch.tensor([[2, 3, -1], [-1, -2, 4.0]])  # 2 hits, 3 said, 3 true
    data = [(X[:2], targets)]
    assert measured(LoaderTask("multi-label", data, data), logits).metric == pytest.approx(2 / 3)


def test_an_embedding_is_compared_with_the_teachers() -> None:
    task = LoaderTask("embedding", *parts(POINTS), teacher=encoder)
    (batch,) = task.validation_batches()
    assert torch.equal(batch.targets, encoder()(batch.inputs))
    found = task.measure([(3 * batch.targets, batch.targets)])
    assert found == pytest.approx((0.0, 1.0), abs=1e-6)
    assert float(task.loss(-batch.targets, batch.targets)) == pytest.approx(2.0)


def absolute(outputs, batch) -> torch.Tensor:
    return (outputs[0] - batch[1]).abs().mean()


def largest(outputs, batch) -> float:
    return float(outputs[0].max())


def test_own_functions_read_what_the_network_returns_and_what_the_loader_yields() -> None:
    task = LoaderTask(absolute, in_two(X, Y), in_two(X, Y), metric=largest, higher_is_better=True)
    found = measured(task, (Y[:9] + 1, "state"), (Y[9:] + 5, "state"))
    assert found.loss == pytest.approx((9 * 1 + 3 * 5) / 12)
    assert found.metric == pytest.approx((9 * 9 + 3 * 16) / 12)
    assert (task.metric, task.name) == ("largest", "absolute")
    assert LoaderTask(absolute, [(X, Y)], [(X, Y)]).metric == "loss"


def test_without_test_data_the_validation_data_are_tested_on() -> None:
    train, valid, _ = parts(POINTS, NUMBERS)
    task = LoaderTask("regression", train, valid)
    (tested,), (validated,) = task.test_batches(), task.validation_batches()
    assert torch.equal(tested.inputs, validated.inputs)
    assert task.epoch_steps == 6


ONE = [(X, Y)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LoaderTask("regression", [], ONE), "train yields no batches"),
        (lambda: LoaderTask("regression", iter(ONE), ONE), "train is a list_iterator, which ends"),
        (lambda: LoaderTask("regression", ONE, 3), "valid is a int: pass a DataLoader"),
        (lambda: LoaderTask("regress", ONE, ONE), 'unknown goal "regress": available are'),
        (lambda: LoaderTask("regression", ONE, ONE, metric="f1"), 'no metric "f1": it has mse'),
        (lambda: LoaderTask("regression", ONE, ONE, shift=True), "unexpected keyword argument"),
        (lambda: LoaderTask("embedding", ONE, ONE), "missing 1 required"),
        (lambda: LoaderTask("embedding", ONE, ONE, teacher=encoder()), "the function that returns"),
        (lambda: LoaderTask(absolute, ONE, ONE, metric="r2"), "r2 is an option of a named goal"),
        (lambda: next(LoaderTask("regression", [X], [X]).validation_batches()), "has no targets"),
        (lambda: measured(LoaderTask("regression", ONE, ONE), X), "but the targets are a tensor"),
        (lambda: measured(LoaderTask("classification", ONE, ONE), Y), "one number per class"),
    ],
)
def test_what_makes_no_task_is_refused_in_a_line(make, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_classes_are_learnt() -> None:
    task = LoaderTask("classification", *parts(POINTS, CLASSES))
    assert task.shape.outputs == 2
    loader = DataLoader(TensorDataset(POINTS, CLASSES), 16)
    assert LoaderTask("classification", loader, loader).epoch_steps == 10
