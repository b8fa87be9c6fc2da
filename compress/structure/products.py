"""Rules of products of two tensors: matrix products, einsum, attention."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from compress.structure.call import Call
from compress.structure.labels import Axes


def matmul(call: Call) -> Axes:
    """Label matrix products `[…, n, m] × […, m, k]`, also of vectors."""
    one, other = call.args[0], call.get(1, "other", call.get(1, "mat2"))
    if call.name in ("mv", "ger", "outer"):
        other = call.get(1, "vec", call.get(1, "vec2", other))
    return _product(call, one, other)


def _product(call: Call, one: Tensor, other: Tensor) -> Axes:
    a, b = call.axes(one), call.axes(other)
    inner_a, inner_b = a[-1], b[-2] if other.dim() > 1 else b[0]
    inner = call.unite(inner_a, inner_b)
    _contracted(call, inner, one, other)
    if call.table.is_weight(other):
        call.reads(inner_b)
        if other.dim() == 2:
            call.makes(other, b[-1])
    rows = (a[-2],) if one.dim() > 1 else ()
    columns = (b[-1],) if other.dim() > 1 else ()
    return (*_batch(call, a[:-2], b[:-2], one, other), *rows, *columns)


def _batch(call: Call, a: Axes, b: Axes, one: Tensor, other: Tensor) -> Axes:
    """Label the axes before the last two: whole parts, such as heads."""
    found: list[np.ndarray | None] = []
    for back in range(max(len(a), len(b)), 0, -1):
        mine = a[-back] if back <= len(a) and one.shape[-back - 2] > 1 else None
        theirs = b[-back] if back <= len(b) and other.shape[-back - 2] > 1 else None
        sizes = [
            t.shape[-back - 2]
            for t, axes in ((one, a), (other, b))
            if back <= len(axes) and t.shape[-back - 2] > 1
        ]
        labels = (
            call.unite(mine, theirs) if len(sizes) == 2 else (mine if theirs is None else theirs)
        )
        if labels is not None:
            call.labels.whole.append(labels)
        found.append(labels)
    return tuple(found)


def _contracted(call: Call, labels: np.ndarray | None, one: Tensor, other: Tensor) -> None:
    """Note a sum over products of activations: both factors of a removed channel must be zero."""
    weights = (call.table.is_weight(one), call.table.is_weight(other))
    if labels is not None and weights in ((False, False), (True, True)):
        call.trace.multiplied.append(labels)


def added_product(call: Call) -> Axes:
    """Label `input + one × other`."""
    bias, one, other = call.args[0], call.get(1, "batch1", call.get(1, "mat1")), call.args[2]
    axes = list(_product(call, one, other))
    given = call.axes(bias)
    for back in range(1, bias.dim() + 1):
        if bias.shape[-back] > 1:
            axes[-back] = call.unite(axes[-back], given[-back])
    return tuple(axes)


def dotted(call: Call) -> Axes:
    """Label the dot product of two vectors."""
    one, other = call.args[0], call.args[1]
    _contracted(call, call.unite(call.axes(one)[0], call.axes(other)[0]), one, other)
    return ()


def summed_products(call: Call) -> Axes:
    """Label an `einsum`: axes with the same letter are the same."""
    equation = call.args[0].replace(" ", "")
    operands = call.args[1:]
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = operands[0]
    inputs, _, output = equation.partition("->")
    terms = inputs.split(",")
    if "->" not in equation:
        letters = sorted({c for c in inputs if c.isalpha() and inputs.count(c) == 1})
        output = ("..." if "..." in inputs else "") + "".join(letters)
    most = max(
        t.dim() - len(term.replace("...", "")) for t, term in zip(operands, terms, strict=True)
    )
    spread = [_letters(term, t.dim(), most) for term, t in zip(terms, operands, strict=True)]
    left = _letters(output, call.results[0].dim(), most)
    known: dict[str, np.ndarray | None] = {}
    for letters, operand in zip(spread, operands, strict=True):
        for letter, labels, size in zip(letters, call.axes(operand), operand.shape, strict=True):
            if size > 1:
                known[letter] = call.unite(known[letter], labels) if letter in known else labels
    for letter, labels in known.items():
        holders = [t for t, letters in zip(operands, spread, strict=True) if letter in letters]
        if labels is None:
            continue
        if letter not in left:
            _summed(call, labels, letter, holders, spread, operands)
        elif len(holders) > 1:
            call.labels.whole.append(labels)
    for operand, letters in zip(operands, spread, strict=True):
        if call.table.is_weight(operand):
            for letter in letters:
                if letter in left and sum(letter in other for other in spread) == 1:
                    call.makes(operand, known.get(letter))
    return tuple(known.get(letter) for letter in left)


def _summed(call: Call, labels: Any, letter: str, holders: Any, spread: Any, operands: Any) -> None:
    weights = [t for t in holders if call.table.is_weight(t)]
    if not weights or len(holders) == 1:
        call.trace.multiplied.append(labels)
    for operand, letters in zip(operands, spread, strict=True):
        if any(operand is weight for weight in weights):
            call.reads(call.axes(operand)[letters.index(letter)])


def _letters(term: str, count: int, most: int) -> list[str]:
    """Return the letters of a term; axes under an ellipsis get numbers, counted from the right."""
    before, dots, behind = term.partition("...")
    hidden = count - len(before) - len(behind) if dots else 0
    return [*before, *(str(most - hidden + i) for i in range(hidden)), *behind]


def attention(call: Call) -> Axes:
    """Label attention over queries, keys and values `[…, heads, L, D]`; heads are whole parts."""
    query, key, value = (call.get(i, n) for i, n in enumerate(("query", "key", "value")))
    mask, scale = call.get(3, "attn_mask"), call.kwargs.get("scale")
    q, k, v = (list(call.axes(t)) for t in (query, key, value))
    if call.kwargs.get("enable_gqa") and query.shape[-3] != key.shape[-3]:
        _shared_keys(call, q, k, v, query.shape[-3] // key.shape[-3])
    else:
        for axis in range(query.dim() - 2):
            if query.shape[axis] > 1 and key.shape[axis] == query.shape[axis]:
                q[axis] = call.unite(call.unite(q[axis], k[axis]), v[axis])
    depth = call.unite(q[-1], k[-1])
    call.unite(k[-2], v[-2])
    if depth is not None:
        call.trace.multiplied.append(depth)
        if scale is None:
            call.labels.fix(depth, "attention divides by the square root of their number")
    call.labels.whole.extend(labels for labels in q[:-2] if labels is not None)
    if isinstance(mask, Tensor):
        against = [*q[:-1], k[-2]]
        theirs = call.axes(mask)
        for back in range(1, mask.dim() + 1):
            if mask.shape[-back] > 1:
                call.unite(against[-back], theirs[-back])
    call.fix_axis(k[-2])
    return (*q[:-1], v[-1])


def _shared_keys(call: Call, q: list, k: list, v: list, times: int) -> None:
    """Unite each head of keys and values with the several query heads that it serves."""
    shared = call.unite(k[-3], v[-3])
    call.unite(q[-3], None if shared is None else np.repeat(shared, times))
    for axis in range(len(q) - 3):
        q[axis] = q[axis] if q[axis] is not None else k[axis]


MULTIPLYING: dict[str, Callable] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "mv"), matmul),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), added_product),
    **dict.fromkeys(("dot", "vdot", "inner"), dotted),
    "einsum": summed_products,
    "scaled_dot_product_attention": attention,
}
