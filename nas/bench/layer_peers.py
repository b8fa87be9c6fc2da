"""The implementations of a recurrent layer that `nas bench kernels` times side by side."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kernels.cell.layer import CompiledRNN, compute_in, read_what_is_left
from kernels.cell.reference import reference_step
from kernels.cell.spec import CellSpec
from nas.models import eight_bits
from nas.models.exported_programs import write_programs
from nas.models.inputs import Inputs
from nas.models.int8_graph import write_int8

Run = Callable[[Tensor], Tensor]
# PyTorch's layer for a cell; its GRU has the reset gate behind the matrix, ours before it.
TORCH_LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn-tanh": nn.RNN}
FLOAT32, BFLOAT16, INT8, PRUNED = "as given", "bfloat16", "int8", "int8, 90 % pruned"
OURS = (FLOAT32, BFLOAT16, INT8, PRUNED)  # what our products are computed in
EAGER, TORCH, COMPILED = "eager", "torch.nn", "torch.compile"
ORT, ORT_INT8, AO_INT8 = "onnxruntime", "onnxruntime int8", "torch.ao int8"


@dataclass(frozen=True, slots=True)
class Peer:
    """One implementation: a function from `[B, T, C]` to outputs, and the time to compile it."""

    run: Run
    compile_seconds: float | None = None


def peers(
    name: str,
    cell: CellSpec,
    sizes: Sequence[int],
    x: Tensor,
    lengths: Tensor | None,
    inference: bool,
    compiles: bool,
) -> Iterator[tuple[str, Peer]]:
    """Yield the name and implementation of everything that can run the layers, ours first.

    name: what the cell is called; PyTorch has a layer for those in `TORCH_LAYERS`.
    x: `[B, T, C]`. lengths: `[B]` or None. inference: without gradients, and also in few bits.
    compiles: whether to include `torch.compile`, which takes minutes.
    """
    on_cpu = x.device.type == "cpu"
    for form in OURS if inference and on_cpu else (FLOAT32,):
        yield form, _ours(cell, sizes, form, x, lengths)
    eager = _Stack(cell, sizes, "reference").to(x)
    yield EAGER, Peer(lambda x: eager(x, lengths))
    if compiles and lengths is None:
        yield COMPILED, _torch_compiled(eager, x)
    if name in TORCH_LAYERS:
        theirs = _TorchStack(TORCH_LAYERS[name], sizes).to(x)
        yield TORCH, Peer(lambda x: theirs(x, lengths))
        if inference and on_cpu and lengths is None and x.dtype == torch.float32:
            yield from _exported(theirs, x)


def _ours(
    cell: CellSpec, sizes: Sequence[int], form: str, x: Tensor, lengths: Tensor | None
) -> Peer:
    started = time.perf_counter()
    stack = _Stack(cell, sizes, "auto").to(x)
    if form == PRUNED:
        with torch.no_grad():
            for layer in stack.layers:
                on_h = layer.get_parameter("on_h")
                size = on_h.abs().flatten()
                on_h.mul_(on_h.abs() > size.kthvalue(max(1, round(0.9 * len(size)))).values)
        read_what_is_left(stack)
    if form != FLOAT32:
        compute_in(stack, BFLOAT16 if form == BFLOAT16 else INT8)
    stack(x[:, :1])
    return Peer(lambda x: stack(x, lengths), time.perf_counter() - started)


class _Stack(nn.Module):
    """Layers of one cell, with the same weights for every backend."""

    def __init__(self, cell: CellSpec, sizes: Sequence[int], backend: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList(
            CompiledRNN(cell, i, o, backend=backend, generator=generator)
            for i, o in pairwise(sizes)
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x, _ = layer(x, lengths=lengths)
        return x


class _TorchStack(nn.Module):
    def __init__(self, layer: Callable[..., nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer(i, o, batch_first=True) for i, o in pairwise(sizes))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            for layer in self.layers:
                x, _ = layer(x)
            return x
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        for layer in self.layers:
            packed, _ = layer(packed)
        return pad_packed_sequence(packed, batch_first=True)[0]


class _StepByStep(nn.Module):
    """The eager loop with `torch.compile` around each step instead of the whole loop."""

    def __init__(self, stack: _Stack) -> None:
        super().__init__()
        self.stack, self.step = stack, torch.compile(reference_step)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stack.layers:
            assert isinstance(layer, CompiledRNN)
            state, outputs, weights = layer.initial_state(len(x), x), [], layer.weights()
            for step in x.unbind(1):
                state = self.step(layer.cell, step, state, weights)
                outputs.append(state[0])
            x = torch.stack(outputs, dim=1)
        return x


def _torch_compiled(eager: _Stack, x: Tensor) -> Peer:
    """Return the faster of `torch.compile` around the whole loop and around each step."""
    found = []
    for model in (torch.compile(eager), _StepByStep(eager)):
        started = time.perf_counter()
        _through(model, x)
        compiled = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(3):
            _through(model, x)
        found.append((time.perf_counter() - started, Peer(model, compiled)))
    return min(found, key=lambda pair: pair[0])[1]


def _through(model: Run, x: Tensor) -> None:
    outputs = model(x)
    if outputs.requires_grad:
        outputs.sum().backward()


def _exported(theirs: _TorchStack, x: Tensor) -> Iterator[tuple[str, Peer]]:
    """Yield PyTorch's layers in int8, and as programs of onnxruntime if it is installed."""
    if hasattr(torch, "ao") and hasattr(torch.ao.quantization, "quantize_dynamic"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated, and here for comparison only
            dynamic = torch.ao.quantization.quantize_dynamic(theirs, {nn.LSTM, nn.GRU})
        if any("quantized" in type(layer).__module__ for layer in dynamic.modules()):
            yield AO_INT8, Peer(dynamic)
    if not all(find_spec(package) for package in eight_bits.NEEDED):
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_programs(theirs, Inputs.of(x, False), folder)
        float32, int8 = folder / eight_bits.FLOAT32, folder / eight_bits.INT8
        write_int8(float32, int8)
        yield ORT, Peer(eight_bits.program(float32))
        yield ORT_INT8, Peer(eight_bits.program(int8))
