"""Writes the C of a cell whose units are wired one by one: one function per level, unit by unit.

A row holds one number of one unit for all sequences of a panel, so that networks of any width fill
the vectors. Products read the rows that a unit's edges name; the backward pass accumulates the
gradients of weights.
"""

from itertools import groupby
from pathlib import Path

from kernels.cell.cpu.build import CannotCompile
from kernels.cell.cpu.emit import vectors
from kernels.cell.cpu.emit_levels import arrived, assignments, kept_and_states, passed_on, row_of
from kernels.cell.levels import Level, forward_level, reverse_level
from kernels.cell.schedule import Schedule

TEXT = Path(__file__).parent / "wired.c"


def emit_wired(schedule: Schedule, real: str) -> str:
    """Return the C source. real: "float" or "double".

    Raises `CannotCompile` for a cell that combines the units of a layer.
    """
    if any(schedule.reduction(v) for level in schedule.forward for v in level):
        raise CannotCompile("their cell normalises over the units of a layer")
    layout = schedule.layout
    counts = {
        "STATES": schedule.cell.states,
        "LINEARS": len(layout.linears),
        "READING_X": layout.reading_x,
        "CONNECTIONS": len(layout.connections),
        "DIAGONALS": len(layout.diagonals),
        "KEPT": len(schedule.kept),
    }
    forward, reverse = len(schedule.forward), len(schedule.reverse)
    return "\n".join(
        [
            vectors(real),
            *(f"#define {name} {count}" for name, count in counts.items()),
            TEXT.read_text(),
            *(_forward_level(schedule, level) for level in range(forward)),
            *(_reverse_level(schedule, level) for level in range(reverse)),
            _gradients_of_weights(schedule),
            _layer("forward", [f"forward_{level}" for level in range(forward)]),
            _layer("backward", [*(f"backward_{level}" for level in range(reverse)), "gradients"]),
        ]
    )


def _layer(name: str, parts: list[str]) -> str:
    calls = [f"  {part}(a, at);" for part in parts]
    return _function(f"{name}_layer", calls)


def _function(name: str, lines: list[str]) -> str:
    head = f"static void {name}(const arguments *a, const place *at) {{"
    return "\n".join([head, *lines, "}"]) + "\n"


def _forward_level(schedule: Schedule, number: int) -> str:
    level, layout = forward_level(schedule, number), schedule.layout
    products = []
    for v in level.products:
        row = layout.linears.index(v)
        products.append(f"vector l{v} = (vector){{0}} + a->bias[u * LINEARS + {row}], r{v} = l{v};")
    reading = [v for v in level.products if layout.linears.index(v) < layout.reading_x]
    if reading:
        rows = [(v, layout.linears.index(v)) for v in reading]
        products += ["for (long e = a->starts[u]; e < a->starts[u + 1]; e++) {"]
        products += ["  const real *row = at->read + a->columns[e] * PANEL;"]
        products += ["  const real *w = a->on_inputs + e * READING_X;"]
        products += [*(f"  {_add(v, row)}" for v, row in rows), "}"]
    read = sorted((source, c, v) for v, pairs in level.products.items() for c, source in pairs)
    for source, group in groupby(read, key=lambda entry: entry[0]):
        products += ["for (long m = 0; m < at->size; m++) {"]
        products += [f"  const real *row = {row_of(schedule, source, 'at')} + m * PANEL;"]
        products += ["  const real *w = at->square + (k * at->size + m) * CONNECTIONS;"]
        products += [*(f"  {_add(v, c)}" for _, c, v in group), "}"]
    pointers, stores = kept_and_states(level, "at")
    return _level_function(f"forward_{number}", schedule, level, products, pointers, [], stores)


def _reverse_level(schedule: Schedule, number: int) -> str:
    level = reverse_level(schedule, number)
    products = []
    for v, users in level.products.items():
        products += [f"vector l{v} = {{0}}, r{v} = {{0}};"]
        products += ["for (long m = 0; m < at->size; m++) {"]
        products += ["  const real *w = at->square + (m * at->size + k) * CONNECTIONS;"]
        for c, row in users:
            products += [
                f"  {{ const real *row = node_at(a, {row}, at) + m * PANEL; {_add(v, c)} }}"
            ]
        products += ["}"]
    pointers, loads = arrived(schedule, level, "at")
    passed, stores = passed_on(level, "at")
    pointers += passed
    if 0 in level.numbered("total"):
        pointers.append("const real *above = a->above + u * PANEL;")
    for where, index, name in level.stores:
        if where == "gradient":
            pointers.append(f"real *node{index} = node_at(a, {index}, at) + column;")
            stores.append(f"node{index}[j] = {name};")
    return _level_function(f"backward_{number}", schedule, level, products, pointers, loads, stores)


def _level_function(
    name: str,
    schedule: Schedule,
    level: Level,
    products: list[str],
    pointers: list[str],
    loads: list[str],
    stores: list[str],
) -> str:
    """Return a level's function: for each unit, the products, then all sequences of the panel."""
    diagonals = schedule.layout.diagonals
    sums = [
        f"real z{v}[PANEL_WIDTH]; LEFT(z{v}) = l{v}; RIGHT(z{v}) = r{v};" for v in level.products
    ]
    read = [f"const real *p{v} = {row_of(schedule, v, 'at')} + column;" for v in level.values()]
    read += [
        f"const real w{v} = a->diagonal[u * DIAGONALS + {diagonals.index(v)}];"
        for v in level.numbered("w")
    ]
    loads = [f"const real v{v} = p{v}[j];" for v in level.values()] + loads
    lines = [
        "  const long t = at->t, side = at->side;",
        "  for (long k = 0; k < at->size; k++) {",
        "    const long u = at->first + k, column = k * PANEL;",
        *(f"    {line}" for line in [*products, *sums, *read, *pointers]),
        '    _Pragma("omp simd")',
        "    for (long j = 0; j < PANEL; j++) {",
        "      const int live = at->live[j];",
        *(f"      {line}" for line in [*loads, *assignments(level, r"z\1[j]"), *stores]),
        "    }",
        "  }",
    ]
    return _function(name, lines)


def _gradients_of_weights(schedule: Schedule) -> str:
    """Return the function that adds a step's gradients to those of the weights and the inputs."""
    layout = schedule.layout
    lines = ["  const long t = at->t;"]
    lines += ["  for (long k = 0; k < at->size; k++) {", "    const long u = at->first + k;"]
    for row in range(len(layout.linears)):
        lines += [f"    const real *d{row} = node_at(a, {row}, at) + k * PANEL;"]
        lines += [f"    const vector l{row} = LEFT(d{row}), r{row} = RIGHT(d{row});"]
        lines += [f"    LEFT(a->grad_bias + (u * LINEARS + {row}) * LANES) += l{row} + r{row};"]
    if layout.reading_x:
        lines += ["    for (long e = a->starts[u]; e < a->starts[u + 1]; e++) {"]
        lines += ["      const long c = a->columns[e] * PANEL;"]
        lines += ["      const vector l = LEFT(at->read + c), r = RIGHT(at->read + c);"]
        lines += ["      real *to = a->grad_on_inputs + e * READING_X * LANES;"]
        lines += [f"      {_gather(i, i)}" for i in range(layout.reading_x)]
        lines += ["      if (!at->read_above) continue;"]
        lines += ["      const real *w = a->on_inputs + e * READING_X;"]
        for half in ("l", "r"):
            sums = " + ".join(f"w[{i}] * {half}{i}" for i in range(layout.reading_x))
            side = {"l": "LEFT", "r": "RIGHT"}[half]
            lines += [f"      {side}(at->read_above + c) += {sums};"]
        lines += ["    }"]
    numbered = [(source, c, row) for c, (source, row) in enumerate(layout.connections)]
    for source, group in groupby(numbered, key=lambda entry: entry[0]):
        lines += ["    for (long m = 0; m < at->size; m++) {"]
        lines += [f"      const real *row = {row_of(schedule, source, 'at')} + m * PANEL;"]
        lines += ["      const vector l = LEFT(row), r = RIGHT(row);"]
        lines += ["      real *to = at->grad_square + (k * at->size + m) * CONNECTIONS * LANES;"]
        lines += [*(f"      {_gather(c, row)}" for _, c, row in group), "    }"]
    for i, v in enumerate(layout.diagonals):
        lines += [f"    const real *e{i} = node_at(a, LINEARS + {i}, at) + k * PANEL;"]
        if not schedule.node(v).inputs:
            lines += [f"    LEFT(a->grad_diagonal + (u * DIAGONALS + {i}) * LANES) +="]
            lines += [f"        LEFT(e{i}) + RIGHT(e{i});"]
            continue
        (source,) = schedule.node(v).inputs
        lines += [f"    const real *s{i} = {row_of(schedule, source, 'at')} + k * PANEL;"]
        lines += [f"    LEFT(a->grad_diagonal + (u * DIAGONALS + {i}) * LANES) +="]
        lines += [f"        LEFT(e{i}) * LEFT(s{i}) + RIGHT(e{i}) * RIGHT(s{i});"]
    return _function("gradients", [*lines, "  }"])


def _add(v: int, weight: int) -> str:
    """Return the C that adds a weighted row to a node's sum."""
    return f"l{v} += w[{weight}] * LEFT(row); r{v} += w[{weight}] * RIGHT(row);"


def _gather(weight: int, row: int) -> str:
    return f"LEFT(to + {weight} * LANES) += l * l{row} + r * r{row};"
