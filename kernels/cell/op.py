"""Running a cell over time: the one door to its implementations."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from kernels.cell.cpu.build import CannotCompile, find_compiler
from kernels.cell.cpu.loops import REALS, CompiledLoops
from kernels.cell.cpu.sparse import SparseLoops
from kernels.cell.function import Loops, run_loops
from kernels.cell.reference import reference_rnn
from kernels.cell.schedule import Schedule, schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.torch_loops import TorchLoops
from kernels.cell.weights import Weights, layout_of

BACKENDS = ("reference", "cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a cell will be run.

    backend: "reference", "cpu" or "gpu".
    reason: why this one, in words.
    loops: the compiled loops; None for the reference.
    compute: the type that is computed in; others are converted there and back.
    compile_seconds: how long it took to make or to find in the cache.
    """

    cell: CellSpec
    backend: str
    reason: str
    loops: Loops | None
    compute: torch.dtype
    compile_seconds: float

    def explain(self) -> str:
        """One paragraph: what runs, why, and the levels between matrix products."""
        schedule = schedule_of(self.cell)
        compute = str(self.compute).removeprefix("torch.")
        return (
            f"{self.backend}: {self.reason}; computes in {compute}. "
            f"{len(schedule.layout.linears)} linear nodes with {len(schedule.layout.connections)} "
            f"recurrent matrices in {len(schedule.forward)} levels forward and "
            f"{len(schedule.reverse)} backward; {len(schedule.kept)} of {len(self.cell.nodes)} "
            f"values kept beside the states; {self.compile_seconds:.2f} s to compile or load"
        )

    def run(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Weights,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the cell over time; arguments and result as in `reference_rnn`."""
        if self.loops is None:
            return reference_rnn(self.cell, x, state, weights, lengths)
        for name, tensor in weights._asdict().items():
            if tensor.dtype not in (x.dtype, self.compute):
                raise ValueError(f"x is {x.dtype} and {name} {tensor.dtype}: convert one of them")
        if lengths is not None:
            lengths = lengths.to(device=x.device, dtype=torch.int64).contiguous()
        dtype = x.dtype
        if dtype != self.compute:
            x, weights = x.to(self.compute), Weights(*(w.to(self.compute) for w in weights))
        outputs, last = run_loops(
            self.loops, x, torch.stack(tuple(state)).to(self.compute), weights, lengths
        )
        return outputs.to(dtype), last.to(dtype).unbind()


def backends() -> dict[str, str]:
    """The implementations and what stands for or against each on this machine."""
    compiler = find_compiler()
    return {
        "reference": "step by step in PyTorch, every device and type",
        "cpu": f"C by {compiler}" if compiler else "PyTorch operations: no C compiler",
        "gpu": "Triton" if torch.cuda.is_available() else "not here: no GPU",
    }


def choose_backend(wanted: str = "auto") -> str:
    """What was asked for: a name in `BACKENDS`, or "auto" for the fastest on the tensors' device.

    wanted: as above; where it is "auto", the variable NAS_KERNELS decides.
    Raises `ValueError` for a name that is not there.
    """
    name = os.environ.get("NAS_KERNELS", "auto") if wanted == "auto" else wanted
    if name not in ("auto", *BACKENDS):
        raise ValueError(f'no kernels "{name}"; there are auto, {", ".join(BACKENDS)}')
    return name


def compile_cell(
    cell: CellSpec,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    backend: str = "auto",
) -> Plan:
    """Make a cell ready to run on tensors of a device ("cpu" or "cuda") and type, once a process.

    Raises `ValueError` for a backend that cannot run there, `InvalidCell` for a cell that cannot
    be laid out. A backend that cannot be built is replaced by the next one, with a warning.
    """
    return _plan(cell, device, dtype, choose_backend(backend))


def compile_sparse(cell: CellSpec, mask: Tensor, dtype: torch.dtype = torch.float32) -> Plan:
    """Make a cell ready to run on a CPU with the recurrent weights that a mask leaves.

    mask: booleans in the shape of `Weights.on_h`, True where a weight is left; weights elsewhere
        are never read, and must be zero for other plans of the cell to agree.
    Without a C compiler the dense loops run. Raises `ValueError` for what is no mask of the cell.
    """
    started = time.perf_counter()
    connections = len(layout_of(cell).connections)
    square = mask.ndim == 4 and mask.shape[2] == mask.shape[3]
    if mask.dtype != torch.bool or not square or len(mask) != connections:
        raise ValueError(
            f"the mask is {mask.dtype} {tuple(mask.shape)}, expected booleans "
            f"[{connections}, heads, units, units]"
        )
    dense = _plan(cell, "cpu", dtype, "cpu")
    if not isinstance(dense.loops, CompiledLoops):
        return dense
    loops = SparseLoops(schedule_of(cell), dense.compute, mask.cpu())
    left = f"{int(mask.sum())} of {mask.numel()} recurrent weights"
    return replace(
        dense,
        reason=f"{left} as lists, C by {find_compiler()}",
        loops=loops,
        compile_seconds=time.perf_counter() - started,
    )


@lru_cache(maxsize=4096)
def _plan(cell: CellSpec, device: str, dtype: torch.dtype, name: str) -> Plan:
    started = time.perf_counter()
    reason = "as asked"
    if name == "auto":
        name, reason = ("cpu" if device == "cpu" else "gpu"), f"the fastest on {device}"
    if name == "cpu" and device != "cpu":
        raise ValueError(f'the kernels "cpu" cannot run on {device}: use auto, gpu or reference')
    loops, compute = None, dtype
    if name == "gpu":
        loops, reason = _gpu_loops(schedule_of(cell), device, reason)
        name = name if loops else "reference"
    elif name == "cpu":
        compute = dtype if dtype in REALS else torch.float32
        loops, reason = _cpu_loops(schedule_of(cell), compute, reason)
    return Plan(cell, name, reason, loops, compute, time.perf_counter() - started)


def _cpu_loops(schedule: Schedule, dtype: torch.dtype, reason: str) -> tuple[Loops, str]:
    try:
        return CompiledLoops(schedule, dtype), f"{reason}, C by {find_compiler()}"
    except CannotCompile as error:
        warn_once(f"cells run in PyTorch operations, about as fast as eager code: {error}")
        return TorchLoops(schedule), f"{reason}, PyTorch operations because there is {error}"


def _gpu_loops(schedule: Schedule, device: str, reason: str) -> tuple[Loops | None, str]:
    if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError('the kernels "gpu" need tensors on a GPU: move them, or use auto')
    try:
        from kernels.cell.gpu.loops import TritonLoops
    except ImportError as error:
        warn_once(f"cells run step by step: {error}; install triton")
        return None, f"{reason}, but {error}"
    return TritonLoops(schedule), f"{reason}, Triton"


@lru_cache
def warn_once(message: str) -> None:
    """Say that something runs slower than it could."""
    warnings.warn(message, stacklevel=4)


def run_cell(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    lengths: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over time; arguments and result as in `reference_rnn`."""
    plan = compile_cell(cell, x.device.type, x.dtype, backend)
    return plan.run(x, state, weights, lengths)
