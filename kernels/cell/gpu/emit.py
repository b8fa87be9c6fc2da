"""Writes the Triton of a cell: kernels that run all steps, and one kernel per level and step.

If a head's recurrent matrices fit on one multiprocessor, one program loads them once and computes
all steps of a head and a tile of sequences. Otherwise each level of each step is a kernel whose
programs divide the units into panels. Kernels use only plain pointer arithmetic and read matrices
from memory already transposed, because Triton 3.4 to 3.7.0 computes a transposed product wrongly on
Hopper.
"""

import re
from collections.abc import Sequence

from kernels.cell.levels import Level, arriving, forward_level, reverse_level
from kernels.cell.schedule import Schedule, values_in

HEADER = '''"""Generated from a recurrent cell."""

import triton
import triton.language as tl

from kernels.cell.gpu.functions import (
    exp, log, maximum, minimum, normal_cdf, sigmoid, softplus, sqrt, tanh, times
)
'''
# Location of a value at this step: the row of sequence 0, and the stride between sequences.
Place = tuple[str, str]

FORWARD_POINTERS = "p_projected, p_bias, p_on_h, p_diagonal, p_states, p_kept, p_first"
BACKWARD_POINTERS = (
    "p_on_h, p_diagonal, p_states, p_kept, p_first, p_outputs, p_grads, p_carried, p_partial"
)
SIZES = "batch, steps, count, t, side"
CONSTANTS = (
    "N: tl.constexpr, D: tl.constexpr, KEEP: tl.constexpr, RAGGED: tl.constexpr, "
    "OUTPUTS: tl.constexpr, SUM: tl.constexpr, "
    "BLOCK_B: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_K: tl.constexpr"
)


def emit_triton(schedule: Schedule) -> str:
    """Return the Python source of a module with all kernels of a cell."""
    parts = [HEADER, _steps_forward(schedule), _steps_backward(schedule)]
    parts += [_forward_level(schedule, level) for level in range(len(schedule.forward))]
    parts += [_reverse_level(schedule, level) for level in range(len(schedule.reverse))]
    return "\n\n".join(parts)


def _steps_forward(schedule: Schedule) -> str:
    """Emit all steps of a head and a tile of sequences; states and matrices stay loaded."""
    layout, cell = schedule.layout, schedule.cell
    before = _matrices(schedule, transposed=True) + _weights(schedule, layout.diagonals)
    before += [
        f"b_bias{row} = {_read(f'p_bias + {row} * H + unit[None, :]', 'columns')}"
        for row in range(len(layout.linears))
    ]
    before += [f"v{k + 1} = {_read_row(_state(k, '0'), 'whole')}" for k in range(cell.states)]
    body = []
    for v in (v for level in schedule.forward for v in level):
        if v in layout.linears:
            row = layout.linears.index(v)
            body.append(f"z{v} = {_started(schedule, row, f'b_bias{row}')}")
            body += [
                f"z{v} = times({_factor(schedule, f'v{source}')}, b_matrix{c}, z{v})"
                for c, (source, to) in enumerate(layout.connections)
                if to == row
            ]
        if schedule.reduction(v):
            body += [_whole_statistic(*statistic) for statistic in schedule.statistics(v)]
        body.append(
            f"v{v} = {f'z{v}' if v in layout.linears else _dialect(schedule.expression(v))}"
        )
    body += [_store_row(_kept(slot), f"v{v}") for slot, v in enumerate(schedule.kept)]
    body += [f"new{k} = tl.where(live, v{v}, v{k + 1})" for k, v in enumerate(cell.outputs)]
    body += [_store_row(_state(k, "i_new"), f"new{k}") for k in range(cell.states)]
    body += [f"v{k + 1} = new{k}" for k in range(cell.states)]
    loop = ["for t in range(steps):", *_indented([*_live(), *body])]
    return _kernel("steps_forward", FORWARD_POINTERS, "batch, steps, count", [*before, *loop])


def _steps_backward(schedule: Schedule) -> str:
    """Emit the gradients of all steps, last to first; gradients of states stay loaded."""
    layout, cell = schedule.layout, schedule.cell
    nodes = sorted((v for level in schedule.forward for v in level), reverse=True)
    before = _matrices(schedule, transposed=False) + _weights(schedule, layout.diagonals)
    before += [
        f"total{k} = {_read_row(_carried(schedule, k, '0'), 'whole')}" for k in range(cell.states)
    ]
    expressions = [text for v in nodes for _, text in schedule.gradients(v)]
    reducing = [v for v in nodes if schedule.reduction(v)]
    expressions += [schedule.reduced_gradient(v) for v in reducing]
    expressions += [text for v in reducing for _, _, text in schedule.statistics(v, back=True)]
    body = [f"v{v} = {_read_row(_value(schedule, v))}" for v in values_in(expressions)]
    body += ["if OUTPUTS:", f"    total0 += {_read_row(OUTPUTS)}"]
    body += [f"d{k + 1} = zero" for k in range(cell.states)]
    body += [f"d{v} = {' + '.join(arriving(schedule, v)) or 'zero'}" for v in nodes]
    for v in nodes:
        if (row := schedule.gradient_row(v)) is not None:
            body.append(_store_row(_gradient(schedule, row), f"d{v}"))
        body += [
            f"d{source} = times({_factor(schedule, f'd{v}')}, b_matrix{c}, d{source})"
            for c, (source, row) in enumerate(layout.connections)
            if v in layout.linears and row == layout.linears.index(v)
        ]
        if v in reducing:
            source = schedule.node(v).inputs[0]
            body.append(f"e{v} = d{v}")
            body += [
                _whole_statistic(*statistic) for statistic in schedule.statistics(v, back=True)
            ]
            body.append(f"d{source} = d{source} + {schedule.reduced_gradient(v)}")
        body += [f"d{source} = d{source} + {text}" for source, text in schedule.gradients(v)]
    body += [f"total{k} = d{k + 1} + tl.where(live, zero, total{k})" for k in range(cell.states)]
    step = ["t = steps - 1 - step", *_live(), *(_dialect(line) for line in body)]
    loop = ["for step in range(steps):", *_indented(step)]
    after = [
        _store_row(_carried(schedule, k, "0"), f"total{k}", "whole") for k in range(cell.states)
    ]
    return _kernel(
        "steps_backward", BACKWARD_POINTERS, "batch, steps, count", [*before, *loop, *after]
    )


def _forward_level(schedule: Schedule, number: int) -> str:
    level, layout = forward_level(schedule, number), schedule.layout
    body = _live()
    for v, read in level.products.items():
        row = layout.linears.index(v)
        bias = _read(f"p_bias + {row} * H + unit[None, :]", "columns")
        body.append(f"z{v} = {_started(schedule, row, bias)}")
        for c, source in read:
            body += _product(f"z{v}", _value(schedule, source), c, transposed=True)
    for statistic in level.statistics:
        body += _statistic(schedule, *statistic)
    body += _inputs(schedule, level)
    for where, index, name in level.stores:
        if where == "kept":
            body.append(_store_row(_kept(index), name))
        else:
            body.append(_store_row(_state(index, "i_new"), name))
    return _kernel(f"forward_{number}", FORWARD_POINTERS, SIZES, body)


def _reverse_level(schedule: Schedule, number: int) -> str:
    level = reverse_level(schedule, number)
    places = {
        "gradient": lambda row: _gradient(schedule, row),
        "partial": _partial,
        "carried": lambda k: _carried(schedule, k, "(1 - side)"),
    }
    body = _live()
    for v, users in level.products.items():
        body.append(f"z{v} = zero")
        for c, row in users:
            body += _product(f"z{v}", _gradient(schedule, row), c, transposed=False)
    for k in level.numbered("total"):
        body.append(f"total{k} = {_read_row(_carried(schedule, k, 'side'))}")
        if k == 0:
            body += ["if OUTPUTS:", f"    total0 += {_read_row(OUTPUTS)}"]
    for letter in ("s", "e"):
        body += [
            f"{letter}{v} = {_read_row(_partial(schedule.partial.index(v)))}"
            for v in level.numbered(letter)
        ]
    for statistic in level.statistics:
        body += _statistic(schedule, *statistic)
    body += _inputs(schedule, level)
    body += [_store_row(places[where](index), name) for where, index, name in level.stores]
    return _kernel(f"backward_{number}", BACKWARD_POINTERS, SIZES, body)


def _kernel(name: str, pointers: str, sizes: str, body: Sequence[str]) -> str:
    """Emit a kernel; a program handles a tile of sequences `i_b` and units `i_d` of one head."""
    integers = ", ".join(f'"{size}"' for size in sizes.split(", "))
    lines = [
        f"@triton.jit(do_not_specialize=[{integers}])",
        f"def {name}({pointers}, {sizes}, {CONSTANTS}):",
        "    H: tl.constexpr = N * D",
        "    PANELS: tl.constexpr = (D + BLOCK_D - 1) // BLOCK_D",
        "    i_b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)",
        "    head = tl.program_id(1) // PANELS",
        "    i_d = tl.program_id(1) % PANELS * BLOCK_D + tl.arange(0, BLOCK_D)",
        "    unit = head * D + i_d",
        "    rows = (i_b < batch)[:, None]",
        "    columns = (i_d < D)[None, :]",
        "    whole = rows & columns",
        "    zero = tl.zeros((BLOCK_B, BLOCK_D), SUM)",
        *_indented(body),
    ]
    return "\n".join(lines) + "\n"


def _matrices(schedule: Schedule, transposed: bool) -> list[str]:
    """Load a head's recurrent matrices: [read, new units] if transposed, else [new, read]."""
    first, second = ("[:, None]", "[None, :]")
    out, into = (second, first) if transposed else (first, second)
    return [
        f"b_matrix{c} = tl.load(p_on_h + (({c} * N + head) * D + i_d{out}) * D + i_d{into}, "
        "mask=(i_d < D)[:, None] & columns, other=0)"
        for c in range(len(schedule.layout.connections))
    ]


def _product(total: str, place: Place, connection: int, transposed: bool) -> list[str]:
    """Add the product of a value's row, read in blocks of the head's units, and a matrix."""
    at = "i_d[None, :]) * D + i_k[:, None]" if transposed else "i_k[:, None]) * D + i_d[None, :]"
    base, row = place
    return [
        "for k in range(0, D, BLOCK_K):",
        "    i_k = k + tl.arange(0, BLOCK_K)",
        f"    b_read = tl.load({base} + i_b[:, None] * {row} + head * D + i_k[None, :], "
        "mask=live & (i_k < D)[None, :], other=0)",
        f"    b_matrix = tl.load(p_on_h + (({connection} * N + head) * D + {at}, "
        "mask=(i_k < D)[:, None] & columns, other=0)",
        f"    {total} = times(b_read, b_matrix, {total})",
    ]


def _factor(schedule: Schedule, name: str) -> str:
    """Return a factor of a product; beyond a head's units it must not become infinite or NaN."""
    risky = any(
        node.op in ("exp", "log", "sqrt", "reciprocal", "elementwise_div")
        or schedule.reduction(schedule.cell.states + 1 + k)
        for k, node in enumerate(schedule.cell.nodes)
    )
    return f"tl.where(columns, {name}, zero)" if risky else name


def _whole_statistic(name: str, kind: str, expression: str) -> str:
    """Combine an expression over all units of a head, which are loaded."""
    other, function = ('float("-inf")', "max") if kind == "largest" else ("0", "sum")
    text = f"tl.{function}(tl.where(columns, {_dialect(expression)}, {other}), 1)[:, None]"
    return f"{name} = {text}" + (" / D" if kind == "mean" else "")


def _statistic(schedule: Schedule, name: str, kind: str, expression: str) -> list[str]:
    """Combine an expression over all units of a head, read in blocks."""
    read = {f"v{v}": _value(schedule, v) for v in values_in([expression])}
    for v in map(int, re.findall(r"\be(\d+)\b", expression)):
        read[f"e{v}"] = _partial(schedule.partial.index(v))
    part = f"tl.where(inside_k, {_dialect(expression)}, "
    add = {
        "largest": f'{name} = maximum({name}, tl.max({part}float("-inf")), 1)[:, None])',
    }.get(kind, f"{name} += tl.sum({part}0), 1)[:, None]")
    start = 'float("-inf")' if kind == "largest" else "0"
    return [
        f"{name} = tl.full((BLOCK_B, 1), {start}, SUM)",
        "for k in range(0, D, BLOCK_K):",
        "    i_k = k + tl.arange(0, BLOCK_K)",
        "    inside_k = live & (i_k < D)[None, :]",
        *(
            f"    {value}_k = tl.load({base} + i_b[:, None] * {row} + head * D + i_k[None, :], "
            "mask=inside_k, other=0).to(SUM)"
            for value, (base, row) in read.items()
        ),
        "    " + re.sub(r"\b([ve]\d+)\b", r"\1_k", add),
        *([f"{name} = {name} / D"] if kind == "mean" else []),
    ]


def _inputs(schedule: Schedule, level: Level) -> list[str]:
    """Emit a level's loads, then its lines."""
    return [
        *(f"v{v} = {_read_row(_value(schedule, v))}" for v in level.values()),
        *_weights(schedule, level.numbered("w")),
        *(f"{name} = {_dialect(text)}" for name, text in level.lines),
    ]


def _weights(schedule: Schedule, nodes: Sequence[int]) -> list[str]:
    rows = {v: schedule.layout.diagonals.index(v) for v in nodes}
    return [
        f"w{v} = {_read(f'p_diagonal + {row} * H + unit[None, :]', 'columns')}"
        for v, row in rows.items()
    ]


def _started(schedule: Schedule, row: int, bias: str) -> str:
    """Return the initial value of a linear node's sum."""
    if row >= schedule.layout.reading_x:
        return f"zero + {bias}"
    return f"{bias} + {_read_row(_projected(schedule, row))}"


def _live() -> list[str]:
    """Find the rows of the states before and after a step, and the sequences that it has."""
    return [
        "if RAGGED:",
        "    i_old = tl.load(p_first + t)",
        "    i_new = tl.load(p_first + t + 1)",
        "    live = (i_b < tl.load(p_first + t + 2) - i_new)[:, None]",
        "else:",
        "    i_old = tl.cast(t, tl.int64) * batch",
        "    i_new = i_old + batch",
        "    live = rows",
        "i_row = i_new - batch",
        "inside = live & columns",
    ]


def _value(schedule: Schedule, value: int) -> Place:
    if not schedule.is_node(value):
        return _state(value - 1, "i_old")
    if value in schedule.cell.outputs:
        return _state(schedule.cell.outputs.index(value), "i_new")
    return _kept(schedule.kept.index(value))


def _state(k: int, row: str) -> Place:
    return f"p_states + ({k} * (batch + count) + {row}) * H", "H"


def _kept(slot: int) -> Place:
    return f"p_kept + (({slot} * count + i_row) if KEEP else {slot} * batch) * H", "H"


def _projected(schedule: Schedule, row: int) -> Place:
    linears = schedule.layout.reading_x
    return f"p_projected + i_row * {linears} * H + {row} * H", f"({linears} * H)"


def _gradient(schedule: Schedule, row: int) -> Place:
    nodes = len(schedule.layout.linears) + len(schedule.layout.diagonals)
    return f"p_grads + i_row * {nodes} * H + {row} * H", f"({nodes} * H)"


def _carried(schedule: Schedule, k: int, side: str) -> Place:
    return f"p_carried + ({side} * {schedule.cell.states} + {k}) * batch * H", "H"


def _partial(slot: int) -> Place:
    return f"p_partial + {slot} * batch * H", "H"


OUTPUTS: Place = ("p_outputs + i_row * H", "H")


def _read(pointer: str, mask: str) -> str:
    return f"tl.load({pointer}, mask={mask}, other=0).to(SUM)"


def _read_row(place: Place, mask: str = "inside") -> str:
    return _read(f"{place[0]} + i_b[:, None] * {place[1]} + unit[None, :]", mask)


def _store_row(place: Place, value: str, mask: str = "inside") -> str:
    return f"tl.store({place[0]} + i_b[:, None] * {place[1]} + unit[None, :], {value}, mask={mask})"


def _dialect(expression: str) -> str:
    """Translate an expression of `operations.py` to Triton."""
    return re.sub(r"\bfull\(", "(zero + ", re.sub(r"(?<!\.)\bwhere\(", "tl.where(", expression))


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
