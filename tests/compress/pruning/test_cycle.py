"""A cycle reaches its level exactly, by every method, with and without activating-while-pruning."""

import pytest
import torch
from torch import nn

from compress.pruning.activating_while_pruning import remove_unmoved_negatives
from compress.pruning.cycle import prune
from compress.pruning.masks import all_left, sparsity
from compress.pruning.saliency import METHODS, Evidence
from compress.pruning.targets import parameters_of, targets_of


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(11, 13), nn.ReLU(), nn.Linear(13, 7))


def started(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.detach() + 0.1 * torch.randn_like(p) for n, p in model.named_parameters()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_activating_removes_the_negative_weights_that_moved_least(seed: int, share: float) -> None:
    model = network(seed)
    targets, start = targets_of(model, "weights"), started(model)
    weights = parameters_of(model, targets)
    masks = {name: torch.rand_like(w) < 0.7 for name, w in weights.items()}
    left = sum(int(mask.sum()) for mask in masks.values())
    new = remove_unmoved_negatives(masks, weights, start, round(share * left))
    gone = {name: masks[name] & ~new[name] for name in masks}
    assert sum(int(g.sum()) for g in gone.values()) == round(share * left)
    assert not any((weights[name][g] >= 0).any() for name, g in gone.items())
    assert not any((new[name] & ~masks[name]).any() for name in masks)
    moved = {name: (w.detach() - start[name]).abs() for name, w in weights.items()}
    furthest = max((float(moved[n][g].max()) for n, g in gone.items() if g.any()), default=0)
    kept = {n: new[n] & (weights[n] < 0) for n in new}
    assert all((moved[name][k] >= furthest).all() for name, k in kept.items())


def test_activating_removes_at_most_all_negative_weights() -> None:
    model = network(0)
    weights = parameters_of(model, targets_of(model, "weights"))
    masks = all_left(model, targets_of(model, "weights"))
    new = remove_unmoved_negatives(masks, weights, started(model), 10**6)
    assert all(torch.equal(new[name], weights[name] >= 0) for name in new)


def test_relative_movement_ignores_the_scale_of_a_layer() -> None:
    model = network(0)
    targets, start = targets_of(model, "weights"), started(model)
    weights = {n: w.detach().clone() for n, w in parameters_of(model, targets).items()}

    def counts(scale: float, relative: bool) -> list[int]:
        scaled = {**weights, "0.weight": weights["0.weight"] * scale}
        initial = {**start, "0.weight": start["0.weight"] * scale}
        new = remove_unmoved_negatives(all_left(model, targets), scaled, initial, 20, relative)
        return [int((~mask).sum()) for mask in new.values()]

    assert counts(1.0, True) == counts(100.0, True)
    assert counts(1.0, False) != counts(100.0, False) == [0, 20]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("level", "q"), [(0.5, 0.0), (0.5, 0.02), (0.93, 0.1), (1.0, 0.02)])
def test_a_cycle_reaches_its_level(name: str, level: float, q: float) -> None:
    model = network(0)
    x = torch.randn(4, 11)
    evidence = Evidence(
        losses=lambda model: iter([model(x).square().mean()]),
        start=started(model),
        example=x[:1],
        generator=torch.Generator().manual_seed(0),
    )
    targets = targets_of(model, "weights")
    masks = prune(model, targets, METHODS[name], level, evidence, activating=q)
    size = sum(mask.numel() for mask in masks.values())
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(level * size)
    assert sparsity(parameters_of(model, targets)) == round(level * size) / size


def test_cycles_add_up() -> None:
    model = network(1)
    targets, evidence = targets_of(model, "weights"), Evidence()
    first = prune(model, targets, METHODS["magnitude"], 0.4, evidence)
    second = prune(model, targets, METHODS["random"], 0.8, evidence, masks=first)
    assert all(not (second[name] & ~first[name]).any() for name in first)
    assert sparsity(parameters_of(model, targets)) == pytest.approx(0.8, abs=0.01)


def test_missing_evidence_is_named() -> None:
    model = network(0)
    targets = targets_of(model, "weights")
    for name, method in METHODS.items():
        if method.needs:
            with pytest.raises(ValueError, match=r"missing evidence .*: (losses|start|example)"):
                prune(model, targets, method, 0.5, Evidence())
        elif name == "magnitude":
            with pytest.raises(ValueError, match="missing evidence for the method: start"):
                prune(model, targets, method, 0.5, Evidence(), activating=0.1)
    with pytest.raises(ValueError, match="but the cycle removes only"):
        prune(
            model,
            targets,
            METHODS["magnitude"],
            0.1,
            Evidence(start=started(model)),
            activating=0.2,
        )
