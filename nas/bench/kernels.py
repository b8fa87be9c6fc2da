"""Times compiled cells against a step-by-step eager loop and PyTorch's LSTM."""

import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from kernels.cell.op import compile_cell
from kernels.cell.spec import CellSpec
from nas.reporting.table import aligned

STEPS, BATCH = 70, 20
# The layer sizes of NAS-Bench-NLP's networks (section 4.1), and of single small layers.
SHAPES = {
    "nas-bench-nlp": (400, 600, 600, 400),
    "32": (32, 32),
    "64": (64, 64),
    "128": (128, 128),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One cell in one shape: median times of forward and backward through all layers.

    reference_ms: the time of the eager loop, one operation after another.
    compiled_ms: the time of the compiled kernels with the same weights.
    torch_lstm_ms: the time of `torch.nn.LSTM` in the same shape, if the cell is an LSTM.
    compile_seconds: the time to generate and compile, or load, the cell.
    of_peak: the arithmetic rate of the compiled cell over that of one large matrix product.
    """

    cell: str
    shape: str
    dtype: str
    device: str
    threads: int
    reference_ms: float
    compiled_ms: float
    torch_lstm_ms: float | None
    compile_seconds: float
    of_peak: float

    @property
    def ratio(self) -> float:
        """How many times faster the cell is than the eager loop."""
        return self.reference_ms / self.compiled_ms


def machine() -> dict[str, str]:
    """Return the hardware and versions that the figures depend on."""
    names = {line for line in _cpuinfo() if line.startswith("model name")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    processor = names.pop().partition(":")[2].strip() if names else platform.processor()
    return {
        "processor": processor,
        "gpu": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def measure(
    cells: dict[str, CellSpec],
    shapes: list[str],
    device: str,
    dtype: torch.dtype,
    repeats: int,
) -> Iterator[Row]:
    """Yield a row per cell and shape; the implementations run in turn in this process."""
    peak = _peak_flops(device, dtype)
    for shape in shapes:
        for name, cell in cells.items():
            yield _row(name, cell, shape, device, dtype, repeats, peak)


def _row(
    name: str,
    cell: CellSpec,
    shape: str,
    device: str,
    dtype: torch.dtype,
    repeats: int,
    peak: float,
) -> Row:
    sizes = SHAPES[shape]
    plan = compile_cell(cell, device, dtype)
    reference, compiled = (
        _Stack(cell, sizes, backend).to(device, dtype) for backend in ("reference", "auto")
    )
    x = torch.randn(BATCH, STEPS, sizes[0], device=device, dtype=dtype, requires_grad=True)
    candidates: list[nn.Module] = [reference, compiled]
    if name == "lstm":
        candidates.append(_TorchLstm(sizes).to(device, dtype))
    seconds = _medians([lambda m=m: _step(m, x) for m in candidates], repeats, device)
    flops = 3 * STEPS * BATCH * sum(cell.flops(i, o) for i, o in pairwise(sizes))
    return Row(
        cell=name,
        shape=shape,
        dtype=str(dtype).removeprefix("torch."),
        device=device,
        threads=torch.get_num_threads(),
        reference_ms=1e3 * seconds[0],
        compiled_ms=1e3 * seconds[1],
        torch_lstm_ms=1e3 * seconds[2] if len(seconds) > 2 else None,
        compile_seconds=plan.compile_seconds,
        of_peak=flops / seconds[1] / peak,
    )


class _Stack(nn.Module):
    """Layers of one cell, with the same weights for every backend."""

    def __init__(self, cell: CellSpec, sizes: tuple[int, ...], backend: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList(
            CompiledRNN(cell, i, o, backend=backend, generator=generator)
            for i, o in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x, _ = layer(x)
        return x


class _TorchLstm(nn.Module):
    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.LSTM(i, o, batch_first=True) for i, o in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x, _ = layer(x)
        return x


def _step(model: nn.Module, x: Tensor) -> None:
    model(x).sum().backward()


def _medians(steps: Sequence[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Return each step's median seconds, in three rounds that spread changes of load evenly.

    Two unmeasured repeats come first, so memory is warm as in training. On a CPU this is process
    time, which excludes other programs.
    """
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(3):
        for step, taken in zip(steps, times, strict=True):
            for repeat in range(repeats + 2):
                started = _clock(device)
                step()
                if repeat >= 2:
                    taken.append(_clock(device) - started)
    return [statistics.median(taken) for taken in times]


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time() / torch.get_num_threads()
    torch.cuda.synchronize()
    return time.perf_counter()


def _peak_flops(device: str, dtype: torch.dtype) -> float:
    """Return the operations per second of a large matrix product, by torch or oneDNN."""
    a, b = (torch.randn(1400, 600, device=device, dtype=dtype) for _ in range(2))
    products: list[Callable[[], object]] = [lambda: a @ b.T]
    if device == "cpu" and dtype == torch.float32:
        products.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    return 2 * 1400 * 600 * 1400 / min(_medians(products, 5, device))


def table(rows: list[Row]) -> str:
    """Return the rows as a table for people."""
    head = ["cell", "layers", "eager ms", "compiled ms", "ratio", "nn.LSTM", "compile s", "of peak"]
    lines = [
        [
            row.cell,
            "-".join(map(str, SHAPES[row.shape])),
            f"{row.reference_ms:.2f}",
            f"{row.compiled_ms:.2f}",
            f"{row.ratio:.2f}",
            f"{row.torch_lstm_ms / row.compiled_ms:.2f}" if row.torch_lstm_ms else "",
            f"{row.compile_seconds:.2f}",
            f"{row.of_peak:.0%}",
        ]
        for row in rows
    ]
    return "\n".join(aligned([head, *lines]))


def as_json(rows: list[Row]) -> dict[str, object]:
    """Return the rows and the machine for JSON."""
    described = [{**asdict(row), "ratio": row.ratio} for row in rows]
    setting = {"batch": BATCH, "steps": STEPS, "what": "forward and backward, median ms"}
    return {**machine(), **setting, "rows": described}


def figure(rows: list[Row], path: Path) -> None:
    """Plot the ratios as bars, with a panel per shape."""
    shapes = list(dict.fromkeys(row.shape for row in rows))
    drawn = Figure(figsize=(3.2 * len(shapes), 3.2), layout="constrained")
    panels = drawn.subplots(1, len(shapes), squeeze=False)[0]
    for axes, shape in zip(panels, shapes, strict=True):
        here = [row for row in rows if row.shape == shape]
        axes.barh([row.cell for row in here], [row.ratio for row in here], color="#0072b2")
        axes.axvline(1, color="#999999", linewidth=1)
        axes.invert_yaxis()
        axes.set_title("layers " + "-".join(map(str, SHAPES[shape])), fontsize=9)
        axes.set_xlabel("times faster than the eager loop")
    drawn.savefig(path, dpi=150)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
