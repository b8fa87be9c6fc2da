"""Accelerated early exit: answers from a prediction of the last layer's states.

As in M2R2 (Bhendawade et al. 2025, https://arxiv.org/abs/2502.02040), a low-rank change moves the
states after each layer towards the last ones, and an item is answered at the first layer where the
moved states agree with those of the layer before and are sure. M2R2 trains accelerators in all
layers as a second residual stream; here each layer has one, found by least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.jobs.adapt.early_exit import Exit, best_exit
from nas.jobs.adapt.evaluator import ChainEvaluator, States
from nas.jobs.adapt.questions import Judged

RANK = 16
RIDGE = 0.01  # of the mean square of the states


@dataclass(frozen=True)
class Accelerator:
    """Predicts the last states from those after a layer.

    mean: of the states, `[d]`. change: `[d, d]` of rank `RANK`. shift: `[d]`.
    """

    mean: Tensor
    change: Tensor
    shift: Tensor

    def moved(self, states: Tensor) -> Tensor:
        """Return states `[n, d]` moved towards the last ones."""
        wide = states.float()
        return (wide + (wide - self.mean) @ self.change + self.shift).to(states)


def fitted(states: Tensor, last: Tensor) -> Accelerator:
    """Return the accelerator for states after a layer and after the last, each `[n, d]`.

    Reduced-rank regression with a ridge (Izenman 1975; Mukherjee and Zhu 2011).
    """
    states, gaps = states.float(), last.float() - states.float()
    mean, shift = states.mean(dim=0), gaps.mean(dim=0)
    inputs = states - mean
    square = inputs.T @ inputs
    ridge = RIDGE * square.diagonal().mean().clamp(min=1e-12)
    eye = torch.eye(len(square), device=square.device)
    change = torch.linalg.solve(square + ridge * eye, inputs.T @ (gaps - shift))
    kept = torch.linalg.svd(inputs @ change, full_matrices=False).Vh[:RANK]
    return Accelerator(mean, change @ kept.T @ kept, shift)


def accelerated_exit(fit: ChainEvaluator, test: ChainEvaluator, tolerance: float) -> Exit:
    """Fit accelerators on half the fit questions, choose the threshold on the others, and test it.

    tolerance: accuracy that it may lose on the fit questions. See `early_exit`.
    """
    layers, half = range(1, fit.decoder.layers), -(-len(fit.questions) // 2)
    learnt, held = range(half), range(half, len(fit.questions)) or range(half)
    last = _positions(_states(fit, learnt, fit.decoder.layers))
    accelerators = [fitted(_positions(_states(fit, learnt, depth)), last) for depth in layers]
    chosen, tested = (
        _by_depth(evaluator, numbers, accelerators)
        for evaluator, numbers in ((fit, held), (test, range(len(test.questions))))
    )
    return best_exit(chosen, tested, tolerance)


def _by_depth(
    evaluator: ChainEvaluator, numbers: Sequence[int], accelerators: Sequence[Accelerator]
) -> list[list[Judged]]:
    """Return the answers after each layer, of moved states; those after the last are as they are.

    An exit after a layer needs the layer's own states and those of the layer before.
    """
    answers = []
    for depth, accelerator in enumerate(accelerators, 1):
        states = _states(evaluator, numbers, depth)
        moved = [tuple(accelerator.moved(row) for row in rows) for rows in states]
        answers.append(evaluator.judge(numbers, moved))
    last = _states(evaluator, numbers, evaluator.decoder.layers)
    return [*answers, evaluator.judge(numbers, last)]


def _states(evaluator: ChainEvaluator, numbers: Sequence[int], depth: int) -> list[States]:
    chain = tuple(range(depth))
    return evaluator.states([(number, chain) for number in numbers])


def _positions(states: Sequence[States]) -> Tensor:
    """Return the states of all positions that are read, `[n, d]`."""
    return torch.cat([row for rows in states for row in rows])
