"""Times compiled recurrences beside their chunks of matrix products and the loop in PyTorch."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kernels.mixer.arguments import Arguments, checked
from kernels.mixer.chunks import in_chunks
from kernels.mixer.op import compiled_mixer, run_recurrence
from kernels.mixer.reference import reference
from kernels.mixer.spec import Recurrence
from nas.bench.kernels import PRODUCT_FLOPS, Setting, large_product, medians
from nas.core.errors import BadInput
from nas.reporting.table import aligned

POINTS = {  # the decay, the writes, what they erase
    "scalar-decay": ("head", 1, "none"),
    "gla": ("feature", 1, "none"),
    "deltanet": ("none", 1, "key"),
    "gated-deltanet": ("head", 1, "key"),
    "deltaproduct-2": ("none", 2, "key"),
    "kda": ("feature", 1, "key"),
}
SHAPES = ("4x4x512x32", "1x4x1024x64", "1x2x1024x128")
CHUNKS = (16, 32, 64, 128)  # steps; the fastest counts


@dataclass(frozen=True, slots=True)
class Row:
    """One recurrence in one shape: median milliseconds of one thread's process time.

    forward, both: of the compiled steps, the fastest chunks and the loop in PyTorch; alone, and
        with all gradients. A loop that was not timed has none.
    of_peak: the forward arithmetic rate over that of one large matrix product.
    """

    point: str
    shape: str
    forward: dict[str, float]
    both: dict[str, float]
    of_peak: float


def measure(
    points: Sequence[str], shapes: Sequence[str], repeats: int, loop: bool
) -> Iterator[Row]:
    """Yield a row per shape and point. loop: also time the loop, which takes seconds."""
    for shape in shapes:
        sizes = sizes_of(shape)
        for point in points:
            yield _row(point, shape, sizes, repeats, loop)


def sizes_of(shape: str) -> tuple[int, int, int, int]:
    """Return batch, heads, steps and features of "4x4x512x32"; raises `BadInput`."""
    parts = shape.split("x")
    if len(parts) != 4 or not all(part.isdecimal() and 0 < int(part) < 2**24 for part in parts):
        raise BadInput(
            f'unknown shape "{shape}": write batch, heads, steps and features, as in 4x4x512x32'
        )
    batch, heads, steps, features = map(int, parts)
    return batch, heads, steps, features


def recurrence_of(point: str, features: int) -> Recurrence:
    """Return a known recurrence; raises `BadInput` for an unknown one."""
    if point not in POINTS:
        raise BadInput(f'unknown point "{point}"; choose {", ".join(POINTS)}')
    decay, writes, erase = POINTS[point]
    return Recurrence(decay, writes, erase, features, features)  # type: ignore[arg-type]


def _row(point: str, shape: str, sizes: tuple, repeats: int, loop: bool) -> Row:
    batch, heads, steps, features = sizes
    recurrence = recurrence_of(point, features)
    tensors = _drawn(recurrence, sizes)
    given = checked(recurrence, **tensors, e=None, sign=None, lengths=None)
    compiled_mixer(recurrence, torch.float32)
    ways = {"compiled": partial(run_recurrence, recurrence, **tensors, backend="cpu")}
    ways |= {
        f"chunks {c}": partial(in_chunks, recurrence, given, c) for c in CHUNKS if c < 2 * steps
    }
    if loop:
        ways["loop"] = partial(reference, recurrence, given)
    with torch.no_grad():
        *forward, product = medians([*ways.values(), large_product(Setting())], repeats, "cpu")
    both = medians([partial(_with_gradients, way, given) for way in ways.values()], repeats, "cpu")
    writes = 2 * recurrence.writes * (1 if recurrence.erase == "none" else 2)
    flops = batch * heads * steps * features**2 * ((recurrence.decays > 0) + 2 + writes)
    return Row(
        point,
        shape,
        _fastest(ways, forward),
        _fastest(ways, both),
        flops / forward[0] * product / PRODUCT_FLOPS,
    )


def _drawn(recurrence: Recurrence, sizes: tuple) -> dict[str, Tensor]:
    batch, heads, steps, features = sizes
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, heads, *shape, generator=generator)

    writes = recurrence.writes
    tensors = {
        "q": normal(steps, features) / features**0.5,
        "k": functional.normalize(normal(steps, writes, features), dim=-1),
        "v": normal(steps, writes, features),
        "b": normal(steps, writes).sigmoid(),
        "state": normal(features, features),
    }
    logs = None
    if recurrence.decays:
        logs = -functional.softplus(normal(steps, recurrence.decays) - 2)
    given = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    return {**given, "log_decay": logs if logs is None else logs.requires_grad_()}  # type: ignore


def _with_gradients(way: Any, given: Arguments) -> None:
    outputs, last = way()
    wanted = [given.q, given.k, given.v, given.b, given.state, given.log_decay]
    torch.autograd.grad(outputs.sum() + last.sum(), [t for t in wanted if t is not None])


def _fastest(ways: dict[str, Any], seconds: Sequence[float]) -> dict[str, float]:
    """Return milliseconds of each way, the chunks' being those of the fastest size."""
    found: dict[str, float] = {}
    for name, taken in zip(ways, seconds, strict=True):
        kind = name.partition(" ")[0]
        found[kind] = min(1e3 * taken, found.get(kind, float("inf")))
    return found


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people; ratios above 1 mean that compiled steps are faster."""
    head = ["point", "shape", "forward ms", "of peak", "to chunks", "to loop"]
    head += ["with gradients ms", "to chunks", "to loop"]
    lines = [
        [
            *(row.point, row.shape, f"{row.forward['compiled']:.2f}", f"{row.of_peak:.0%}"),
            *(*_ratios(row.forward), f"{row.both['compiled']:.2f}", *_ratios(row.both)),
        ]
        for row in rows
    ]
    return "\n".join(aligned([head, *lines]))


def _ratios(times: dict[str, float]) -> list[str]:
    ours = times["compiled"]
    return [f"{times[way] / ours:.1f}" if way in times else "" for way in ("chunks", "loop")]


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    return {"rows": [asdict(row) for row in rows]}
