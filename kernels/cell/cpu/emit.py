"""Writes the C of a cell: one function for each level of its schedule, forward and backward.

A level function computes one panel of columns for all sequences of one step, in blocks of rows:
the products of the block stay in registers and first cache while the unit-wise operations behind
them are done. The backward functions store the gradients of linear nodes before anything is
multiplied with them; the gradients of weights are products over all steps, taken afterwards.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from kernels.cell.schedule import Schedule, values_in

FOLDER = Path(__file__).parent


def emit_c(schedule: Schedule, real: str) -> str:
    """The C source of a cell. real: "float" or "double"."""
    gradients = len(schedule.layout.linears) + len(schedule.layout.diagonals)
    return "\n".join(
        [
            _vectors(real),
            f"#define STATES {schedule.cell.states}",
            f"#define READING_X {schedule.layout.reading_x}",
            f"#define GRADIENTS {gradients}",
            (FOLDER / "prelude.c").read_text(),
            *(_forward_level(schedule, level) for level in range(len(schedule.forward))),
            *(_reverse_level(schedule, level) for level in range(len(schedule.reverse))),
            _forward_loop(schedule),
            _backward_loop(schedule),
        ]
    )


def emit_products(real: str) -> str:
    """The C source of the matrix product. real: "float" or "double"."""
    return _vectors(real) + (FOLDER / "products.c").read_text()


def _vectors(real: str) -> str:
    header = f"typedef {real} real;\n"
    if real == "float":
        header += "#define REAL_IS_FLOAT\n"
    return header + (FOLDER / "vectors.c").read_text()


def _forward_level(schedule: Schedule, level: int) -> str:
    nodes = schedule.forward[level]
    layout = schedule.layout
    linears = [v for v in nodes if v in layout.linears]
    products = []
    for v in linears:
        row = layout.linears.index(v)
        reads_x = row < layout.reading_x
        projected = f"a->projected + (t * B + b0) * X + {row} * H + first" if reads_x else "0"
        products.append(f"tile z{v};")
        products.append(f"start(a, z{v}, rows, {row}, {projected}, X, first, width);")
        products += [
            f"product(rows, z{v}, {_row(schedule, source, 'b0')} + head, S, 1, "
            f"packed_at(a, {c}, p), D);"
            for c, (source, at) in enumerate(layout.connections)
            if at == row
        ]
    values, stores = [], []
    for v in nodes:
        if v in linears:
            values.append(f"real v{v} = z{v}[i][j];")
        else:
            values.append(f"real v{v} = {_typed(schedule.expression(v))};")
        if v in schedule.kept:
            stores.append(f"k{v}[j] = v{v};")
        stores += [
            f"new{k}[j] = live ? v{v} : old{k}[j];"
            for k, output in enumerate(schedule.cell.outputs)
            if output == v
        ]
    body = [*values, *stores]
    read = [v for v in values_in(values) if v not in nodes]
    pointers = [_read_pointer(schedule, v) for v in read]
    pointers += [f"real *restrict k{v} = {_row(schedule, v)};" for v in nodes if v in schedule.kept]
    for k, output in enumerate(schedule.cell.outputs):
        if output in nodes:
            pointers.append(f"real *restrict new{k} = state_at(a, {k}, t + 1, b) + column;")
            pointers.append(f"const real *old{k} = state_at(a, {k}, t, b) + column;")
    pointers += _diagonal_weights(schedule, body)
    loaded = [f"const real v{v} = p{v}[j];" for v in read] + _loaded_weights(body)
    return _level_function("forward", level, products, pointers, [*loaded, *body])


def _reverse_level(schedule: Schedule, level: int) -> str:
    here, layout, states = schedule.reverse[level], schedule.layout, schedule.cell.states
    products, body, written = [], [], {}
    for v in here:
        users = [(c, row) for c, (source, row) in enumerate(layout.connections) if source == v]
        if users:
            products += [f"tile z{v};", f"memset(z{v}, 0, sizeof z{v});"]
        products += [
            f"product(rows, z{v}, a->grad_nodes + (t * B + b0) * G + {row} * H + head_unit, G, 1, "
            f"packed_at(a, {c}, p), D);"
            for c, row in users
        ]
        terms = [f"z{v}[i][j]"] if users else []
        if v in schedule.partial and not _first_gathered(schedule, v, level):
            terms.append(f"s{v}[j]")
        arriving = [k for k, output in enumerate(schedule.cell.outputs) if output == v]
        terms += [f"(live ? total{k} : 0)" for k in arriving]
        body.append(f"real d{v} = {' + '.join(terms) or '0'};")
    gathered: dict[int, list[str]] = {}
    for v in here:
        if not schedule.is_node(v):
            body.append(f"next{v - 1}[j] = d{v} + (live ? 0 : total{v - 1});")
            continue
        if (row := schedule.gradient_row(v)) is not None:
            written[v] = row
            body.append(f"g{v}[j] = d{v};")
        for source, expression in schedule.gradients(v):
            if source in here:
                body.append(f"d{source} += {_typed(expression)};")
            else:
                gathered.setdefault(source, []).append(_typed(expression))
    for source, expressions in gathered.items():
        terms = [] if _first_gathered(schedule, source, level) else [f"s{source}[j]"]
        body.append(f"s{source}[j] = {' + '.join([*terms, *expressions])};")
    totals = [k for k in range(states) if any(f"total{k}" in line for line in body)]
    pointers = [_read_pointer(schedule, v) for v in values_in(body)]
    pointers += [
        f"real *restrict s{v} = partial_at(a, {place}, b) + column;"
        for place, v in enumerate(schedule.partial)
        if any(re.search(rf"\bs{v}\[", line) for line in body)
    ]
    pointers += [f"const real *in{k} = carried_at(a, side, {k}, b) + column;" for k in totals]
    pointers += [
        f"real *restrict next{v - 1} = carried_at(a, 1 - side, {v - 1}, b) + column;"
        for v in here
        if not schedule.is_node(v)
    ]
    pointers += [f"real g{v}[PANEL_WIDTH];" for v in written]
    if 0 in totals:
        pointers += ["real above[PANEL_WIDTH];", "gradient_above(a, t, b, first, width, above);"]
    pointers += _diagonal_weights(schedule, body)
    loaded = [f"const real v{v} = p{v}[j];" for v in values_in(body)] + _loaded_weights(body)
    loaded += [f"const real total{k} = in{k}[j]{' + above[j]' * (k == 0)};" for k in totals]
    after = [
        f"memcpy(a->grad_nodes + (t * B + b) * G + {row} * H + first, g{v}, width * sizeof(real));"
        for v, row in written.items()
    ]
    return _level_function("backward", level, products, pointers, [*loaded, *body], after)


def _level_function(
    name: str,
    level: int,
    products: list[str],
    pointers: list[str],
    body: list[str],
    after: Iterable[str] = (),
) -> str:
    side = ", long side" if name == "backward" else ""
    lines = [
        f"static void {name}_{level}(const arguments *a, long t, long p{side}) {{",
        "  const long B = a->batch, D = a->depth, Q = panels(a), S = stride(a);",
        "  const long H = a->heads * D, X = READING_X * H, G = GRADIENTS * H;",
        "  const long head = p / Q * Q * PANEL, column = p * PANEL, head_unit = p / Q * D;",
        "  const long first = head_unit + p % Q * PANEL, width = least(PANEL, D - p % Q * PANEL);",
        "  const long block = block_rows(B);",
        "  for (long b0 = 0; b0 < B; b0 += block) {",
        "    const long rows = least(block, B - b0);",
        *(f"    {line}" for line in products),
        "    for (long i = 0; i < rows; i++) {",
        "      const long b = b0 + i;",
        "      const int live = !a->lengths || t < a->lengths[b];",
        *(f"      {line}" for line in pointers),
        '      _Pragma("omp simd")',
        "      for (long j = 0; j < PANEL; j++) {",
        *(f"        {line}" for line in body),
        "      }",
        *(f"      {line}" for line in after),
        "    }",
        "  }",
        "  (void)X, (void)G, (void)S, (void)head, (void)first, (void)width, (void)column;",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _forward_loop(schedule: Schedule) -> str:
    levels = "\n".join(
        f'      _Pragma("omp for schedule(static)") for (long p = 0; p < all; p++) '
        f"forward_{level}(a, t, p);"
        for level in range(len(schedule.forward))
    )
    return f"""
void forward(const arguments *a) {{
  const long all = a->heads * panels(a), matrices = {len(schedule.layout.connections)} * a->heads;
  _Pragma("omp parallel num_threads(a->threads) if (a->threads > 1)") {{
    _Pragma("omp for") for (long m = 0; m < matrices; m++) pack_transposed(a, m);
    _Pragma("omp for") for (long s = 0; s < STATES; s++)
        spread(a, a->initial + s * a->batch * a->heads * a->depth, state_at(a, s, 0, 0));
    for (long t = 0; t < a->steps; t++) {{
{levels}
    }}
  }}
}}
"""


def _backward_loop(schedule: Schedule) -> str:
    levels = "\n".join(
        f'      _Pragma("omp for schedule(static)") for (long p = 0; p < all; p++) '
        f"backward_{level}(a, t, p, (a->steps - 1 - t) % 2);"
        for level in range(len(schedule.reverse))
    )
    return f"""
void backward(const arguments *a) {{
  const long all = a->heads * panels(a), matrices = {len(schedule.layout.connections)} * a->heads;
  const long state = a->batch * a->heads * a->depth;
  _Pragma("omp parallel num_threads(a->threads) if (a->threads > 1)") {{
    _Pragma("omp for") for (long m = 0; m < matrices; m++) pack_straight(a, m);
    _Pragma("omp for") for (long s = 0; s < STATES; s++)
        spread(a, a->grad_last + s * state, carried_at(a, 0, s, 0));
    for (long t = a->steps - 1; t >= 0; t--) {{
{levels}
    }}
    _Pragma("omp for") for (long s = 0; s < STATES; s++)
        gather(a, carried_at(a, a->steps % 2, s, 0), a->grad_initial + s * state);
  }}
}}
"""


def _row(schedule: Schedule, value: int, b: str = "b") -> str:
    """Where a value's row of this step begins; the panel's column is to be added."""
    column = " + column" if b == "b" else ""
    if not schedule.is_node(value):
        return f"state_at(a, {value - 1}, t, {b}){column}"
    if value in schedule.cell.outputs:
        return f"state_at(a, {schedule.cell.outputs.index(value)}, t + 1, {b}){column}"
    return f"kept_at(a, {schedule.kept.index(value)}, t, {b}){column}"


def _read_pointer(schedule: Schedule, value: int) -> str:
    return f"const real *p{value} = {_row(schedule, value)};"


def _diagonal_weights(schedule: Schedule, body: list[str]) -> list[str]:
    """Pointers to the weights `w…` that the body reads, filled up with zeros to a whole panel."""
    rows = {v: schedule.layout.diagonals.index(v) for v in _weights_in(body)}
    return [
        line
        for v, row in rows.items()
        for line in (
            f"real q{v}[PANEL_WIDTH];",
            f"for (long j = 0; j < PANEL; j++) "
            f"q{v}[j] = j < width ? a->diagonal[{row} * H + first + j] : 0;",
        )
    ]


def _loaded_weights(body: list[str]) -> list[str]:
    return [f"const real w{v} = q{v}[j];" for v in _weights_in(body)]


def _weights_in(body: list[str]) -> list[int]:
    return sorted({int(n) for text in body for n in re.findall(r"\bw(\d+)\b", text)})


def _first_gathered(schedule: Schedule, value: int, level: int) -> bool:
    """Whether no level before this one has gathered gradient for a value."""
    return not any(
        source == value
        for before in schedule.reverse[:level]
        for node in before
        if schedule.is_node(node) and schedule.node(node).op != "linear"
        for source in schedule.node(node).inputs
    )


def _typed(expression: str) -> str:
    """The expression with its numbers in the type of the units, not in double."""
    return re.sub(r"(?<![\w.])\d+(\.\d+)?(e-?\d+)?(?![\w.])", r"(real)\g<0>", expression)
