"""Plans how a cell runs over time: with which of its implementations, and why."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from kernels.cell.cpu.build import CannotCompile, find_compiler
from kernels.cell.cpu.few_bits import FewBitLoops
from kernels.cell.cpu.loops import REALS, CompiledLoops
from kernels.cell.cpu.sparse import SparseLoops
from kernels.cell.cpu.storage import FEW_BITS
from kernels.cell.function import run_loops
from kernels.cell.newton import check_diagonal, newton_rnn
from kernels.cell.passes import Loops
from kernels.cell.reference import reference_rnn, reference_rows
from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule, schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.torch_loops import TorchLoops
from kernels.cell.weights import Weights, layout_of

BACKENDS = ("reference", "cpu", "gpu", "newton")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a cell will run.

    backend: one of `BACKENDS`.
    reason: why this backend was chosen, in words.
    loops: the compiled loops; None for the reference and for Newton's method.
    compute: the dtype of the computation; other dtypes are converted to it and back.
    compile_seconds: how long it took to compile the loops or load them from the cache.
    """

    cell: CellSpec
    backend: str
    reason: str
    loops: Loops | None
    compute: torch.dtype
    compile_seconds: float

    def explain(self) -> str:
        """Describe in one paragraph what runs, why, and the levels between matrix products."""
        schedule = schedule_of(self.cell)
        compute = str(self.compute).removeprefix("torch.")
        return (
            f"{self.backend}: {self.reason}; computes in {compute}. "
            f"{len(schedule.layout.linears)} linear nodes with {len(schedule.layout.connections)} "
            f"recurrent matrices in {len(schedule.forward)} levels forward and "
            f"{len(schedule.reverse)} backward; {len(schedule.kept)} of {len(self.cell.nodes)} "
            f"values kept besides the states; {self.compile_seconds:.2f} s to compile or load"
        )

    def run(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Weights,
        rows: Rows | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the cell over time; see `run.run_cell`."""
        if self.backend == "newton" and rows is None:
            return self._solved(x, state, weights)
        if self.loops is None:
            if rows is None:
                return reference_rnn(self.cell, x, state, weights)
            return reference_rows(self.cell, x, state, weights, rows)
        for name, tensor in weights._asdict().items():
            if tensor.dtype not in (x.dtype, self.compute):
                raise ValueError(
                    f"x is {x.dtype} but {name} is {tensor.dtype}: convert one of them"
                )
        dtype = x.dtype
        if dtype != self.compute:
            x, weights = x.to(self.compute), Weights(*(w.to(self.compute) for w in weights))
        outputs, last = run_loops(
            self.loops, x, torch.stack(tuple(state)).to(self.compute), weights, rows
        )
        return outputs.to(dtype), last.to(dtype).unbind()

    def _solved(
        self, x: Tensor, state: Sequence[Tensor], weights: Weights
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        found = newton_rnn(self.cell, x, state, weights)
        if not found.converged:
            warn_once(
                f"Newton's method did not converge in {found.iterations} iterations (residual "
                f"{found.residual:.1g}), so the cell runs step by step"
            )
            return compile_cell(self.cell, x.device.type, x.dtype).run(x, state, weights)
        return found.states[0], tuple(part[:, -1] for part in found.states)


def backends() -> dict[str, str]:
    """Return the implementations, each with how or why not it runs on this machine."""
    compiler = find_compiler()
    return {
        "reference": "step by step in PyTorch, on every device and dtype",
        "cpu": f"C compiled by {compiler}" if compiler else "PyTorch operations: no C compiler",
        "gpu": "Triton" if torch.cuda.is_available() else "not available: no GPU",
        "newton": "all steps at once in PyTorch, if asked for, where the recurrence is diagonal",
    }


def choose_backend(wanted: str = "auto") -> str:
    """Return a name in `BACKENDS`, or "auto" for the fastest backend on the tensors' device.

    wanted: the requested name; if it is "auto", the variable NAS_KERNELS decides.
    Raises `ValueError` for an unknown name.
    """
    name = os.environ.get("NAS_KERNELS", "auto") if wanted == "auto" else wanted
    if name not in ("auto", *BACKENDS):
        raise ValueError(f'unknown kernels "{name}"; choose auto, {", ".join(BACKENDS)}')
    return name


def compile_cell(
    cell: CellSpec,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    backend: str = "auto",
) -> Plan:
    """Prepare a cell for tensors of a device ("cpu" or "cuda") and dtype, once per process.

    Raises `ValueError` for a backend that cannot run there, and `InvalidCell` for a cell that
    cannot be compiled. A backend that cannot be built is replaced by the next one, with a warning.
    """
    return _plan(cell, device, dtype, choose_backend(backend))


def compile_left(
    cell: CellSpec,
    mask: Tensor | None,
    dtype: torch.dtype = torch.float32,
    bits: str | None = None,
) -> Plan:
    """Prepare a cell to run on a CPU with the recurrent weights that a mask keeps, in few bits.

    mask: booleans in the shape of `Weights.on_h`, True where a weight is left, None for all. Other
        weights are never read; they must be zero for other plans of the cell to agree.
    bits: "int8" or "bfloat16" for the weights and what they multiply, which is for inference only;
        None for `dtype`.
    Without a C compiler, the dense loops run. Raises `ValueError` if the mask does not fit the
    cell, and for other bits.
    """
    started = time.perf_counter()
    if mask is not None:
        _check_mask(mask, len(layout_of(cell).connections))
    if bits not in (None, *FEW_BITS):
        raise ValueError(f'unknown bits "{bits}"; choose {" or ".join(FEW_BITS)}')
    dense = _plan(cell, "cpu", dtype, "cpu")
    if not isinstance(dense.loops, CompiledLoops) or (mask is None and bits is None):
        return dense
    schedule, mask = schedule_of(cell), None if mask is None else mask.cpu()
    try:
        if bits:
            loops, dense = FewBitLoops(schedule, bits, mask), replace(dense, compute=torch.float32)
        else:
            assert mask is not None
            loops = SparseLoops(schedule, dense.compute, mask)
    except CannotCompile as error:
        warn_once(f"sparse and few-bit cells run as dense ones: {error}")
        return dense
    left = "" if mask is None else f"{int(mask.sum())} of {mask.numel()} recurrent weights as lists"
    kinds = ", ".join(filter(None, [bits and f"{bits} products", left]))
    return replace(
        dense,
        reason=f"{kinds}, C compiled by {find_compiler()}",
        loops=loops,
        compile_seconds=time.perf_counter() - started,
    )


def _check_mask(mask: Tensor, connections: int) -> None:
    square = mask.ndim == 4 and mask.shape[2] == mask.shape[3]
    if mask.dtype != torch.bool or not square or len(mask) != connections:
        raise ValueError(
            f"the mask is {mask.dtype} {tuple(mask.shape)}, expected booleans "
            f"[{connections}, heads, units, units]"
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
    if name == "newton":
        check_diagonal(cell)
    if name == "gpu":
        loops, reason = _gpu_loops(schedule_of(cell), device, reason)
        name = name if loops else "reference"
    elif name == "cpu":
        compute = dtype if dtype in REALS else torch.float32
        loops, reason = _cpu_loops(schedule_of(cell), compute, reason)
    return Plan(cell, name, reason, loops, compute, time.perf_counter() - started)


def _cpu_loops(schedule: Schedule, dtype: torch.dtype, reason: str) -> tuple[Loops, str]:
    try:
        return CompiledLoops(schedule, dtype), f"{reason}, C compiled by {find_compiler()}"
    except CannotCompile as error:
        warn_once(f"cells run in PyTorch operations, about as fast as eager code: {error}")
        return TorchLoops(schedule), f"{reason}, PyTorch operations ({error})"


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
    """Warn once that something runs slower than it could."""
    warnings.warn(message, stacklevel=4)
