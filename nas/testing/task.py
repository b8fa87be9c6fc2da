"""The check of a task."""

import math
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch.nn import functional

from nas.core.task import Batch, Measured, Task, test_sets
from nas.testing.requiring import global_seed, no_error, require, require_parts
from search_spaces.space import DataShape

FEW, MANY = 5, 200  # training batches that are compared; that there must be at least


def check_task(task: Task) -> None:
    """Raise `AssertionError` unless a task keeps to `nas.core.task.Task`.

    The same seed must give the same batches on every worker, the batches must be what the shape
    says, training must never run out of them, and right answers must have the best metric. The
    same holds of the batches of `test_sets`, if the task has any.
    """
    require_parts("tasks", task)
    require(
        isinstance(task.shape, DataShape),
        f"{task.name}: shape is a {type(task.shape).__name__}: give a DataShape",
    )
    _check_training(task)
    _check_held_out(task)
    _check_test_sets(task)
    _check_shared(task)
    _check_measure(task)


def _first(task: Task, seed: int, globally: int = 0) -> list[Batch]:
    with global_seed(globally), no_error(f"{task.name}: training_batches"):
        return list(islice(task.training_batches(seed), FEW))


def _check_training(task: Task) -> None:
    first = _first(task, 1)
    require(
        len(list(islice(task.training_batches(0), MANY))) == MANY,
        f"{task.name}: training_batches ends after less than {MANY} batches: go through the data "
        "again and again",
    )
    for batch in first:
        _check_batch(task, "a training batch", batch)
    require(
        _same(first, _first(task, 1)),
        f"{task.name}: training batches differ for the same seed: draw them from the seed alone",
    )
    require(
        _same(first, _first(task, 1, globally=1)),
        f"{task.name}: training batches use the global random state: draw them from the seed alone",
    )
    require(
        not _same(first, _first(task, 2)),
        f"{task.name}: training batches are the same for every seed: draw them from the seed",
    )


def _check_held_out(task: Task) -> None:
    for name, batches in (("validation", task.validation_batches), ("test", task.test_batches)):
        with no_error(f"{task.name}: {name}_batches"):
            first, second = list(_some(batches())), list(_some(batches()))
        require(bool(first), f"{task.name}: there are no {name} batches")
        require(
            _same(first, second),
            f"{task.name}: {name} batches differ from call to call: they must stay the same",
        )
        _check_batch(task, f"a {name} batch", first[0])
    with no_error(f"{task.name}: score_batch"):
        batch = task.score_batch(3)
    require(
        _same([batch], [task.score_batch(3)]),
        f"{task.name}: score_batch differs for the same seed: draw it from the seed alone",
    )
    _check_batch(task, "the batch for scores", batch)


def _check_test_sets(task: Task) -> None:
    with no_error(f"{task.name}: test_sets", "return batches by name"):
        first, second = ({n: list(_some(b)) for n, b in test_sets(task).items()} for _ in range(2))
    for name, batches in first.items():
        require(
            isinstance(name, str) and bool(batches),
            f"{task.name}: test set {name!r} has {len(batches)} batches: name each test set with "
            "a text, and leave out empty ones",
        )
        require(
            _same(batches, second.get(name, [])),
            f'{task.name}: test set "{name}" differs from call to call: it must stay the same',
        )
        for batch in batches:
            _check_batch(task, f'a batch of test set "{name}"', batch)


def _some(batches: Iterable[Batch]) -> Iterator[Batch]:
    return islice(batches, FEW)


def _check_batch(task: Task, what: str, batch: Batch) -> None:
    shape, sizes = task.shape, tuple(batch.inputs.shape)
    rows, steps = (*sizes, 0, 0)[:2]
    expected = {
        "images": (rows, shape.inputs, shape.height, shape.width),
        "features": (rows, steps, shape.inputs),
        "tokens": (rows, steps),
    }[shape.kind]
    require(
        sizes == expected,
        f"{task.name}: the inputs of {what} are {sizes}: the task's shape says {expected}",
    )
    if shape.kind == "tokens":
        _check_numbers(task, f"the tokens of {what}", int(batch.inputs.min()), shape.inputs)
        _check_numbers(task, f"the tokens of {what}", int(batch.inputs.max()), shape.inputs)
    targets = tuple(batch.targets.shape)
    asked = (rows, steps) if shape.every_step else (rows,)
    require(
        targets == asked,
        f"{task.name}: the targets of {what} are {targets}: the task's shape says {asked}",
    )
    largest = int(batch.targets.max())
    _check_numbers(task, f"the targets of {what}", largest, shape.outputs)
    if batch.lengths is not None:
        longest, shortest = int(batch.lengths.max()), int(batch.lengths.min())
        require(
            shortest >= 1 and longest == steps,
            f"{task.name}: the lengths of {what} are {shortest} to {longest} of {steps} steps: "
            "pad no further than the longest, and leave out what is empty",
        )


def _check_numbers(task: Task, what: str, number: int, limit: int) -> None:
    require(
        0 <= number < limit,
        f"{task.name}: {what} reach {number}: the task's shape says 0 to {limit - 1}",
    )


def _check_shared(task: Task) -> None:
    """A task is pickled for every worker."""
    with no_error(f"{task.name}: pickle", "hold arrays and numbers only"):
        copy = pickle.loads(pickle.dumps(task))
    require(
        _same(_first(copy, 3), _first(task, 3)),
        f"{task.name}: a copy by pickle gives other batches: a worker would train on other data",
    )


def _check_measure(task: Task) -> None:
    batch = next(iter(task.validation_batches()))
    right = 50.0 * functional.one_hot(batch.targets.clamp(min=0), task.shape.outputs)
    with no_error(f"{task.name}: measure"):
        best = task.measure([(right, batch.targets)])
        worst = task.measure([(-right, batch.targets)])
    require(
        isinstance(best, Measured) and all(map(math.isfinite, best)),
        f"{task.name}: measure returns {best}: return Measured(loss, metric), finite",
    )
    better = best.metric > worst.metric if task.higher_is_better else best.metric < worst.metric
    require(
        better and best.loss < worst.loss,
        f"{task.name}: right answers measure {tuple(best)}, wrong ones {tuple(worst)}: the loss "
        f"must be lower and {task.metric} {'higher' if task.higher_is_better else 'lower'}; see "
        "higher_is_better",
    )
    answers = torch.zeros_like(right).requires_grad_()
    with no_error(f"{task.name}: the gradient of loss"):
        loss = task.loss(answers, batch.targets)
        loss.backward()
    require(
        loss.ndim == 0 and answers.grad is not None and bool(answers.grad.any()),
        f"{task.name}: loss must be a scalar with a gradient for every batch's answers",
    )


def _same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        (x is None) == (y is None)
        and (x is None or y is None or (x.shape == y.shape and torch.equal(x, y)))
        for a, b in zip(first, second, strict=True)
        for x, y in zip(a, b, strict=True)
    )
