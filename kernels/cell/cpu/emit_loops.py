"""Writes the C of a cell's loops over time, and of the gradients of weights after them."""

from collections.abc import Iterable

from kernels.cell.cpu.emit_levels import gradient_at, read_backward, read_forward, row_of
from kernels.cell.cpu.storage import DENSE, FEW_BITS, LISTS
from kernels.cell.levels import forward_level, reverse_level
from kernels.cell.schedule import Schedule
from kernels.cell.weights import adjacent

_LOOP_SIZES = """\
  const long all = a->heads * panels(a), S = stride(a), H = a->heads * a->depth;
  const long G = GRADIENTS * H;"""
_STEP_SIZES = "      const long B = running(a, t), block = block_rows(B);"


def _prepared(stored: str, numbers: Iterable[tuple[str, str, str]]) -> str:
    """Return the C that prepares what a level's products read: (start, row stride, row length)."""
    lines = [
        f"narrow_rows(a, B, {slot}, b0, {begin});"
        if stored in FEW_BITS
        else f"turn(a, B, {slot}, b0, {begin}, {row}, {count});"
        for slot, (begin, row, count) in enumerate(numbers)
    ]
    if stored == DENSE or not lines:
        return ""
    several = "if (a->batch > 1) " * (stored == LISTS)
    return (
        f'      {several}_Pragma("omp for") for (long b0 = 0; b0 < B; b0 += block) {{\n        '
        + "\n        ".join(lines)
        + "\n      }\n"
    )


def emit_forward_loop(schedule: Schedule, stored: str) -> str:
    levels = "\n".join(
        _prepared(
            stored,
            (
                (row_of(schedule, source, "b0"), "S", "S")
                for source in read_forward(forward_level(schedule, level))
            ),
        )
        + f'      _Pragma("omp for schedule(static)") for (long p = 0; p < all; p++) '
        f"forward_{level}(a, t, p);"
        for level in range(len(schedule.forward))
    )
    return f"""
void forward(const arguments *a) {{
{_LOOP_SIZES}
  const long matrices = {len(schedule.layout.connections) if stored == DENSE else 0} * a->heads;
{"" if stored in FEW_BITS else "  project_x(a);"}
  _Pragma("omp parallel num_threads(a->threads) if (a->threads > 1)") {{
    _Pragma("omp for") for (long m = 0; m < matrices; m++) pack_transposed(a, m);
    _Pragma("omp for") for (long s = 0; s < STATES; s++)
        spread(a, a->initial + s * a->batch * a->heads * a->depth, state_at(a, s, 0, 0));
    for (long t = 0; t < a->steps; t++) {{
{_STEP_SIZES}
{levels}
    }}
  }}
}}
"""


def emit_backward_loop(schedule: Schedule, stored: str) -> str:
    levels = "\n".join(
        _prepared(
            stored,
            ((gradient_at(row), "G", "H") for row in read_backward(reverse_level(schedule, level))),
        )
        + f'      _Pragma("omp for schedule(static)") for (long p = 0; p < all; p++) '
        f"backward_{level}(a, t, p, (a->steps - 1 - t) % 2);"
        for level in range(len(schedule.reverse))
    )
    return f"""
void backward(const arguments *a) {{
{_LOOP_SIZES}
  const long matrices = {len(schedule.layout.connections) if stored == DENSE else 0} * a->heads;
  const long state = a->batch * a->heads * a->depth;
  _Pragma("omp parallel num_threads(a->threads) if (a->threads > 1)") {{
    _Pragma("omp for") for (long m = 0; m < matrices; m++) pack_straight(a, m);
    _Pragma("omp for") for (long s = 0; s < 2 * STATES; s++)  /* a sequence ends on either side */
        spread(a, a->grad_last + s % STATES * state, carried_at(a, s / STATES, s % STATES, 0));
    for (long t = a->steps - 1; t >= 0; t--) {{
{_STEP_SIZES}
{levels}
    }}
    _Pragma("omp for") for (long s = 0; s < STATES; s++)
        gather(a, carried_at(a, a->steps % 2, s, 0), a->grad_initial + s * state);
  }}
{_weight_gradients(schedule)}
}}
"""


def _weight_gradients(schedule: Schedule) -> str:
    """Return the C of the gradients of x and the weights, after the loop."""
    layout, begin = schedule.layout, 0
    lines = ["x_gradients(a);", "bias_gradients(a);"]
    for value, row, count in adjacent(layout.connections):
        read = _all_steps(schedule, value)
        lines.append(f"if (a->grad_on_h) on_h_gradients(a, {begin}, {row}, {count}, {read});")
        begin += count
    for row, node in enumerate(layout.diagonals):
        read = [_all_steps(schedule, value) for value in schedule.node(node).inputs]
        values = f"(const real *[]){{{', '.join(read)}}}"
        lines.append(f"diagonal_gradient(a, {row}, {len(read)}, {values});")
    return "\n".join(f"  {line}" for line in lines)


def _all_steps(schedule: Schedule, value: int) -> str:
    """Return the C for a value's rows at all steps."""
    if not schedule.is_node(value):
        return f"before(a, {value - 1})"
    if value in schedule.cell.outputs:
        return f"state_at(a, {schedule.cell.outputs.index(value)}, 1, 0)"
    return f"kept_at(a, {schedule.kept.index(value)}, 0, 0)"
