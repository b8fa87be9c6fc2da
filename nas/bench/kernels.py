"""Times compiled cells beside an eager loop, PyTorch's layers and other inference programs."""

import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kernels.cell.cpu.products import instructions
from kernels.cell.spec import CellSpec
from nas.bench.layer_peers import EAGER, FLOAT32, OURS, Peer, peers
from nas.bench.page import explorer_of
from nas.core.errors import BadInput
from nas.reporting.explorer import Column, Explorer
from nas.reporting.table import aligned

# The layer sizes of NAS-Bench-NLP's networks (section 4.1); other shapes are spelled out.
NAMED = {"nas-bench-nlp": (400, 600, 600, 400)}
SHAPES = (*NAMED, "32", "64", "128")
ROUND_SECONDS = 0.05  # short steps are repeated until a round takes this long


@dataclass(frozen=True, slots=True)
class Setting:
    """What is timed.

    inference: forward only, instead of forward and backward.
    ragged: sequences of different lengths, from one eighth of the steps to all.
    torch_compile: also time `torch.compile`, which takes minutes to compile.
    """

    steps: int = 70
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    inference: bool = False
    ragged: bool = False
    torch_compile: bool = False

    def __str__(self) -> str:
        kind = "forward" if self.inference else "forward and backward"
        dtype = str(self.dtype).removeprefix("torch.")
        lengths = f", {self.steps // 8} to {self.steps} steps" if self.ragged else ""
        return f"{kind}, {self.steps} steps{lengths}, {dtype}"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell in one shape: median milliseconds through all layers.

    form: what the products are computed in, see `layer_peers.OURS`.
    others: milliseconds of the other implementations, see `layer_peers`.
    compile_seconds: the time to generate and compile, or load, ours; and that of others.
    of_peak: the arithmetic rate of our cell over that of one large matrix product, None in few
        bits.
    """

    cell: str
    shape: str
    batch: int
    form: str
    milliseconds: float
    others: dict[str, float]
    compile_seconds: dict[str, float]
    of_peak: float | None

    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster our cell is than each of the others."""
        return {name: taken / self.milliseconds for name, taken in self.others.items()}


def sizes_of(shape: str) -> tuple[int, ...]:
    """Return the inputs and units of each layer: "64-512-512" has two layers, "64" is "64-64".

    Raises `BadInput` for anything else that is not in `NAMED`.
    """
    try:
        sizes = NAMED.get(shape) or tuple(int(size) for size in shape.split("-"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise BadInput(
            f'unknown shape "{shape}"; choose {", ".join(NAMED)}, or sizes such as 64 or 64-512-512'
        )
    return sizes if len(sizes) > 1 else 2 * sizes


def machine() -> dict[str, str]:
    """Return the hardware and versions that the figures depend on."""
    names = {line for line in _cpuinfo() if line.startswith("model name")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    processor = names.pop().partition(":")[2].strip() if names else platform.processor()
    return {
        "processor": processor,
        "instructions": instructions(),
        "gpu": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def measure(
    cells: dict[str, CellSpec],
    shapes: Sequence[str],
    batches: Sequence[int],
    setting: Setting,
    repeats: int,
) -> Iterator[Row]:
    """Yield a row per shape, cell, batch and form; the implementations take turns."""
    for shape in shapes:
        for name, cell in cells.items():
            for batch in batches:
                yield from _rows(name, cell, shape, batch, setting, repeats)


def _rows(
    name: str, cell: CellSpec, shape: str, batch: int, setting: Setting, repeats: int
) -> Iterator[Row]:
    sizes = sizes_of(shape)
    x, lengths = _inputs(batch, sizes[0], setting)
    with torch.set_grad_enabled(not setting.inference):
        others = (lengths, setting.inference, setting.torch_compile)
        found = dict(peers(name, cell, sizes, x, *others))
        steps = [partial(_step, peer, x) for peer in found.values()]
        *seconds, product = medians([*steps, large_product(setting)], repeats, setting.device)
    steps_run = batch * setting.steps if lengths is None else int(lengths.sum())
    passes = 1 if setting.inference else 3  # the backward pass has two products for each
    flops = steps_run * sum(cell.flops(i, o) for i, o in pairwise(sizes)) * passes
    times = {peer: 1e3 * taken for peer, taken in zip(found, seconds, strict=True)}
    compiled = {peer: kind.compile_seconds for peer, kind in found.items() if kind.compile_seconds}
    for form in (form for form in OURS if form in times):
        share = 1e3 * flops / times[form] * product / PRODUCT_FLOPS
        yield Row(
            cell=name,
            shape=shape,
            batch=batch,
            form=form,
            milliseconds=times[form],
            others={peer: taken for peer, taken in times.items() if peer not in OURS},
            compile_seconds=compiled,
            of_peak=share if form == FLOAT32 else None,
        )


def _inputs(batch: int, features: int, setting: Setting) -> tuple[Tensor, Tensor | None]:
    """Return x `[B, T, C]` and lengths `[B]`, None for equal ones."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, setting.steps, features, generator=generator)
    x = x.to(setting.device, setting.dtype).requires_grad_(not setting.inference)
    if not setting.ragged:
        return x, None
    shortest = max(1, setting.steps // 8)
    lengths = torch.randint(shortest, setting.steps + 1, (batch,), generator=generator)
    lengths[0] = setting.steps
    return x, lengths


def _step(peer: Peer, x: Tensor) -> None:
    outputs = peer.run(x)
    if outputs.requires_grad:
        outputs.sum().backward()


def medians(steps: Sequence[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Return each step's median seconds, in three rounds that spread changes of load evenly.

    Two unmeasured repeats come first, so memory is warm as in training. On a CPU this is process
    time, which excludes other programs.
    """
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(3):
        for step, taken in zip(steps, times, strict=True):
            step()
            once = _timed(step, device)
            for _ in range(max(repeats, min(20 * repeats, math.ceil(ROUND_SECONDS / once)))):
                taken.append(_timed(step, device))
    return [statistics.median(taken) for taken in times]


def _timed(step: Callable[[], object], device: str) -> float:
    started = _clock(device)
    step()
    return _clock(device) - started


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time() / torch.get_num_threads()
    torch.cuda.synchronize()
    return time.perf_counter()


PRODUCT_FLOPS = 2 * 1400 * 600 * 1400


def large_product(setting: Setting) -> Callable[[], object]:
    """Return one large matrix product, by oneDNN where PyTorch has it for this dtype."""
    a, b = (torch.randn(1400, 600, device=setting.device, dtype=setting.dtype) for _ in range(2))
    if setting.device == "cpu" and setting.dtype == torch.float32:
        return lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return lambda: a @ b.T


def table(rows: list[Row]) -> str:
    """Return the rows as a table for people; ratios above 1 mean that our cell is faster."""
    others = list(dict.fromkeys(name for row in rows for name in row.others))
    forms = ["in"] if any(row.form != FLOAT32 for row in rows) else []
    head = ["cell", "layers", "batch", *forms, "ms", "of peak", "compile s", *others]
    lines = [
        [
            row.cell,
            "-".join(map(str, sizes_of(row.shape))),
            str(row.batch),
            *([row.form] if forms else []),
            f"{row.milliseconds:.3f}",
            f"{row.of_peak:.0%}" if row.of_peak else "",
            f"{row.compile_seconds[row.form]:.2f}",
            *(_ratio(row, name) for name in others),
        ]
        for row in rows
    ]
    return "\n".join(aligned([head, *lines]))


def _ratio(row: Row, name: str) -> str:
    if name not in row.others:
        return ""
    seconds = row.compile_seconds.get(name)
    return f"{row.ratios[name]:.2f}" + (f" ({seconds:.0f} s)" if seconds else "")


def as_json(rows: list[Row], setting: Setting) -> dict[str, object]:
    """Return the rows and the machine for JSON."""
    described = [{**asdict(row), "ratios": row.ratios} for row in rows]
    return {**machine(), "what": f"{setting}, median ms", "rows": described}


def explored(rows: Sequence[Row]) -> Explorer:
    """Return the rows for a page."""
    ratios = {name: f"times faster than {name}" for row in rows for name in row.others}
    columns = [
        *(Column(name, "decision") for name in ("cell", "layers", "batch", "form")),
        Column("time", "result", "ms", -1),
        *(Column(title, "result", "", 1) for title in ratios.values()),
        Column("share of the peak rate", "cost", "", 1),
    ]
    cells = [
        {
            **{"cell": row.cell, "layers": row.shape, "batch": row.batch, "form": row.form},
            **{"time": row.milliseconds, "share of the peak rate": row.of_peak},
            **{ratios[name]: value for name, value in row.ratios.items()},
        }
        for row in rows
    ]
    labels = [f"{row.cell} {row.shape}, batch {row.batch}" for row in rows]
    return explorer_of(
        "Measurements", "measurement", columns, labels, cells, ("time", ratios[EAGER])
    )


def figure(rows: list[Row], path: Path) -> None:
    """Plot the ratios to the eager loop as bars, with a panel per shape."""
    shapes = list(dict.fromkeys(row.shape for row in rows))
    drawn = Figure(figsize=(3.2 * len(shapes), 3.2), layout="constrained")
    panels = drawn.subplots(1, len(shapes), squeeze=False)[0]
    for axes, shape in zip(panels, shapes, strict=True):
        here = [row for row in rows if row.shape == shape and row.form == FLOAT32]
        names = [f"{row.cell}, batch {row.batch}" for row in here]
        axes.barh(names, [row.ratios[EAGER] for row in here], color="#0072b2")
        axes.axvline(1, color="#999999", linewidth=1)
        axes.invert_yaxis()
        axes.set_title("layers " + "-".join(map(str, sizes_of(shape))), fontsize=9)
        axes.set_xlabel("times faster than the eager loop")
    drawn.savefig(path, dpi=150)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
