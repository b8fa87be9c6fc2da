"""Products of 8 and 16 bits: exact where numbers fit, near float32 elsewhere, for any cell."""

import pickle

import pytest
import torch
from torch import nn

from kernels.cell.cpu.few_bits import FewBitLoops
from kernels.cell.function import run_loops
from kernels.cell.layer import CompiledRNN, compute_in, read_what_is_left
from kernels.cell.reference import reference_rnn
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of
from kernels.cell.zoo import ZOO
from kernels.layers import TorchStack
from search_spaces.rnn_cell.torch_layers import compiled
from tests.kernels.cell.agreement import MIXED, Sizes, drawn

CELLS = {"mixed": MIXED, **{name: ZOO[name] for name in ("lstm", "gru", "rhn")}}
SIZES: list[Sizes] = [(1, 1, 1, 1, 1), (5, 19, 1, 3, 5), (7, 80, 2, 25, 4), (33, 130, 1, 1, 6)]
ERROR = {"int8": 0.015, "bfloat16": 0.008}  # of the largest number
LINEAR = {"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}


@pytest.mark.parametrize("left", [None, 0.0, 0.15])
@pytest.mark.parametrize("bits", ERROR)
@pytest.mark.parametrize("name", CELLS)
def test_any_cell_is_near_float64(name: str, bits: str, left: float | None) -> None:
    cell = CellSpec.from_recipe(CELLS[name])
    for sizes in SIZES:
        (x, state, *tensors), _ = drawn(cell, sizes, torch.float32)
        weights, mask = Weights(*tensors), None
        if left is not None:
            generator = torch.Generator().manual_seed(1)
            mask = torch.rand(weights.on_h.shape, generator=generator) < left
        kept = weights if mask is None else weights._replace(on_h=weights.on_h * mask)
        double = [t.double() for t in (x, state, *kept)]
        exact, _ = reference_rnn(cell, double[0], double[1].unbind(), Weights(*double[2:]))
        loops = FewBitLoops(schedule_of(cell), bits, mask)
        with torch.no_grad():
            found, _ = run_loops(loops, x, state, weights)
        assert (found - exact).abs().max() <= ERROR[bits] * exact.abs().max()


@pytest.mark.parametrize("left", [None, 0.3])
@pytest.mark.parametrize("bits", ERROR)
@pytest.mark.parametrize("batch", [1, 2, 11, 14])
def test_numbers_that_fit_are_multiplied_exactly(bits: str, left: float | None, batch: int) -> None:
    """Integers up to 127 with both signs, each row with a 127, have the scale 1."""
    cell, generator = CellSpec.from_recipe(LINEAR), torch.Generator().manual_seed(2)

    def integers(*shape: int) -> torch.Tensor:
        drawn = torch.randint(-127, 128, shape, generator=generator).float()
        drawn[..., 0] = 127
        return drawn

    shapes = layout_of(cell).shapes(21, 70)
    weights = Weights(
        *(integers(*shape) if shape[0] else torch.zeros(shape) for shape in shapes.values())
    )
    mask = None
    if left is not None:
        mask = torch.rand(shapes["on_h"], generator=generator) < left
        mask[..., 0] = True
    x, state = integers(batch, 1, 21), integers(1, batch, 70)
    kept = weights if mask is None else weights._replace(on_h=weights.on_h * mask)
    expected, _ = reference_rnn(cell, x, state.unbind(), kept)
    with torch.no_grad():
        found, _ = run_loops(FewBitLoops(schedule_of(cell), bits, mask), x, state, weights)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("bits", ERROR)
def test_nan_stays_nan_in_its_sequence(bits: str) -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 3, 20)
    layer.compute_in(bits)
    x = torch.randn(2, 4, 3)
    x[1, 2, 0] = torch.nan
    with torch.inference_mode():
        outputs, _ = layer(x)
    assert outputs[0].isfinite().all() and outputs[1, :2].isfinite().all()
    assert outputs[1, 2:].isnan().all()


def test_zeros_are_read_as_zeros() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["gru"]), 3, 20)
    expected = layer(torch.zeros(2, 1, 3))[0]
    layer.compute_in("int8")
    with torch.inference_mode():
        assert torch.equal(layer(torch.zeros(2, 1, 3))[0], expected)


def test_sequences_of_different_lengths_give_what_each_gives_alone() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 5, 24)
    layer.compute_in("int8")
    x, lengths = torch.randn(5, 6, 5), torch.tensor([2, 6, 3, 1, 6])
    with torch.inference_mode():
        together, _ = layer(x, lengths=lengths)
        for i, length in enumerate(lengths):
            assert torch.equal(together[i, :length], layer(x[i : i + 1, :length])[0][0])


def test_changed_parameters_are_read() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 5, 24)
    layer.compute_in("int8")
    x = torch.randn(1, 4, 5)
    with torch.no_grad():
        before = layer(x)[0]
        assert torch.equal(layer(x)[0], before)
        layer.get_parameter("on_x").mul_(2)
        assert not torch.allclose(layer(x)[0], before, atol=1e-2)


def test_gradients_are_refused_and_float32_returns() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 5, 24)
    x = torch.randn(2, 4, 5)
    expected = layer(x)[0]
    layer.compute_in("int8")
    with pytest.raises(ValueError, match=r"a layer in int8 has no gradients: call it under"):
        layer(x)
    with pytest.raises(ValueError, match='unknown bits "int4"; choose int8 or bfloat16'):
        layer.compute_in("int4")
    layer.compute_in(None)
    assert torch.equal(layer(x)[0], expected)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_pytorchs_layers_compute_in_few_bits(layer: type[nn.LSTM | nn.GRU]) -> None:
    torch.manual_seed(0)
    theirs = layer(6, 40, num_layers=2, batch_first=True, bidirectional=True)
    with torch.no_grad():
        recurrent = theirs.get_parameter("weight_hh_l0")
        recurrent.mul_(torch.rand_like(recurrent) < 0.1)
    x = torch.randn(3, 7, 6)
    with torch.inference_mode():
        expected = theirs(x)[0]
        ours = compiled(theirs)
        compute_in(ours, "int8")
        read_what_is_left(ours)
        copy = pickle.loads(pickle.dumps(ours))
        assert isinstance(ours, TorchStack) and {left.bits for left in ours.left.values()} == {
            "int8"
        }
        found = ours(x)[0]
        assert torch.equal(copy(x)[0], found)
    assert not torch.equal(found, expected)
    assert (found - expected).abs().max() < 0.02
