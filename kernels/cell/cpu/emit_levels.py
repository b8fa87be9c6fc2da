"""Writes the C of a level of a cell: one panel of columns for all sequences of one step.

A level function computes in blocks of rows: the products of a block stay in registers and the
first-level cache for the unit-wise operations that follow. The backward functions store the
gradients of linear nodes before multiplying with them.
"""

import re
from collections.abc import Iterable, Iterator

from kernels.cell.cpu.storage import FEW_BITS, LISTS
from kernels.cell.levels import Level, forward_level, reverse_level
from kernels.cell.schedule import Schedule, values_in


def assignments(level: Level, sum_of: str) -> Iterator[str]:
    """Yield a level's lines in C; the first assignment of a name declares it.

    sum_of: the C that reads a sum of products, with \\1 for the number of its node.
    """
    known = set()
    for name, expression in level.lines:
        text = re.sub(r"\bz(\d+)\b", sum_of, _typed(expression))
        yield f"{'' if name in known else 'real '}{name} = {text};"
        known.add(name)


def row_of(schedule: Schedule, value: int, b: str) -> str:
    """Return the C for the start of a value's row at this step, without the column.

    b: the C expression for the sequence.
    """
    if not schedule.is_node(value):
        return f"state_at(a, {value - 1}, t, {b})"
    if value in schedule.cell.outputs:
        return f"state_at(a, {schedule.cell.outputs.index(value)}, t + 1, {b})"
    return f"kept_at(a, {schedule.kept.index(value)}, t, {b})"


def kept_and_states(level: Level, b: str) -> tuple[list[str], list[str]]:
    """Return a forward level's output pointers and its stores per unit; b as in `row_of`."""
    pointers, stores = [], []
    for where, index, name in level.stores:
        if where == "kept":
            pointers.append(f"real *restrict k{index} = kept_at(a, {index}, t, {b}) + column;")
            stores.append(f"k{index}[j] = {name};")
        else:
            pointers.append(f"const real *old{index} = state_at(a, {index}, t, {b}) + column;")
            pointers.append(
                f"real *restrict new{index} = state_at(a, {index}, t + 1, {b}) + column;"
            )
            stores.append(f"new{index}[j] = live ? {name} : old{index}[j];")
    return pointers, stores


def arrived(schedule: Schedule, level: Level, b: str) -> tuple[list[str], list[str]]:
    """Return a reverse level's gradient pointers and loads; the caller declares `above`."""
    pointers, loads = [], []
    for k in level.numbered("total"):
        pointers.append(f"const real *in{k} = carried_at(a, side, {k}, {b}) + column;")
        loads.append(f"const real total{k} = in{k}[j]{' + above[j]' * (k == 0)};")
    for letter in ("s", "e"):
        for v in level.numbered(letter):
            slot, pointer = schedule.partial.index(v), f"gathered_{letter}{v}"
            pointers.append(f"const real *{pointer} = partial_at(a, {slot}, {b}) + column;")
            loads.append(f"const real {letter}{v} = {pointer}[j];")
    return pointers, loads


def passed_on(level: Level, b: str) -> tuple[list[str], list[str]]:
    """Return a reverse level's output pointers and stores, except for gradients of nodes."""
    pointers, stores = [], []
    begins = {"carried": "carried_at(a, 1 - side, ", "partial": "partial_at(a, "}
    for where, index, name in level.stores:
        if where in begins:
            pointers.append(f"real *{where}{index} = {begins[where]}{index}, {b}) + column;")
            stores.append(f"{where}{index}[j] = {name};")
    return pointers, stores


def emit_forward_level(schedule: Schedule, number: int, stored: str) -> str:
    level, layout = forward_level(schedule, number), schedule.layout
    products, turned = [], read_forward(level)
    for v, read in level.products.items():
        row = layout.linears.index(v)
        reads_x = row < layout.reading_x
        projected = (
            f"a->projected + (step_row(a, t) + b0) * X + {row} * H + first" if reads_x else "0"
        )
        products.append(f"tile z{v};")
        products.append(f"start(a, z{v}, rows, {row}, {projected}, X, first, width);")
        for c, source in read:
            begin = f"{row_of(schedule, source, 'b0')} + head"
            products.append(_product(stored, v, c, begin, "S", turned.index(source), "head"))
    pointers, stores = kept_and_states(level, "b")
    return _level_function("forward", number, schedule, level, products, pointers, stores)


def emit_reverse_level(schedule: Schedule, number: int, stored: str) -> str:
    level = reverse_level(schedule, number)
    products, turned = [], read_backward(level)
    for v, users in level.products.items():
        products.append(f"tile z{v};")
        if stored == LISTS:
            products.append(f"memset(z{v}, 0, sizeof z{v});")
        for add, (c, row) in enumerate(users):
            begin, slot = f"{gradient_at(row)} + head_unit", turned.index(row)
            products.append(_product(stored, v, c, begin, "G", slot, "head_unit", min(add, 1)))
    pointers, loads = arrived(schedule, level, "b")
    passed, stores = passed_on(level, "b")
    pointers, after = [*pointers, *passed], []
    if 0 in level.numbered("total"):
        pointers.append("real edge[PANEL_WIDTH];")
        pointers.append("const real *above = gradient_above(a, t, b, first, width, edge);")
    for where, index, name in level.stores:
        if where == "gradient":
            pointers.append(
                f"real edge{index}[PANEL_WIDTH], *row{index} = {gradient_at(index, 'b')};"
            )
            pointers.append(f"real *g{index} = width == PANEL ? row{index} + first : edge{index};")
            stores.append(f"g{index}[j] = {name};")
            after.append(
                f"if (width < PANEL) memcpy(row{index} + first, g{index}, width * sizeof(real));"
            )
    return _level_function(
        "backward", number, schedule, level, products, pointers, stores, loads, after
    )


def _level_function(
    name: str,
    number: int,
    schedule: Schedule,
    level: Level,
    products: list[str],
    pointers: list[str],
    stores: list[str],
    loads: Iterable[str] = (),
    after: Iterable[str] = (),
) -> str:
    """Return a level's function: for each block of rows, the products, then the units by row."""
    side = ", long side" if name == "backward" else ""
    read = [f"const real *p{v} = {row_of(schedule, v, 'b')} + column;" for v in level.values()]
    read += [
        f"real q{v}[PANEL_WIDTH];\n      diagonal_weights(a, {row}, first, width, q{v});"
        for v in level.numbered("w")
        for row in [schedule.layout.diagonals.index(v)]
    ]
    loaded = [f"const real v{v} = p{v}[j];" for v in level.values()]
    loaded += [f"const real w{v} = q{v}[j];" for v in level.numbered("w")]
    sums = assignments(level, r"z\1[i][j]")
    statistics = [
        line for statistic in level.statistics for line in _statistic(schedule, *statistic)
    ]
    lines = [
        f"static void {name}_{number}(const arguments *a, long t, long p{side}) {{",
        "  const long B = running(a, t), D = a->depth, Q = panels(a), S = stride(a);",
        "  const long H = a->heads * D, X = READING_X * H, G = GRADIENTS * H;",
        "  const long head = p / Q * Q * PANEL, column = p * PANEL, head_unit = p / Q * D;",
        "  const long first = head_unit + p % Q * PANEL, width = least(PANEL, D - p % Q * PANEL);",
        "  const long block = block_rows(B);",
        "  for (long b0 = 0; b0 < B; b0 += block) {",
        "    const long rows = least(block, B - b0);",
        *(f"    {line}" for line in products),
        "    for (long i = 0; i < rows; i++) {",
        "      const long b = b0 + i, live = 1;  /* every row of a step is a running sequence */",
        *(f"      {line}" for line in [*read, *pointers, *statistics]),
        '      _Pragma("omp simd")',
        "      for (long j = 0; j < PANEL; j++) {",
        *(f"        {line}" for line in [*loaded, *loads, *sums, *stores]),
        "      }",
        *(f"      {line}" for line in after),
        "    }",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _statistic(schedule: Schedule, name: str, kind: str, expression: str) -> list[str]:
    """Return the C that combines an expression over all units of a head, in one row."""
    read = {f"v{v}": row_of(schedule, v, "b") for v in values_in([expression])}
    for v in map(int, re.findall(r"\be(\d+)\b", expression)):
        read[f"e{v}"] = f"partial_at(a, {schedule.partial.index(v)}, b)"
    loop = [f"const real {value} = ({place} + head)[k];" for value, place in read.items()]
    text = _typed(expression)
    return [
        f"real {name} = {'-INFINITY' if kind == 'largest' else '0'};",
        *([] if kind == "largest" else [f'_Pragma("omp simd reduction(+ : {name})")']),
        "for (long k = 0; k < D; k++) {",
        *(f"  {line}" for line in loop),
        f"  {name} = maximum({name}, {text});" if kind == "largest" else f"  {name} += {text};",
        "}",
        *([f"{name} /= (real)D;"] if kind == "mean" else []),
    ]


def read_forward(level: Level) -> list[int]:
    """Return the values that the products of a level read."""
    return list(dict.fromkeys(source for read in level.products.values() for _, source in read))


def read_backward(level: Level) -> list[int]:
    """Return the rows of gradients that the products of a level read."""
    return list(dict.fromkeys(row for users in level.products.values() for _, row in users))


def _product(
    stored: str,
    node: int,
    connection: int,
    numbers: str,
    row: str,
    slot: int,
    head: str,
    add: int = 1,
) -> str:
    """Return the C of a product with one matrix.

    add: 0 if a dense product is the first term of its sum.
    numbers, row: where the numbers it reads begin, and their stride from sequence to sequence.
    slot: their place among what the level reads. head: their offset in a row.
    """
    if stored in FEW_BITS:
        return f"few_product(a, rows, z{node}, {connection}, p, {slot}, b0);"
    if stored == LISTS:
        return (
            f"listed_product(a, rows, z{node}, {connection} * H + first, width, "
            f"{connection} * a->heads * Q + p, {numbers}, "
            f"turned_at(a, B, {slot}, b0) + {head} * WIDE);"
        )
    packed = f"packed_at(a, {connection}, p)"
    return f"product(rows, z{node}[0], PANEL, {add}, {numbers}, {row}, 1, {packed}, D);"


def gradient_at(row: int, b: str = "b0") -> str:
    """Return the C for the start of a node's gradients at this step."""
    return f"a->grad_nodes + (step_row(a, t) + {b}) * G + {row} * H"


def _typed(expression: str) -> str:
    """Cast the numbers of an expression to the type of the units, instead of double."""
    return re.sub(r"(?<![\w.])\d+(\.\d+)?(e-?\d+)?(?![\w.])", r"(real)\g<0>", expression)
