"""The check of a teacher: what `nas compress --teacher package.module:function` names."""

import inspect
from collections.abc import Callable

import torch
from safetensors.torch import load
from torch import Tensor, nn

from compress.structure.graph import CannotTrace
from compress.structure.outline import outline_of
from compress.structure.student import student
from nas.core.task import Task, answers_classes
from nas.models.source import weights_of
from nas.models.space import Answering
from nas.testing.requiring import equal_weights, global_seed, no_error, require, weights
from search_spaces.layer_removal.space import LayerRemovalSpace, student_of

Make = Callable[..., nn.Module]


def check_teacher(make: Make, task: Task) -> None:
    """Raise `AssertionError` unless `nas compress` can make students of a teacher for the task.

    make: called with the task's outputs as `classes` and inputs as `channels`, if it names them.

    The network must answer the task's batches, be the same for the same global seed, train,
    survive being written, and have something that can be removed or narrowed.
    """
    name = getattr(make, "__name__", type(make).__name__)
    model = _made(name, make, task)
    _check_answers(name, model, task)
    _check_weights(name, make, task)
    _check_students(name, model.network, task.score_batch(0).inputs[:2])


def _made(name: str, make: Make, task: Task, seed: int = 0) -> Answering:
    accepted = inspect.signature(make).parameters.values()
    known = {"classes": task.shape.outputs, "channels": task.shape.inputs}
    missing = [p.name for p in accepted if p.default is p.empty and p.name not in known]
    require(
        not missing,
        f"{name} needs {' and '.join(missing)}, but only classes and channels are passed: give "
        f"{' and '.join(missing)} a default",
    )
    options = {p.name: known[p.name] for p in accepted if p.name in known}
    with global_seed(seed), no_error(name):
        network = make(**options)
    require(
        isinstance(network, nn.Module) and any(True for _ in network.parameters()),
        f"{name} makes a {type(network).__name__}: return an nn.Module with weights",
    )
    return Answering(network)


def _answers(name: str, model: Answering, task: Task) -> Tensor:
    batch = task.score_batch(0)
    what = f"{name}: the network, given {tuple(batch.inputs.shape)} of {task.name},"
    with no_error(what, "take the task's inputs and return one tensor of logits"):
        answers = model(batch.inputs, None, batch.lengths).answers
    expected = (*batch.targets.shape, task.shape.outputs)
    require(
        not answers_classes(task) or tuple(answers.shape) == expected,
        f"{name}: the network returns {tuple(answers.shape)}: return logits {expected}",
    )
    return answers


def _check_answers(name: str, model: Answering, task: Task) -> None:
    with torch.no_grad():
        first, second = (_answers(name, model.eval(), task) for _ in range(2))
    require(
        torch.equal(first, second) and bool(first.isfinite().all()),
        f"{name}: in evaluation mode the network answers differently each time, or not in finite "
        "numbers: its answers are asked for once and kept",
    )
    batch = task.score_batch(0)
    with no_error(f"{name}: the gradient of the loss"):
        task.loss(_answers(name, model.train(), task), batch.targets).backward()
    require(
        any(p.grad is not None and bool(p.grad.any()) for p in model.parameters()),
        f"{name}: no weight has a gradient: the network cannot be trained",
    )


def _check_weights(name: str, make: Make, task: Task) -> None:
    first, second = (weights(_made(name, make, task, seed=1)) for _ in range(2))
    require(
        equal_weights(first, second),
        f"{name}: the same torch.manual_seed gives other weights: draw them with torch alone",
    )
    model = _made(name, make, task)
    remedy = "give each weight its own memory"
    with no_error(f"{name}: the weights as safetensors", remedy):
        again = load(weights_of(model))
        model.load_state_dict(again)


def _check_students(name: str, network: nn.Module, example: Tensor) -> None:
    try:
        outline = outline_of(network.eval(), example)
    except CannotTrace as error:
        raise AssertionError(f"{name} cannot be compressed: {error}") from error
    require(
        bool(outline.removable or outline.channels),
        f"{name}: nothing of the network can be removed or narrowed: give it layers whose shapes "
        "fit without each other, or wider ones",
    )
    smallest = student_of(LayerRemovalSpace(outline, lambda *_: network).smallest())
    with no_error(f"{name}: the smallest student"), torch.no_grad():
        smaller = student(network, example, smallest.removed, dict(smallest.widths))
        answers, expected = smaller.eval()(example), network(example)
    require(
        answers.shape == expected.shape,
        f"{name}: the smallest student answers {tuple(answers.shape)}, not {tuple(expected.shape)}",
    )
