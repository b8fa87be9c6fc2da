"""Training with fixed masks keeps removed weights at zero, whatever moves the others."""

import math

import pytest
import torch
from torch import nn

from compress.learning.gradient_noise import add_gradient_noise, noise_deviation
from compress.pruning.density import density_penalty
from compress.pruning.fixed_masks import FixedMasks
from compress.pruning.masks import apply_masks


def trained(updates: int, **options) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    masks = {"weight": torch.rand(3, 4) < 0.5}
    optimizer = torch.optim.Adam(model.parameters(), 0.1, weight_decay=0.1)
    model(torch.randn(2, 4)).square().sum().backward()
    optimizer.step()  # momentum from before the masks
    apply_masks(model, masks)
    update = FixedMasks(masks, **options)
    for step in range(updates):
        optimizer.zero_grad()
        (model(torch.randn(2, 4)) - 1).square().sum().backward()
        update(model, optimizer, 1.0, step)
        assert not model.weight.grad[~masks["weight"]].any()
    return model, masks


@pytest.mark.parametrize("options", [{}, {"noise": 1.0}, {"density": 0.1, "steps": 5}])
def test_removed_weights_stay_zero_and_the_others_learn(options: dict) -> None:
    before, masks = trained(0, **options)
    after, _ = trained(5, **options)
    assert not after.weight[~masks["weight"]].any()
    assert (after.weight != before.weight)[masks["weight"]].all()


def test_the_density_penalty_pulls_small_weights_to_zero_and_leaves_large_ones() -> None:
    model = nn.Linear(4, 1, bias=False)
    wanted = torch.tensor([[0.05, 0.05, 2.0, 2.0]])
    nn.init.ones_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    update = FixedMasks({"weight": torch.ones(1, 4)}, density=0.05, steps=100)
    for step in range(400):
        optimizer.zero_grad()
        (model.weight - wanted).square().sum().backward()
        update(model, optimizer, 0.0, step)
    reached = (model.weight.detach() / wanted).abs().flatten()
    assert (reached[:2] < 0.5).all() and (reached[2:] > 0.95).all()


def test_noise_has_the_papers_variance_and_skips_removed_weights() -> None:
    model = nn.Linear(300, 100, bias=False)
    mask = torch.rand(100, 300) < 0.5
    for step, variance in ((0, 0.3), (9, 0.3 / 10**0.55)):
        model.weight.grad = torch.zeros_like(model.weight)
        add_gradient_noise(model, {"weight": mask}, step, 0.3, seed=1)
        assert float(model.weight.grad[mask].var()) == pytest.approx(variance, rel=0.05)
        assert not model.weight.grad[~mask].any()
        assert noise_deviation(step, 0.3) == pytest.approx(variance**0.5)


def test_noise_depends_only_on_the_seed_and_the_step() -> None:
    model = nn.Linear(3, 3)
    drawn = []
    for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0)):
        model.weight.grad = torch.zeros_like(model.weight)
        add_gradient_noise(model, {}, step, 1.0, seed)
        drawn.append(model.weight.grad / noise_deviation(step, 1.0))
    assert torch.equal(drawn[0], drawn[1])
    assert not any(torch.equal(drawn[0], other) for other in drawn[2:])


def test_the_penalty_is_zero_at_zero_and_one_for_large_weights() -> None:
    def penalty(value: float, density: float = 0.5, progress: float = 1.0) -> float:
        weight = torch.full((5,), value, requires_grad=True)
        found = density_penalty([weight], density, progress, strength=1.0)
        found.backward()
        assert weight.grad is not None and weight.grad.isfinite().all()
        return float(found.detach())

    assert penalty(0.0) == pytest.approx(0, abs=1e-6)
    assert penalty(1e6) == pytest.approx(1)
    assert penalty(0.2) == pytest.approx(2 / (1 + math.exp(-3 * 0.2 ** (1 / 3))) - 1, rel=0.01)
    assert penalty(1e6, density=0.1) == pytest.approx(9)
    assert penalty(1e6, progress=0.25) == pytest.approx(0.25)
    assert penalty(1.0, density=1.0) == 0
    with pytest.raises(ValueError, match="density must be above 0 and at most 1, not 0"):
        penalty(1.0, density=0)
