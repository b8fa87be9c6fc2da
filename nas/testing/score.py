"""The check of a training-free score."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.core.score import Score, ScoreFailed
from nas.core.task import Batch
from nas.testing.requiring import (
    equal_weights,
    global_state,
    no_error,
    require,
    require_parts,
    weights,
)
from search_spaces.output import Output

Make = Callable[[], nn.Module]


def check_score(
    score: Score, make: Make, batch: Batch, *, measured: bool = False, reads_values: bool = True
) -> None:
    """Raise `AssertionError` unless a score keeps to `nas.core.score.Score`.

    make: makes a model that the score can judge, the same at each call.
    batch: of the task that the model is for, such as `task.score_batch(0)`.
    measured: a score that differs from call to call, such as seconds.
    reads_values: False for a score that looks at the model's structure alone, such as a count.
    """
    require_parts("scores", score)
    first = _values(score, make(), batch)
    require(bool(first), f"{score.name} returns no values: return them by name")
    for name, value in first.items():
        require(
            name.startswith(score.name) and math.isfinite(value),
            f"{score.name} returns {name} = {value}: return finite numbers whose names begin with "
            f'"{score.name}", or raise ScoreFailed',
        )
    if not measured:
        _check_repeats(score, make, batch, first)
    _check_leaves_no_trace(score, make(), batch)
    _check_strange_model(score, batch)
    if reads_values:
        _check_not_finite(score, make(), batch)


def _values(score: Score, model: nn.Module, batch: Batch) -> dict[str, float]:
    with no_error(score.name, "a score raises nothing for a model that it can judge"):
        return score(model.eval(), batch, torch.Generator().manual_seed(0))


def _check_repeats(score: Score, make: Make, batch: Batch, first: dict[str, float]) -> None:
    second = _values(score, make(), batch)
    require(
        second == first,
        f"{score.name} is {first}, then {second} for the same model and generator: draw all "
        "random numbers from the generator",
    )
    with torch.no_grad():
        third = _values(score, make(), batch)
    require(
        third == first,
        f"{score.name} is {first}, but {third} under torch.no_grad(): take gradients under "
        "torch.enable_grad()",
    )


def _check_leaves_no_trace(score: Score, model: nn.Module, batch: Batch) -> None:
    model.eval()
    before, traces, randomness = weights(model), _traces(model), global_state()
    _values(score, model, batch)
    require(
        equal_weights(weights(model), before),
        f"{score.name} changes the model's weights: the scores after it judge another model; "
        "restore them",
    )
    for trace in _traces(model):
        what, whose, state = trace
        require(
            trace in traces,
            f"{score.name} leaves a trace in the model: {what} of {whose or 'the model'} is now "
            f"{state}; undo it, or work on a copy",
        )
    require(
        global_state() == randomness,
        f"{score.name} uses the global random state: draw from the generator that it is given",
    )


def _traces(model: nn.Module) -> list[tuple[str, str, object]]:
    """What a score may leave behind beside weights: the kind, whose it is, its state."""
    found: list[tuple[str, str, object]] = []
    for name, module in model.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks)
        found += [
            ("training", name, module.training),
            ("attributes", name, sorted(module.__dict__)),
            ("hooks", name, hooks),
            ("backend", name, getattr(module, "backend", None)),
        ]
    for name, parameter in model.named_parameters():
        found.append(("grad is None", name, parameter.grad is None))
        found.append(("requires_grad", name, parameter.requires_grad))
    return found


def _check_strange_model(score: Score, batch: Batch) -> None:
    """A model of two linear layers is scored, or refused in words."""
    try:
        values = score(Plain(batch).eval(), batch, torch.Generator().manual_seed(0))
    except ScoreFailed:
        return
    except Exception as error:
        raise AssertionError(
            f"{score.name} raises {type(error).__name__} for a model of linear layers: {error}; "
            "raise ScoreFailed for a model that the score cannot judge"
        ) from error
    require(
        all(map(math.isfinite, values.values())),
        f"{score.name} is {values} for a model of linear layers: raise ScoreFailed instead",
    )


def _check_not_finite(score: Score, model: nn.Module, batch: Batch) -> None:
    for parameter in model.parameters():
        nn.init.constant_(parameter, float("nan"))
    try:
        values = score(model.eval(), batch, torch.Generator().manual_seed(0))
    except ScoreFailed:
        return
    except Exception as error:
        raise AssertionError(
            f"{score.name} raises {type(error).__name__} for weights that are NaN: {error}; "
            "raise ScoreFailed"
        ) from error
    raise AssertionError(
        f"{score.name} is {values} for weights that are NaN: raise ScoreFailed; or, if it looks at "
        "no value, check it with reads_values=False"
    )


class Plain(nn.Module):
    """Two linear layers for a batch; its answers are as many as the batch's targets."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.every_step = batch.targets.ndim > 1
        features = self._features(batch.inputs).shape[-1]
        self.first = nn.Linear(features, 8)
        self.second = nn.Linear(8, int(batch.targets.max()) + 1)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)

    def _features(self, inputs: Tensor) -> Tensor:
        """`[B, C]`, or `[B, T, C]` where every step is answered."""
        if inputs.ndim == 2:
            inputs = inputs.unsqueeze(-1)  # tokens, as numbers
        return inputs.float() if self.every_step else inputs.float().flatten(2).mean(dim=1)

    def forward(
        self, inputs: Tensor, state: object = None, lengths: Tensor | None = None
    ) -> Output:
        answers = self.second(torch.tanh(self.first(self._features(inputs))))
        return Output(answers, None, answers.new_zeros(()))
