"""Patterns of neighbours and blocks, alone and as scopes."""

import pytest
import torch
from torch import nn

from compress.names import read_pattern
from compress.pruning.masks import all_left, remove_lowest
from compress.pruning.patterns import blocks, n_of_m
from compress.pruning.targets import parameters_of, targets_of
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO


def test_two_of_four_keeps_the_two_highest_of_every_four() -> None:
    scores = torch.tensor([[1.0, 4, 3, 2, 9, 9, 9, 9, 5, 7]])
    assert n_of_m(scores, 2, 4).int().tolist() == [[0, 1, 1, 0, 1, 1, 0, 0, 0, 1]]
    assert n_of_m(torch.rand(6, 8, 16), 1, 4).unflatten(-1, (-1, 4)).sum(-1).eq(1).all()
    with pytest.raises(ValueError, match="5 of 4"):
        n_of_m(scores, 5, 4)


def test_whole_blocks_are_removed() -> None:
    scores = torch.arange(24.0).view(4, 6)
    mask = blocks(scores, 0.5, 2, 2)
    assert torch.equal(mask, torch.tensor([[False] * 6] * 2 + [[True] * 6] * 2))
    odd = blocks(torch.rand(5, 7), 0.25, 2, 4)
    whole = {bool(part.all()) or not bool(part.any()) for part in (odd[:2, :4], odd[4:, 4:])}
    assert whole == {True} and (~odd).any()


@pytest.mark.parametrize("text", ["0", "2:4", "4x", "0x4", "gates", "-4"])
def test_an_invalid_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown scope"):
        read_pattern(text)


def test_a_scope_of_neighbours_leaves_equally_many_of_each_four() -> None:
    """The neighbours in a convolution are the weights of one output channel."""
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Linear(8, 5))
    targets = targets_of(model, "weights")
    scores = {name: w.detach().abs() for name, w in parameters_of(model, targets).items()}
    half = remove_lowest(all_left(model, targets), scores, targets, 0.5, "4")
    assert all(m.flatten(1).unflatten(1, (-1, 4)).sum(-1).eq(2).all() for m in half.values())
    more = remove_lowest(half, scores, targets, 0.75, "4")
    assert all(m.flatten(1).unflatten(1, (-1, 4)).sum(-1).eq(1).all() for m in more.values())
    assert all((half[name] | ~more[name]).all() for name in half)


def test_a_scope_of_blocks_removes_whole_blocks_from_every_gate() -> None:
    rnn = CompiledRNN(CellSpec.from_recipe(ZOO["gru"]), 5, 32)
    targets = targets_of(rnn, "h2h")
    scores = {name: w.detach().abs() for name, w in parameters_of(rnn, targets).items()}
    (mask,) = remove_lowest(all_left(rnn, targets), scores, targets, 0.75, "16x1").values()
    columns = mask.flatten(0, 2).unflatten(0, (-1, 16)).sum(1)  # [blocks of 16 rows, 32]
    assert set(columns.unique().tolist()) == {0, 16}
    assert mask.float().mean() == 0.25
