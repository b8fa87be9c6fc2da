"""Recurrent weights as lists give the outputs and gradients of the masked dense cell."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.cell import op
from kernels.cell.cpu.sparse import SparseLoops
from kernels.cell.layer import CompiledRNN
from kernels.cell.op import Plan, compile_left
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from search_spaces.genome import sample
from search_spaces.rnn_cell.recipe import cell_of
from search_spaces.rnn_cell.space import RnnCellSpace

CELLS = {name: CellSpec.from_recipe(ZOO[name]) for name in ("lstm", "gru", "rnn-tanh")}
RNG, SPACE = np.random.default_rng(2), RnnCellSpace()
CELLS |= {f"drawn {i}": cell_of(sample(SPACE, RNG)[0]) for i in range(4)}


def masked(cell: CellSpec, hidden: int, share: float, dtype: torch.dtype, heads: int = 1):
    """Return a layer and a mask that keeps `share` of its weights, none in some rows."""
    generator = torch.Generator().manual_seed(3)
    layer = CompiledRNN(cell, 6, hidden, heads, generator=generator).to(dtype)
    if layer.on_h is None:
        pytest.skip("a cell without recurrent weights")
    mask = torch.rand(layer.on_h.shape, generator=generator) < share
    mask[:, :, 1:2] = False
    with torch.no_grad():
        layer.on_h.mul_(mask)
    return layer, mask


def answers(layer: CompiledRNN, x: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """Return outputs, last states, and the gradients of x and all parameters."""
    x = x.clone().requires_grad_()
    generator = torch.Generator().manual_seed(5)
    state = [
        torch.randn(s.shape, generator=generator, dtype=x.dtype)
        for s in layer.initial_state(len(x), x)
    ]
    outputs, last = layer(x, state, lengths)
    weights = torch.randn(outputs.shape, generator=generator, dtype=x.dtype)
    total = (outputs * weights).sum() + sum(s.sum() for s in last)
    grads = torch.autograd.grad(total, [x, *layer.parameters()])
    return [outputs.detach(), *(s.detach() for s in last), *grads]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 7, 16, 33])
@pytest.mark.parametrize("name", CELLS)
def test_lists_agree_with_the_masked_dense_cell(name: str, batch: int, dtype: torch.dtype) -> None:
    layer, mask = masked(CELLS[name], 40, 0.2, dtype)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(batch, 5, 6, generator=generator, dtype=dtype)
    lengths = torch.randint(0, 6, (batch,), generator=generator)
    for given in (None, lengths):
        dense = answers(layer, x, given)
        layer.keep_only(mask)
        assert isinstance(layer.left.plan.loops, SparseLoops)
        sparse = answers(layer, x, given)
        place = next(i for i, p in enumerate(layer.parameters()) if p is layer.on_h)
        dense[-len(list(layer.parameters())) + place].mul_(mask)
        tolerance = 1e-12 if dtype == torch.float64 else 1e-4
        for ours, expected in zip(sparse, dense, strict=True):
            torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
        layer.keep_only(None)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("hidden", [1, 32, 50, 96])
def test_masks_that_keep_nothing_or_everything_agree_with_the_dense_cell(
    hidden: int, share: float, batch: int
) -> None:
    layer, mask = masked(CELLS["lstm"], hidden, share, torch.float32)
    x = torch.randn(batch, 4, 6)
    expected = layer(x)[0]
    layer.keep_only(mask)
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_each_head_has_its_own_lists(batch: int) -> None:
    layer, mask = masked(CELLS["gru"], 48, 0.3, torch.float32, heads=3)
    x = torch.randn(batch, 4, 6)
    expected = layer(x)[0]
    layer.keep_only(mask)
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-4, atol=1e-4)


def test_changed_weights_are_read_and_removed_ones_are_not() -> None:
    layer, mask = masked(CELLS["lstm"], 40, 0.3, torch.float32)
    layer.keep_only(mask)
    x = torch.randn(1, 4, 6)
    with torch.no_grad():
        before = layer(x)[0]
        layer.on_h[~mask] = torch.nan
        torch.testing.assert_close(layer(x)[0], before)
        layer.on_h.mul_(2)
        assert not torch.allclose(layer(x)[0], before)


def test_an_optimiser_step_leaves_removed_weights_at_zero() -> None:
    layer, mask = masked(CELLS["gru"], 24, 0.3, torch.float32)
    layer.keep_only(mask)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1, weight_decay=0.1)
    layer(torch.randn(4, 3, 6))[0].sum().backward()
    optimizer.step()
    assert not layer.on_h[~mask].any() and layer.on_h[mask].any()


def test_a_copy_keeps_its_mask() -> None:
    layer, mask = masked(CELLS["lstm"], 40, 0.3, torch.float32)
    layer.keep_only(mask)
    x = torch.randn(2, 4, 6)
    for copy in (deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert isinstance(copy.left.plan.loops, SparseLoops)
        assert torch.equal(copy(x)[0], layer(x)[0])
        copy(x)[0].sum().backward()
        assert not copy.on_h.grad[~mask].any()
    assert "recurrent weights as lists" in layer.left.plan.explain()


def test_a_mask_that_does_not_fit_is_refused() -> None:
    layer, mask = masked(CELLS["lstm"], 8, 0.5, torch.float32)
    with pytest.raises(ValueError, match=r"the mask is \(3, 1, 8, 8\), expected \(4, 1, 8, 8\)"):
        layer.keep_only(mask[:3])
    with pytest.raises(ValueError, match="expected booleans"):
        compile_left(CELLS["lstm"], mask.float())


def test_without_a_compiler_the_dense_cell_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, mask = masked(CELLS["lstm"], 8, 0.5, torch.float32)
    x = torch.randn(2, 4, 6)
    expected = layer(x)[0]
    monkeypatch.setattr(op, "_plan", lambda cell, *_: Plan(cell, "cpu", "", None, x.dtype, 0.0))
    layer.keep_only(mask)
    assert layer.left.plan.loops is None
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-4, atol=1e-4)
