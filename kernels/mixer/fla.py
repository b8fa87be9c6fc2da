"""Hands recurrences on a GPU to flash-linear-attention, where it has a function for them.

Not measured here, because no GPU was at hand; the argument order is tested against loops. See
https://github.com/fla-org/flash-linear-attention, package fla-core, release 0.6.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch
from torch import Tensor

from kernels.mixer.arguments import Arguments
from kernels.mixer.spec import Recurrence

# by decay and by whether it erases its own keys, for one write a step
SINGLE = {
    ("none", False): "simple_gla.chunk_simple_gla",
    ("head", False): "simple_gla.chunk_simple_gla",
    ("feature", False): "gla.chunk_gla",
    ("none", True): "delta_rule.chunk_delta_rule",
    ("head", True): "gated_delta_rule.chunk_gated_delta_rule",
    ("feature", True): "kda.chunk_kda",
}
SEVERAL = "gated_delta_product.chunk_gated_delta_product"
HOPPER = 9  # compute capability
WRONG = ((3, 4), (3, 7, 1))  # Triton from … to before … computes wrong gradients on it
MOST_FEATURES = 256  # of a head


def function_name(recurrence: Recurrence) -> str | None:
    """Return the function for a recurrence, below `fla.ops`; None if there is none."""
    if recurrence.erase == "own" or max(recurrence.keys, recurrence.values) > MOST_FEATURES:
        return None
    if recurrence.writes == 1:
        return SINGLE[recurrence.decay, recurrence.erase == "key"]
    return SEVERAL if recurrence.erase == "key" and recurrence.decay != "feature" else None


@cache
def problem() -> str | None:
    """Return why flash-linear-attention is not used on this machine; None if it is used."""
    if find_spec("fla") is None:
        return 'not installed: pip install ".[fla]"'
    if not torch.cuda.is_available():
        return "no GPU"
    if torch.cuda.get_device_capability()[0] == HOPPER and has_wrong_gradients(_triton()):
        return (
            f"Triton {_triton()} computes wrong gradients on this GPU "
            "(flash-linear-attention issue 640): install 3.7.1 or newer"
        )
    return None


def has_wrong_gradients(triton: str) -> bool:
    """Return whether a version of Triton does, on Hopper."""
    numbers = tuple(int(part) for part in triton.split("+")[0].split(".") if part.isdigit())
    return WRONG[0] <= numbers < WRONG[1]


def takes(recurrence: Recurrence, given: Arguments) -> bool:
    """Return whether flash-linear-attention computes this call: bfloat16, all positive decays."""
    return (
        given.q.is_cuda
        and given.q.dtype == torch.bfloat16
        and given.sign is None
        and given.lengths is None
        and function_name(recurrence) is not None
        and problem() is None
        and (given.log_decay is None or bool(given.log_decay.isfinite().all()))  # no resets
    )


def run_fla(recurrence: Recurrence, given: Arguments) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, V]` and the last state, as of `run_recurrence`."""
    name = function_name(recurrence)
    if name is None:
        raise ValueError(f"flash-linear-attention has no function for {recurrence}")
    q, k, v, b = (_steps_first(t) for t in (given.q, given.k, given.v, given.b))
    arguments: dict[str, Tensor | int] = {"q": q}
    if recurrence.erase == "key":
        # the writes of a step stand one after the other: [B, T n, H, …]
        k, v, b = (t.movedim(3, 2).flatten(1, 2).contiguous() for t in (k, v, b))
        arguments |= {"k": k, "v": v, "beta": b}
    else:
        arguments |= {"k": k[:, :, :, 0], "v": (b[..., None] * v)[:, :, :, 0]}
    if name != SINGLE["none", True]:
        arguments["g"] = _log_decay(recurrence, given)
    if name == SEVERAL:
        arguments["num_householder"] = recurrence.writes
    y, last = _function(name)(
        **arguments, scale=1.0, initial_state=given.state.float(), output_final_state=True
    )
    return y.transpose(1, 2), last


def _log_decay(recurrence: Recurrence, given: Arguments) -> Tensor:
    """Return log |a|, `[B, T, H]` or `[B, T, H, K]`."""
    if given.log_decay is None:
        batch, heads, steps, _ = given.q.shape
        return given.q.new_zeros(batch, steps, heads)
    log = _steps_first(given.log_decay)
    return log if recurrence.decay == "feature" else log[..., 0]


def _steps_first(tensor: Tensor) -> Tensor:
    return tensor.transpose(1, 2).contiguous()


def _function(name: str) -> Callable[..., tuple[Tensor, Tensor]]:
    module, function = name.split(".")
    return getattr(import_module(f"fla.ops.{module}"), function)


def _triton() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "0"
