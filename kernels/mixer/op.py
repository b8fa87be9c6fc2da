"""Runs a recurrence over time: compiled C on a CPU, chunks of matrix products elsewhere."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.cell.cpu.build import CannotCompile, build
from kernels.cell.cpu.loops import REALS
from kernels.cell.cpu.structs import function_of, number_of, struct_of
from kernels.cell.op import choose_backend, warn_once
from kernels.mixer.arguments import Arguments, checked
from kernels.mixer.chunks import in_chunks
from kernels.mixer.diagonal import can_scan, run_diagonal
from kernels.mixer.emit import emit_mixer
from kernels.mixer.fla import run_fla, takes
from kernels.mixer.reference import reference, scanned
from kernels.mixer.spec import Recurrence

BACKENDS = ("auto", "cpu", "gpu", "chunks", "reference", "scan")
_NUMBERS = ("rows", "steps", "heads", "threads")
_ARRAYS = (
    *("lengths", "q", "k", "v", "b", "e", "decay", "state", "y", "last", "marks"),
    *("dy", "dlast", "dq", "dk", "dv", "db", "de", "dlog", "dstate"),
)


_Arguments = struct_of(_NUMBERS, _ARRAYS)  # the struct `arguments` in mixer.c


class CompiledMixer:
    """A recurrence compiled for one dtype. Raises `CannotCompile`."""

    def __init__(self, recurrence: Recurrence, dtype: torch.dtype) -> None:
        library = build(emit_mixer(recurrence, dtype))
        self.forward = function_of(library, "forward", _Arguments)
        self.backward = function_of(library, "backward", _Arguments)
        self.every = number_of(library, "every")
        self.mark_numbers = number_of(library, "mark_numbers")


@lru_cache(maxsize=1024)
def compiled_mixer(recurrence: Recurrence, dtype: torch.dtype) -> CompiledMixer | None:
    """Return the compiled recurrence, or None with a warning if nothing compiles it."""
    try:
        return CompiledMixer(recurrence, dtype)
    except CannotCompile as error:
        warn_once(f"recurrences run as chunks of matrix products, several times slower: {error}")
        return None


def run_recurrence(
    recurrence: Recurrence,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    b: Tensor,
    *,
    e: Tensor | None = None,
    log_decay: Tensor | None = None,
    sign: Tensor | None = None,
    state: Tensor | None = None,
    lengths: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, V]` and the last state `[B, H, K, V]`.

    The tensors are described in `Arguments`. The decay is passed as log |a| and a sign, because
    the gradient to a itself is lost to rounding where a decays strongly; -inf resets the state.
    backend: "cpu" compiles C, "chunks" multiplies matrices of several steps at once, "gpu" does so
        on a GPU or calls flash-linear-attention where `fla.takes` it, "reference" loops in PyTorch,
        "scan" is that loop as one operator for exporters; "auto" takes C on a CPU, "gpu" on a GPU,
        and chunks elsewhere and in `torch.export`.
    Half precision is computed in float32.
    Raises `ValueError` for shapes that do not fit the recurrence, and for an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f'unknown backend "{backend}"; choose {", ".join(BACKENDS)}')
    given = checked(recurrence, q, k, v, b, e, log_decay, sign, state, lengths)
    dtype = q.dtype
    if backend in ("auto", "gpu") and takes(recurrence, given):
        outputs, last = run_fla(recurrence, given)
        return outputs, last.to(dtype)
    if dtype not in REALS:
        given = given.to(torch.float32)
    outputs, last = _run(recurrence, given, _chosen(backend, q))
    return outputs.to(dtype), last.to(dtype)


def _chosen(backend: str, q: Tensor) -> str:
    if backend == "cpu" and q.device.type != "cpu":
        raise ValueError(f'the backend "cpu" cannot run on {q.device.type}: use auto')
    if backend == "gpu" and q.device.type == "cpu":
        raise ValueError('the backend "gpu" needs tensors on a GPU: move them, or use auto')
    if backend != "auto":
        return "chunks" if backend == "gpu" else backend
    if choose_backend() == "reference":
        return "reference"
    in_c = q.device.type == "cpu" and not torch.compiler.is_compiling()
    return "cpu" if in_c else "chunks"


def _run(recurrence: Recurrence, given: Arguments, backend: str) -> tuple[Tensor, Tensor]:
    if backend == "reference":
        return reference(recurrence, given)
    if backend == "scan":
        return scanned(recurrence, given)
    if backend == "cpu" and can_scan(recurrence, given.q.dtype):
        return run_diagonal(given)
    mixer = compiled_mixer(recurrence, given.q.dtype) if backend == "cpu" else None
    if mixer is None:
        return in_chunks(recurrence, given)
    tensors = (given.q, given.k, given.v, given.b, given.e, given.log_decay, given.sign)
    return _Mix.apply(mixer, given.lengths, *tensors, given.state)  # type: ignore[return-value]


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mixer: CompiledMixer,
        lengths: Tensor | None,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        b: Tensor,
        e: Tensor | None,
        log_decay: Tensor | None,
        sign: Tensor | None,
        state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        batch, heads, steps, _ = q.shape
        decay = None
        if log_decay is not None:
            decay = log_decay.exp() if sign is None else log_decay.exp() * sign
        given = {"q": q, "k": k, "v": v, "b": b, "e": e, "decay": decay, "state": state}
        given = {name: t if t is None else t.contiguous() for name, t in given.items()}
        lengths = None if lengths is None else lengths.to(torch.int64).contiguous()
        results = {"y": q.new_empty(batch, heads, steps, v.shape[-1])}
        results["last"] = torch.empty_like(state)
        if any(ctx.needs_input_grad):
            blocks = -(-steps // mixer.every)
            results["marks"] = q.new_empty(batch * heads, blocks, mixer.mark_numbers)
        _call(mixer.forward, q, lengths=lengths, **given, **results)
        ctx.mixer, ctx.lengths, ctx.names = mixer, lengths, tuple(given)
        ctx.save_for_backward(*given.values(), results.get("marks"))
        return results["y"], results["last"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dlast: Tensor):  # type: ignore[override]
        *tensors, marks = ctx.saved_tensors
        given = dict(zip(ctx.names, tensors, strict=True))
        new = torch.empty_like if ctx.lengths is None else torch.zeros_like
        grads = {
            f"d{'log' if name == 'decay' else name}": None if t is None else new(t)
            for name, t in given.items()
        }
        results = {"dy": dy.contiguous(), "dlast": dlast.contiguous(), **grads}
        _call(ctx.mixer.backward, dy, lengths=ctx.lengths, **given, marks=marks, **results)
        before = (grads[n] for n in ("dq", "dk", "dv", "db", "de", "dlog"))
        return (None, None, *before, None, grads["dstate"])


def _call(function: Any, like: Tensor, **tensors: Tensor | None) -> None:
    batch, heads, steps, _ = like.shape
    numbers = {"rows": batch * heads, "steps": steps, "heads": heads}
    pointers = {name: None if t is None else t.data_ptr() for name, t in tensors.items()}
    function(_Arguments(**numbers, threads=torch.get_num_threads(), **pointers))
