"""Tries every group and layer that could be removed, in both modes and with gradients."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from compress.structure.channels import Graph
from compress.structure.exactness import halved, silenced
from compress.structure.groups import Group
from compress.structure.narrow import narrow, narrowed
from compress.structure.networks import answered, copied, restored, tensors_in
from compress.structure.operations import RULES
from compress.structure.recurrent import LEAVES
from compress.structure.trace import Blocks, Trace
from compress.structure.tracing import name_of, traced

T = TypeVar("T")
AGREEMENT = 1e-3  # share of the largest answer that float32 may differ by
NOISE = {"rand", "randn", "rand_like", "randn_like", "normal", "bernoulli", "uniform"}


def tried_groups(
    model: nn.Module, example: Any, graph: Graph
) -> tuple[tuple[Group, ...], list[tuple[Group, str]]]:
    """Return the groups that can be narrowed, alone and together, and the others with reasons."""
    scratch = copied(model)
    shapes = shapes_of(scratch.eval(), example)
    trains = training_fails(scratch, example) is None

    def attempt(groups: Sequence[Group], is_thorough: bool, half: bool) -> str | None:
        left = graph.left(_gone(groups, half))
        with restored(scratch):
            try:
                narrow(scratch, graph, left)
                trace = traced(scratch, example, RULES, LEAVES) if is_thorough else None
            except Exception as error:
                return _reason(error)
            if trace is not None and not agrees(graph.trace, trace, left):
                return "the code selects some of them by index"
            reason = fails(scratch, example, shapes, is_thorough and trains)
        if reason is None and is_thorough and half:
            return differs(model, example, graph, groups)
        return reason

    return tried(graph.groups, attempt)


def _gone(groups: Sequence[Group], half: bool) -> list[np.ndarray]:
    """Return roots to remove, drawn at random: one step of each group, or half of it."""
    rng = np.random.default_rng(0)
    gone = []
    for group in groups:
        width = group.width // 2 if half else group.width - 1
        for part in group.parts:
            gone.append(rng.permutation(part)[group.kept_of(part, max(1, width)) :])
    return gone


def tried(
    items: Sequence[T], attempt: Callable[[Sequence[T], bool, bool], str | None]
) -> tuple[tuple[T, ...], list[tuple[T, str]]]:
    """Return the items with which attempts succeed, and the others with the reasons.

    attempt: tries some of them together. For any two items, one attempt has the first without
        the second. If an attempt fails, the culprits are found by halving.
    """
    failed: list[tuple[T, str]] = []

    def left(some: Sequence[T]) -> list[T]:
        return [item for item in some if not any(item is bad for bad, _ in failed)]

    def blame(some: Sequence[T], reason: str, *how: bool) -> None:
        """Find the culprits among items that fail together."""
        if len(some) == 1:
            failed.append((some[0], reason))
            return
        before, middle = len(failed), len(some) // 2
        for part in (some[:middle], some[middle:]):
            again = attempt(part, *how)
            if again is not None:
                blame(part, again, *how)
        if len(failed) == before:  # they fail only together
            failed.append((some[-1], reason))

    def search(some: Sequence[T], *how: bool) -> None:
        while (rest := left(some)) and (reason := attempt(rest, *how)) is not None:
            blame(rest, reason, *how)

    search(items, True, True)
    search(items, True, False)
    for bit in range((len(items) - 1).bit_length()):
        for value in (0, 1):
            search([x for i, x in enumerate(items) if i >> bit & 1 == value], False, value == 0)
    return tuple(left(items)), failed


def fails(model: nn.Module, example: Any, shapes: list[torch.Size], is_trained: bool) -> str | None:
    """Return why a network cannot run, returns other shapes or cannot be trained; else None."""
    try:
        found = shapes_of(model.eval(), example)
    except Exception as error:
        return _reason(error)
    if found != shapes:
        return "without them the output has another shape"
    return training_fails(model, example) if is_trained else None


def differs(model: nn.Module, example: Any, graph: Graph, groups: Sequence[Group]) -> str | None:
    """Return a reason if removing half of the channels differs from not reading them, else None."""
    even = tuple(group for group in groups if group.is_exact or group.width % 2 == 0)
    left = graph.left(halved(even, np.random.default_rng(0)))
    try:
        networks = [make(model, graph, left).eval() for make in (silenced, narrowed)]
        with torch.no_grad(), torch.random.fork_rng(devices=[]), WithoutNoise():
            pair = [list(tensors_in(answered(network, example))) for network in networks]
    except Exception as error:
        return _reason(error)
    for whole, small in zip(*pair, strict=True):
        if whole.is_floating_point() and bool(whole.isfinite().all()):
            allowed = max(AGREEMENT, 10 * torch.finfo(whole.dtype).eps)
            if float((whole - small).abs().max()) > allowed * max(float(whole.abs().max()), 1e-6):
                return "without them the other channels change their values"
    return None


class WithoutNoise(TorchFunctionMode):
    """Sets random numbers to zero, because they differ between tensors of different sizes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result.zero_() if name_of(func) in NOISE else result


def shapes_of(model: nn.Module, example: Any) -> list[torch.Size]:
    """Return the shapes of a network's outputs."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return [t.shape for t in tensors_in(answered(model, example))]


def training_fails(model: nn.Module, example: Any) -> str | None:
    """Return why a network cannot be trained on the example, else None."""
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            answers = list(tensors_in(answered(model.train(), example)))
            total = [t.float().sum() for t in answers if t.requires_grad]
            if total:
                torch.stack(total).sum().backward()
    except Exception as error:
        return f"in training: {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    """Return the reason of a group whose removal breaks the network, a size in its code mostly."""
    lines = str(error).splitlines()
    return f"without some of them it fails: {lines[0] if lines else type(error).__name__}"


def agrees(wide: Trace, narrow: Trace, left: np.ndarray) -> bool:
    """Return whether a narrowed network combines the same channels as the whole one.

    Along every axis of every result the narrowed network must have exactly the channels that are
    left, in their order.
    """
    narrow.labels.close()
    wide_roots = wide.labels.find(np.arange(len(wide.labels)))
    narrow_roots = narrow.labels.find(np.arange(len(narrow.labels)))
    _name_single_parts(wide, wide_roots, left)
    known: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()

    def same(old: Any, new: Any) -> bool:
        if isinstance(old, Blocks) or isinstance(new, Blocks) or old is None or new is None:
            return True
        if (id(old), id(new)) in seen:
            return True
        seen.add((id(old), id(new)))
        kept = old[left[old]]
        if len(kept) != len(new):
            return False
        pairs = zip(narrow_roots[new].tolist(), wide_roots[kept].tolist(), strict=True)
        return all(known.setdefault(a, b) == b for a, b in pairs)

    for name, axes in wide.axes.items():
        if name in narrow.axes and not all(map(same, axes, narrow.axes[name])):
            return False
    if [name for name, _ in wide.steps] != [name for name, _ in narrow.steps]:
        return True  # the control flow depends on values
    return all(
        same(old, new)
        for (_, before), (_, after) in zip(wide.steps, narrow.steps, strict=True)
        for axes, others in zip(before, after, strict=True)
        for old, new in zip(axes, others, strict=False)
    )


def _name_single_parts(wide: Trace, roots: np.ndarray, left: np.ndarray) -> None:
    """If a product has one row left, name its channels after the columns, and vice versa."""
    for product in wide.labels.products:
        for one, other, both in (
            (product.rows, product.columns, product.both),
            (product.columns, product.rows, product.both.T),
        ):
            (kept,) = np.nonzero(left[one])
            if len(kept) == 1:
                alias = roots[other]
                for old, new in zip(roots[both[kept[0]]].tolist(), alias.tolist(), strict=True):
                    roots[roots == old] = new
                break
