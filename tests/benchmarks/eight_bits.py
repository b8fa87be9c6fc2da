"""Accuracy, size and time of networks in int8, beside float32, on one thread.

NAS_DATA=FOLDER python -m tests.benchmarks.eight_bits layers|networks|recurrent

layers: single kinds of layers at batch 1 and 64, each stored and computed in the ways that
onnxruntime has; `nas/models/int8_graph.py` follows from this table.
networks: ResNet-20 with its public weights on 1,000 CIFAR-10 test images, a perceptron on MNIST
and an LSTM on spoken digits, both trained here for 600 steps; with `torch.ao` dynamic int8, which
PyTorch has deprecated, for comparison.
recurrent: that LSTM alone, and with 90 % of its recurrent weights removed by magnitude and 300
further steps. Both also run on compiled cells, in float32, bfloat16 and int8.
"""

import io
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from kernels.cell.layer import compute_in, layers_on_cells, read_what_is_left
from nas.core.registry import load_task
from nas.models.cifar_resnet import resnet20
from nas.models.eight_bits import FLOAT32, INT8, program
from nas.models.exported_programs import write_programs
from nas.models.inputs import Inputs
from nas.models.int8_graph import WEIGHT_ONLY, Stored, store_in_int8, write_int8
from nas.models.recurrent_classifier import RecurrentClassifier
from nas.models.weights import load_weights
from search_spaces.rnn_cell.torch_layers import compiled

DATA = Path(os.environ.get("NAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni")
ROUNDS = 31
ORT = version("onnxruntime")
Run = Callable[[Tensor], Tensor]


def processor() -> str:
    """Return the processor's name and which of the instructions that matter it has."""
    described = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in described.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    present = [flag for flag in FLAGS if flag in fields["flags"].split()]
    return f"{fields['model name']}: {', '.join(present)}"


def milliseconds(runs: dict[str, Run], inputs: Tensor, rounds: int = ROUNDS) -> dict[str, float]:
    """Return medians over rounds in which all take turns; each is called twice and timed once."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(rounds + 2):
            for name, run in runs.items():
                run(inputs)  # what the others left in the caches does not count
                started = time.perf_counter()
                run(inputs)
                taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(times[2:]) for name, times in taken.items()}


class LastState(nn.Module):
    """A recurrent layer, of which the last step's states are returned."""

    def __init__(self, recurrent: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(x)[0][:, -1]


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear 16": (nn.Linear(16, 16), (16,)),
    "linear 128": (nn.Linear(128, 128), (128,)),
    "linear 512": (nn.Linear(512, 512), (512,)),
    "linear 1024": (nn.Linear(1024, 1024), (1024,)),
    "linear 256, 32 steps": (nn.Linear(256, 256), (32, 256)),
    "conv 3x3, 16, 32x32": (nn.Conv2d(16, 16, 3, padding=1), (16, 32, 32)),
    "conv 3x3, 64, 16x16": (nn.Conv2d(64, 64, 3, padding=1), (64, 16, 16)),
    "conv 3x3, 256, 4x4": (nn.Conv2d(256, 256, 3, padding=1), (256, 4, 4)),
    "conv 1x1, 128, 8x8": (nn.Conv2d(128, 128, 1), (128, 8, 8)),
    "depthwise 3x3, 128, 8x8": (nn.Conv2d(128, 128, 3, padding=1, groups=128), (128, 8, 8)),
    "conv 1-d 5, 64, 100": (nn.Conv1d(64, 64, 5, padding=2), (64, 100)),
    "LSTM 64, 50 steps": (LastState(nn.LSTM(64, 64, batch_first=True)), (50, 64)),
    "LSTM 512, 50 steps": (LastState(nn.LSTM(64, 512, batch_first=True)), (50, 64)),
    "GRU 256, 50 steps": (LastState(nn.GRU(64, 256, batch_first=True)), (50, 64)),
}


def layers() -> None:
    ways = ("float32", "weight-only", "dynamic QInt8", "dynamic QUInt8")
    print(f"| layer | batch | torch | {' | '.join(ways)} |")
    print("|---" * 7 + "|")
    for name, (layer, shape) in LAYERS.items():
        with TemporaryDirectory() as folder:
            files = _ways(layer.eval(), shape, Path(folder))
            for batch in (1, 64):
                runs: dict[str, Run] = {"torch": layer}
                runs |= {way: program(file) for way, file in files.items()}
                taken = milliseconds(runs, torch.randn(batch, *shape), 15)
                cells = [f"{taken[way]:.3f}" if way in taken else "–" for way in ("torch", *ways)]
                print(f"| {name} | {batch} | {' | '.join(cells)} |", flush=True)


def _ways(layer: nn.Module, shape: tuple[int, ...], folder: Path) -> dict[str, Path]:
    """Write the layer as ONNX in each way that onnxruntime has; return the files."""
    import onnx
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    write_programs(layer, Inputs.of(torch.randn(1, *shape), False), folder)
    files = {"float32": folder / FLOAT32, "weight-only": folder / "stored.onnx"}
    quant_pre_process(files["float32"], folder / "folded.onnx", skip_symbolic_shape=True)
    model = onnx.load(folder / "folded.onnx")
    everything = {"Gemm": Stored((1,), 1), "MatMul": Stored((1,), 1), "LSTM": Stored((1, 2), 2)}
    store_in_int8(model.graph, {**WEIGHT_ONLY, **everything})
    onnx.save(model, files["weight-only"])
    for kind in (QuantType.QInt8, QuantType.QUInt8):
        file = folder / f"{kind}.onnx"
        quantize_dynamic(folder / "folded.onnx", file, weight_type=kind)
        if any("nteger" in n.op_type or "Dynamic" in n.op_type for n in onnx.load(file).graph.node):
            files[f"dynamic {kind}"] = file
    return files


def resnet() -> tuple[nn.Module, Tensor, Tensor]:
    """Return ResNet-20 with public weights, and the CIFAR-10 test images with their classes."""
    model = resnet20()
    load_weights(model, DATA / "weights" / "resnet20-12fca82f.th")
    options = {"data": DATA / "vision" / "cifar10", "normalisation": model.normalisation}
    batches = list(load_task("images", options).test_batches())
    images = torch.cat([batch.inputs for batch in batches])
    return model.eval(), images, torch.cat([batch.targets for batch in batches])


def perceptron() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a perceptron trained on MNIST, and the test images with their classes."""
    held = {part: np.load(DATA / "vision" / f"mnist_{part}.npz") for part in ("train", "test")}
    images = {part: torch.tensor(file["images"]).flatten(1) / 255 for part, file in held.items()}
    classes = {part: torch.tensor(file["labels"]).long() for part, file in held.items()}
    hidden = [nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(1024, 10))
    return trained(model, images["train"], classes["train"]), images["test"], classes["test"]


@cache
def recurrent() -> tuple[nn.Module, Tensor, Tensor]:
    """Return an LSTM trained on spoken digits, and the test recordings with their classes."""
    held = np.load(DATA / "seq" / "fsdd_logmel.npz")
    sounds = torch.tensor(held["x"]).float() / 128 - 1  # [n, 64 steps, 32]
    classes, tested = torch.tensor(held["label"]).long(), torch.tensor(held["is_test"])
    model = RecurrentClassifier(nn.LSTM(32, 512, batch_first=True), 10)
    return trained(model, sounds[~tested], classes[~tested]), sounds[tested], classes[tested]


def pruned() -> tuple[nn.Module, Tensor, Tensor]:
    """Return the LSTM on spoken digits without 90 % of its recurrent weights, and the test data."""
    model, inputs, classes = deepcopy(recurrent())
    weights = model.get_parameter("recurrent.weight_hh_l0")
    size = weights.detach().abs().flatten()
    mask = (weights.abs() > size.kthvalue(round(0.9 * len(size))).values).float()
    weights.data.mul_(mask)
    weights.register_hook(lambda gradient: gradient * mask)
    held = np.load(DATA / "seq" / "fsdd_logmel.npz")
    sounds = torch.tensor(held["x"]).float() / 128 - 1
    learnt = torch.tensor(~held["is_test"])
    model = trained(model, sounds[learnt], torch.tensor(held["label"]).long()[learnt], 300)
    return model, inputs, classes


def trained(model: nn.Module, inputs: Tensor, classes: Tensor, steps: int = 600) -> nn.Module:
    """Train the model with Adam on batches of 64."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (64,))
        loss = nn.functional.cross_entropy(model(inputs[chosen]), classes[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


NETWORKS = {
    "ResNet-20, CIFAR-10": resnet,
    "perceptron 784-1024-1024-10, MNIST": perceptron,
    "LSTM 512, spoken digits": recurrent,
    "LSTM 512 without 90 % of its recurrent weights": pruned,
}


def networks(names: Iterable[str] = tuple(NETWORKS)) -> None:
    print("| network | runs as | accuracy | bytes | ms, batch 1 | ms, batch 16 |")
    print("|---" * 6 + "|")
    for name in names:
        torch.manual_seed(0)
        model, inputs, classes = NETWORKS[name]()
        with TemporaryDirectory() as folder:
            runs, sizes = forms(model, inputs[:1], Path(folder))
            times = [milliseconds(runs, inputs[:batch]) for batch in (1, 16)]
            for form, run in runs.items():
                right = accuracy(run, inputs, classes)
                cells = (
                    f"{right:.4f} | {sizes[form]:,} | {times[0][form]:.3f} | {times[1][form]:.3f}"
                )
                print(f"| {name} | {form} | {cells} |", flush=True)


def forms(model: nn.Module, example: Tensor, folder: Path) -> tuple[dict[str, Run], dict[str, int]]:
    """Return the model as float32 and int8, in PyTorch and in onnxruntime, and their bytes."""
    write_programs(model, Inputs.of(example, False), folder)
    write_int8(folder / FLOAT32, folder / INT8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and here for comparison only
        dynamic = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM})
    runs: dict[str, Run] = {
        "torch float32": model,
        "torch.ao dynamic int8": dynamic,
        "onnxruntime float32": program(folder / FLOAT32),
        "onnxruntime int8": program(folder / INT8),
    }
    sizes = [saved_bytes(model), saved_bytes(dynamic)]
    sizes += [(folder / file).stat().st_size for file in (FLOAT32, INT8)]
    of_all = dict(zip(runs, sizes, strict=True))
    for bits in (None, "bfloat16", "int8"):
        cells = compiled(deepcopy(model))
        if layers_on_cells(cells):
            read_what_is_left(cells)
            compute_in(cells, bits)
            runs[f"compiled {bits or 'float32'}"] = cells
    return runs, {name: of_all.get(name, sizes[0]) for name in runs}


def saved_bytes(model: nn.Module) -> int:
    written = io.BytesIO()
    torch.save(model.state_dict(), written)
    return written.tell()


def accuracy(run: Run, inputs: Tensor, classes: Tensor) -> float:
    with torch.inference_mode():
        found = torch.cat([run(part).argmax(-1) for part in inputs.split(100)])
    return float((found == classes).float().mean())


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(f"{processor()}; one thread, PyTorch {torch.__version__}, onnxruntime {ORT}\n")
    only = list(NETWORKS)[2:]
    {"layers": layers, "networks": networks, "recurrent": lambda: networks(only)}[sys.argv[1]]()
