"""Masks remove exactly the requested share of the requested tensors."""

import pytest
import torch
from torch import nn

from compress.pruning.masks import (
    PrunedAway,
    all_left,
    apply_masks,
    refuse_empty_layers,
    remove_lowest,
    sparsity,
    tiled,
)
from compress.pruning.targets import Target, parameters_of, targets_of


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.GRU(5, 7, num_layers=2)


@pytest.mark.parametrize("level", [0.0, 0.13, 0.5, 0.977, 1.0])
@pytest.mark.parametrize("scope", ["global", "layer", "gate"])
def test_every_group_loses_its_share(model: nn.Module, level: float, scope) -> None:
    targets = targets_of(model, "both")
    scores = {name: w.detach().abs() for name, w in parameters_of(model, targets).items()}
    masks = remove_lowest(all_left(model, targets), scores, targets, level, scope)
    size = sum(mask.numel() for mask in masks.values())
    removed = {name: int((~mask).sum()) for name, mask in masks.items()}
    if scope == "global":
        assert sum(removed.values()) == round(level * size)
        cut = max((scores[n][~m].max() for n, m in masks.items() if (~m).any()), default=0)
        assert all(scores[n][m].min() >= cut for n, m in masks.items() if m.any())
    elif scope == "layer":
        assert all(removed[n] == round(level * mask.numel()) for n, mask in masks.items())
    else:
        for target in targets:
            gates = masks[target.parameter].unflatten(0, (target.gates, -1))
            counts = {int((~gate).sum()) for gate in gates}
            assert counts == {round(level * gates[0].numel())}


def test_the_counted_sparsity_is_the_share_that_was_removed(model: nn.Module) -> None:
    targets = targets_of(model, "h2h")
    weights = parameters_of(model, targets)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    masks = remove_lowest(all_left(model, targets), weights, targets, 0.25)
    apply_masks(model, masks)
    assert sparsity(weights) == round(0.25 * 294) / 294
    for name, parameter in model.named_parameters():
        kept = masks.get(name, torch.ones_like(parameter))
        assert torch.equal(parameter, before[name] * kept)


def test_removed_weights_stay_removed_and_equal_scores_are_removed_in_order(
    model: nn.Module,
) -> None:
    targets = targets_of(model, "i2h")
    equal = {name: torch.zeros_like(w) for name, w in parameters_of(model, targets).items()}
    first = remove_lowest(all_left(model, targets), equal, targets, 0.3)
    flat = torch.cat([mask.flatten() for mask in first.values()])
    assert flat.tolist() == sorted(flat.tolist())
    second = remove_lowest(first, equal, targets, 0.5)
    assert all(not (second[name] & ~first[name]).any() for name in first)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            remove_lowest(second, equal, targets, 0.2).values(), second.values(), strict=True
        )
    )


@pytest.mark.parametrize("gates", [3, 4])
def test_a_tiled_mask_is_the_same_for_every_gate_of_torchs_layers(gates: int) -> None:
    mask = torch.tensor([[True, False], [False, False], [True, True]])
    whole = tiled(mask, gates)
    assert all(torch.equal(block, mask) for block in whole.chunk(gates))  # as torch's cells do
    interleaved = mask.repeat_interleave(gates, 0)  # the published mistake
    assert not all(torch.equal(block, mask) for block in interleaved.chunk(gates))


def test_a_masked_gru_has_the_topology_of_its_mask() -> None:
    torch.manual_seed(0)
    gru = nn.GRUCell(2, 3)
    mask = torch.tensor([[True, False], [False, True], [False, False]])
    apply_masks(gru, {"weight_ih": tiled(mask, 3), "weight_hh": torch.zeros(9, 3)})
    x = torch.randn(1, 2, requires_grad=True)
    reached = [torch.autograd.grad(gru(x)[0, unit], x)[0][0] != 0 for unit in range(3)]
    assert torch.equal(torch.stack(reached), mask)


def test_a_layer_that_loses_all_weights_is_named_unless_it_is_recurrent() -> None:
    targets = (Target("rnn.weight_hh", "h2h", 3), Target("conv", "weight"))
    masks = {"rnn.weight_hh": torch.zeros(2), "conv": torch.ones(2)}
    refuse_empty_layers(targets, masks)
    with pytest.raises(PrunedAway, match="every weight of layer conv would be pruned"):
        refuse_empty_layers(targets, {**masks, "conv": torch.zeros(2)})
