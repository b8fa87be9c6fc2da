"""Wired networks in compiled C, compared with the same layers one by one in the reference."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.cell.spec import CellSpec, InvalidCell
from kernels.cell.zoo import ZOO
from kernels.wired.op import run_wired, wired_loops
from kernels.wired.wiring import WiredWeights, Wiring, side_by_side, wiring_of
from search_spaces.random_graph.model import WiredRNN
from tests.kernels.cell.agreement import MIXED
from tests.kernels.cell.test_drawn_cells import QUIET, cells

STEPS, FEATURES = 5, 3
READS = ((), (0,), (1, 0))  # the last layer reads both others, in this order
SIZES = (4, 1, 3)


class Layers:
    """Three layers of a cell, whose weights can also be those of a wired network."""

    def __init__(self, cell: CellSpec, dtype: torch.dtype, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        inputs = [sum(SIZES[source] for source in read) or FEATURES for read in READS]
        self.edges = [
            torch.rand(h, c, generator=generator) < 0.6 for c, h in zip(inputs, SIZES, strict=True)
        ]
        self.edges[1][:] = True
        self.layers = [WiredRNN(cell, edges, 0.0, generator).to(dtype) for edges in self.edges]
        for layer in self.layers:
            layer.backend = "reference"

    @property
    def parameters(self) -> list[Tensor]:
        return [p for layer in self.layers for p in layer.parameters()]

    def wiring(self) -> Wiring:
        return wiring_of(self.edges, READS)

    def weights(self) -> WiredWeights:
        parts = []
        for layer, edges in zip(self.layers, self.edges, strict=True):
            bias, on_x, on_h, diagonal = layer.weights()
            squares = on_h.squeeze(1).permute(1, 2, 0).flatten(0, 1)
            parts.append((bias.T, on_x[:, edges].T, squares, diagonal.T))
        return WiredWeights(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def run(
        self, x: Tensor, state: list[Tensor], lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return outputs `[B, T, N]` and last states `[B, N]`, layer by layer."""
        outputs: list[Tensor] = []
        lasts = []
        begins = [part.split(SIZES, dim=1) for part in state]
        for i, (layer, read) in enumerate(zip(self.layers, READS, strict=True)):
            seen = torch.cat([outputs[source] for source in read], dim=-1) if read else x
            output, last = layer(seen, [begin[i] for begin in begins], lengths)
            outputs.append(output)
            lasts.append(last)
        return torch.cat(outputs, -1), [torch.cat(part, -1) for part in zip(*lasts, strict=True)]


def compare(cell: CellSpec, dtype: torch.dtype, batch: int, lengths: Tensor | None) -> float:
    """Return the largest relative difference of outputs, states and all gradients."""
    layers, loops = Layers(cell, dtype, 0), wired_loops(cell, dtype)
    assert loops is not None
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, STEPS, FEATURES, generator=generator, dtype=dtype, requires_grad=True)
    state = [
        torch.randn(batch, sum(SIZES), generator=generator, dtype=dtype, requires_grad=True)
        for _ in range(cell.states)
    ]
    shown = torch.tensor([0, 2, 5, 7])
    leaves = [x, *state, *layers.parameters]
    weights, found = layers.weights(), []
    for outputs, last in (
        run_wired(loops, layers.wiring(), x, state, weights, lengths, shown),
        layers.run(x, state, lengths),
    ):
        outputs = outputs if outputs.shape[-1] == len(shown) else outputs[..., shown]
        ramp = torch.arange(outputs.numel(), dtype=dtype).cos().view_as(outputs)
        total = (outputs * ramp).sum() + sum((part * part).sum() for part in last)
        total = total + sum(0 * leaf.sum() for leaf in leaves)  # a weight may be unread
        grads = torch.autograd.grad(total, leaves, allow_unused=True)
        zeros = [torch.zeros_like(leaf) for leaf in leaves]
        grads = [z if g is None else g for z, g in zip(zeros, grads, strict=True)]
        found.append([outputs, *last, *grads])
    return max(
        float(((a - b).abs().max() / (1 + b.abs().max())).detach())
        for a, b in zip(*found, strict=True)
    )


@pytest.mark.parametrize("name", ["rnn-relu", "gru", "lstm", "rhn", "mixed"])
@pytest.mark.parametrize("batch", [1, 37, 64])
def test_outputs_states_and_gradients_agree_with_the_layers(name: str, batch: int) -> None:
    cell = CellSpec.from_recipe(MIXED if name == "mixed" else ZOO[name])
    lengths = torch.arange(batch) % (STEPS + 1)
    assert compare(cell, torch.float64, batch, lengths) < 1e-12
    assert compare(cell, torch.float32, batch, None) < 1e-4


@settings(max_examples=20, suppress_health_check=[HealthCheck.filter_too_much], **QUIET)
@given(cells(reducing=False), st.integers(1, 40))
def test_any_cell_can_be_wired(cell: CellSpec, batch: int) -> None:
    assume(any(node.op in ("linear", "diagonal") for node in cell.nodes))
    try:
        error = compare(cell, torch.float64, batch, None)
    except InvalidCell:
        return
    assert error < 1e-10


@pytest.mark.parametrize("threads", [1, 2])
def test_networks_side_by_side_give_the_same_as_alone(threads: int) -> None:
    cell = CellSpec.from_recipe(ZOO["gru"])
    loops, layers = (
        wired_loops(cell, torch.float64),
        [Layers(cell, torch.float64, s) for s in (0, 1)],
    )
    wirings = [one.wiring() for one in layers]
    weights = [WiredWeights(*(w.detach() for w in one.weights())) for one in layers]
    joined = WiredWeights(*(torch.cat(parts) for parts in zip(*weights, strict=True)))
    x = torch.randn(2, 9, STEPS, FEATURES, dtype=torch.float64)

    def run(wiring: Wiring, given: WiredWeights, inputs: Tensor) -> list[Tensor]:
        leaves = WiredWeights(*(w.clone().requires_grad_() for w in given))
        every = torch.arange(wiring.units)
        outputs, last = run_wired(loops, wiring, inputs, None, leaves, None, every)
        grads = torch.autograd.grad(outputs.sum() + last[0].square().sum(), leaves[:3])
        return [outputs.movedim(-1, 0), last[0].T, *grads]

    alone = [run(*given) for given in zip(wirings, weights, x, strict=True)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        together = run(side_by_side(wirings), joined, torch.cat(list(x), dim=-1))
    finally:
        torch.set_num_threads(before)
    for found, *expected in zip(together, *alone, strict=True):
        assert torch.equal(found, torch.cat(expected))


def test_unused_lanes_of_a_panel_do_not_affect_gradients() -> None:
    """A cell that explodes on padding sequences must not corrupt the gradients."""
    cell = CellSpec.from_recipe(ZOO["rnn-relu"])
    layers, loops = Layers(cell, torch.float32, 0), wired_loops(cell, torch.float32)
    weights = layers.weights()
    weights = weights._replace(bias=weights.bias.detach() + 1e30, on_h=weights.on_h * 1e9)
    weights.on_h.retain_grad()
    x = torch.full((2, STEPS, FEATURES), -1e35)
    none = torch.arange(0)
    _, last = run_wired(loops, layers.wiring(), x, None, weights, torch.tensor([1, 0]), none)
    last[0][1].sum().backward()
    assert weights.on_h.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:graph networks run layer by layer")
def test_a_cell_that_normalises_runs_layer_by_layer() -> None:
    assert wired_loops(CellSpec.from_recipe(ZOO["layer-norm-gru"]), torch.float32) is None
