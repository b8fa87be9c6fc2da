"""Training with fixed masks: an optimiser step that keeps removed weights at zero."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from compress.learning.gradient_noise import add_gradient_noise
from compress.pruning.density import density_penalty
from compress.pruning.masks import apply_masks, mask_gradients


@dataclass(frozen=True)
class FixedMasks:
    """An optimiser step that keeps removed weights at zero.

    Momentum and weight decay move weights without a gradient, so the weights are masked as well.
    noise: η of the gradient noise, added after clipping; 0 for none.
    density: share of the masked tensors' weights that AR-Net's penalty aims to keep, over `steps`
        steps; None for no penalty.
    """

    masks: Mapping[str, Tensor]
    noise: float = 0.0
    seed: int = 0
    density: float | None = None
    steps: int = 1

    def __call__(self, model: nn.Module, optimizer: Optimizer, clip: float, step: int) -> None:
        if self.density is not None:
            parameters = dict(model.named_parameters())
            weights = [parameters[name] for name in self.masks]
            density_penalty(weights, self.density, step / self.steps).backward()
        mask_gradients(model, self.masks)
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        if self.noise:
            add_gradient_noise(model, self.masks, step, self.noise, self.seed)
        optimizer.step()
        apply_masks(model, self.masks)


def rewind(model: nn.Module, start: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Reset the remaining weights and the buffers to their initial values.

    Frankle and Carbin 2019, https://arxiv.org/abs/1803.03635, section 1.
    """
    model.load_state_dict(dict(start))
    apply_masks(model, masks)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the state dictionary."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
