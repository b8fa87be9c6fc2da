"""Every score agrees with its formula, on networks small enough to check by hand."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.names import PRUNING_METHODS
from compress.pruning.masks import all_left, remove_lowest
from compress.pruning.saliency import METHODS, Evidence
from compress.pruning.synaptic_flow import synaptic_flow
from compress.pruning.targets import parameters_of, targets_of
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO

X = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


class Tuple(nn.Sequential):
    """Returns a tuple, as models here do."""

    def forward(self, x):
        return (super().forward(x),)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Tuple(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def losses(model: nn.Module):
    for x in X.split(3):
        yield model(x)[0].square().mean()


def score(name: str, model: nn.Module, **evidence):
    return METHODS[name].score(model, targets_of(model, "weights"), Evidence(**evidence))


def test_lamp_divides_by_the_weights_of_the_tensor_that_are_at_least_as_large(
    model: nn.Module,
) -> None:
    scores = score("lamp", model)
    for name, weight in parameters_of(model, targets_of(model, "weights")).items():
        squares = weight.detach().double().square().flatten().tolist()
        expected = [u / sum(v for v in squares if v >= u) for u in squares]
        assert scores[name].flatten().tolist() == pytest.approx(expected)


def test_lamp_keeps_one_weight_in_every_layer_to_the_end(model: nn.Module) -> None:
    with torch.no_grad():
        model[0].weight *= 1e-3
    targets = targets_of(model, "weights")
    masks = remove_lowest(all_left(model, targets), score("lamp", model), targets, 0.9)
    assert sum(int(mask.sum()) for mask in masks.values()) == 2
    assert all(mask.any() for mask in masks.values())


def test_gradient_uses_all_batches_and_snip_the_first_one_at_the_start(model: nn.Module) -> None:
    start = {name: torch.full_like(p, 0.5) for name, p in model.named_parameters()}
    weight = model[2].weight
    slope = torch.autograd.grad(sum(losses(model)), weight)[0]
    found = score("gradient", model, losses=losses)["2.weight"]
    torch.testing.assert_close(found, (slope * weight).detach().abs())
    untrained = copy.deepcopy(model)
    untrained.load_state_dict(start)
    slope = torch.autograd.grad(next(losses(untrained)), untrained[2].weight)[0]
    found = score("snip", model, losses=losses, start=start)["2.weight"]
    torch.testing.assert_close(found, slope.abs() / 2)


def test_grasp_is_the_effect_of_a_weight_on_the_norm_of_the_gradient(model: nn.Module) -> None:
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = score("grasp", model, losses=losses, start=start)
    weights = parameters_of(model, targets_of(model, "weights"))

    def squared_norm() -> float:
        slopes = torch.autograd.grad(next(losses(model)), list(weights.values()))
        return float(sum(slope.double().square().sum() for slope in slopes))

    before, (i, j) = squared_norm(), (1, 2)
    with torch.no_grad():
        model[2].weight[i, j] += 1e-3
    slope = (squared_norm() - before) / 1e-3 / 2  # half the norm's derivative is H g
    assert float(found["2.weight"][i, j]) == pytest.approx(
        float(start["2.weight"][i, j]) * slope, rel=0.02
    )


def test_movement_is_low_for_weights_that_moved_towards_zero(model: nn.Module) -> None:
    start = {name: p.detach() * 2 for name, p in model.named_parameters()}
    assert all((s <= 0).all() for s in score("movement", model, start=start).values())


def test_synaptic_flow_is_conserved_from_layer_to_layer() -> None:
    torch.manual_seed(0)
    model = Tuple(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    scores = synaptic_flow(model, targets_of(model, "weights"), X[:1])
    first, last = (float(s.sum()) for s in scores.values())
    assert first == pytest.approx(last)
    paths = model[2].weight.abs().double() @ model[0].weight.abs().double()
    assert first == pytest.approx(float(paths.detach().sum()))


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "rhn"])
def test_synaptic_flow_reaches_every_weight_of_a_cell(cell: str) -> None:
    rnn = nn.Sequential(
        CompiledRNN(CellSpec.from_recipe(ZOO[cell]), 3, 4, generator=torch.Generator())
    )
    scores = synaptic_flow(rnn, targets_of(rnn, "both"), torch.randn(1, 5, 3))
    assert all((s > 0).all() and s.isfinite().all() for s in scores.values())


def test_lookahead_multiplies_by_the_weights_before_and_after() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    found = score("lookahead", model)
    first, middle, last = (model[i].weight.detach() for i in (0, 2, 4))
    expected = middle.abs() * first.norm(dim=1)[None, :] * last.norm(dim=0)[:, None]
    torch.testing.assert_close(found["2.weight"], expected)
    torch.testing.assert_close(found["4.weight"], last.abs() * middle.norm(dim=1)[None, :])


def test_lookahead_of_a_recurrent_layer_reads_both_its_matrices() -> None:
    torch.manual_seed(0)
    rnn = nn.RNN(3, 4, num_layers=2)
    found = score("lookahead", rnn)
    w = {name: p.detach() for name, p in rnn.named_parameters()}
    into = torch.cat([w["weight_ih_l0"], w["weight_hh_l0"]], 1).norm(dim=1)
    away = torch.cat([w["weight_hh_l0"], w["weight_ih_l1"]], 0).norm(dim=0)
    h2h = w["weight_hh_l0"].abs() * into[None, :] * away[:, None]
    torch.testing.assert_close(found["weight_hh_l0"], h2h)
    torch.testing.assert_close(found["weight_ih_l0"], w["weight_ih_l0"].abs() * away[:, None])


def test_lookahead_of_heads_equals_that_of_their_block_diagonal_matrix() -> None:
    cell = CellSpec.from_recipe(ZOO["gru"])
    heads = CompiledRNN(cell, 3, 6, num_heads=2, backend="reference")
    whole = CompiledRNN(cell, 3, 6, backend="reference")
    with torch.no_grad():
        whole.on_x.copy_(heads.on_x)
        for big, small in zip(whole.on_h, heads.on_h, strict=True):
            big.copy_(torch.block_diag(*small)[None])
    found, expected = (score("lookahead", model) for model in (heads, whole))
    torch.testing.assert_close(found["on_x"], expected["on_x"])
    for a, b in zip(found["on_h"], expected["on_h"], strict=True):
        torch.testing.assert_close(torch.block_diag(*a), b[0])


def test_random_scores_come_from_the_generator(model: nn.Module) -> None:
    draws = [score("random", model, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0]["0.weight"], draws[1]["0.weight"])
    assert not torch.equal(draws[0]["0.weight"], draws[2]["0.weight"])


def test_every_method_can_be_named() -> None:
    assert tuple(METHODS) == PRUNING_METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_every_weight_of_a_convolution_and_a_cell(name: str) -> None:
    torch.manual_seed(0)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3, groups=1)
            self.rnn = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 4, 5)
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            outputs, _ = self.rnn(functional.relu(self.conv(x)).transpose(1, 2))
            return (self.head(outputs[:, -1]),)

    model = Both()
    x = torch.randn(2, 3, 9)
    evidence = Evidence(
        losses=lambda model: iter([model(x)[0].square().mean()]),
        start={n: p.detach() * 1.1 for n, p in model.named_parameters()},
        example=x[:1],
        generator=torch.Generator().manual_seed(0),
    )
    targets = targets_of(model, "weights")
    scores = METHODS[name].score(model, targets, evidence)
    for key, weight in parameters_of(model, targets).items():
        assert scores[key].shape == weight.shape
        assert not scores[key].requires_grad and math.isfinite(float(scores[key].sum()))
        assert scores[key].unique().numel() > weight.numel() / 2
