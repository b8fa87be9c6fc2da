"""Activation distance: how differently an untrained RNN's activations fire for each sequence."""

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.recurrent import finite, layer_outputs, watched_cells


class ActivationDistance:
    """log |det K|, where K[i, j] counts the activations that fire alike for sequences i and j.

    K counts the outputs of all activation nodes in the cells of all layers at all steps; an output
    above zero fires. Sigmoids always fire and add the same to every entry of K, as in the published
    values.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2, after
    Mellor et al. 2021, https://arxiv.org/abs/2006.04647, eq. 2. The authors' notebook adds up K
    over two passes, which adds B·log 2; their published values use one pass, as here.
    """

    name = "activation-distance"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        fired: list[Tensor] = []  # [B, H] each

        def watch(layer: CompiledRNN, values: list[Tensor]) -> None:
            for node, value in zip(layer.cell.nodes, values[layer.cell.states + 1 :], strict=True):
                if node.op.startswith("activation_"):
                    fired.append(value > 0)
                    if not torch.isfinite(value.sum()):
                        raise ScoreFailed("an activation in the cell is not finite")

        with watched_cells(model, watch), torch.no_grad():
            layer_outputs(model, batch)
        if not fired:
            raise ScoreFailed("the cell has no activation nodes")
        return finite(self.name, log_determinant(agreements(fired)))


def agreements(fired: list[Tensor]) -> Tensor:
    """Return K `[B, B]` in double precision from booleans, `[B, H]` each."""
    batch = len(fired[0])
    agree = torch.zeros(batch, batch, dtype=torch.float64)
    for first in range(0, len(fired), 64):
        codes = torch.cat(fired[first : first + 64], dim=1).float()  # integers in float32 are exact
        agree += (codes @ codes.T + (1 - codes) @ (1 - codes).T).double().to(agree.device)
    return agree


def log_determinant(agree: Tensor) -> float:
    """Return log |det K|; raises `ScoreFailed` if K is singular to working precision."""
    eigenvalues = torch.linalg.eigvalsh(agree)
    smallest = float(eigenvalues[0])
    if smallest <= float(eigenvalues[-1]) * len(agree) * torch.finfo(torch.float64).eps:
        raise ScoreFailed(
            "K is singular: the activations fire alike for some sequences, as sigmoids always do"
        )
    return float(eigenvalues.log().sum())
