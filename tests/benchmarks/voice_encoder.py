"""The voice encoder of the PyPI package Resemblyzer with one line changed: `nn.LSTM` to ours.

Run as `python tests/benchmarks/voice_encoder.py [THREADS]` where the package is installed
(`pip install --no-deps Resemblyzer librosa scipy …`). Prints the largest difference of the
embeddings of its pretrained weights, and medians of process time, taken in turn.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from nas.bench.kernels import machine
from nas.reporting.table import aligned
from tests.benchmarks.ragged_layers import in_turn

THEIRS = "        self.lstm = nn.LSTM("
OURS = "        from kernels.layers import LSTM; self.lstm = LSTM("
FRAMES, MELS = 160, 40  # an utterance of 1.6 s, as the package cuts them


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    about = [f"{name} {text}" for name, text in machine().items()]
    print(", ".join([*about, torch.backends.cpu.get_cpu_capability(), f"{threads} threads"]))
    sys.modules.setdefault("webrtcvad", ModuleType("webrtcvad"))  # only for cutting silence
    theirs, ours = encoder(), encoder(THEIRS, OURS)
    head = ["utterances", "", "nn.LSTM ms", "ours ms", "ratio", "difference"]
    rows = [row for batch in (1, 16, 64) for row in measured(theirs, ours, batch)]
    print("\n".join(aligned([head, *rows])))


def encoder(old: str = "", new: str = "") -> nn.Module:
    """Return the package's encoder, with one line of its source replaced."""
    found = importlib.util.find_spec("resemblyzer")
    if found is None or found.origin is None:
        sys.exit("the package Resemblyzer is not installed here")
    path = Path(found.origin).parent / "voice_encoder.py"
    source = path.read_text()
    assert source.count(old or THEIRS) == 1, "the package's line has changed"
    module = ModuleType("voice_encoder")
    module.__file__ = str(path)
    exec(compile(source.replace(old, new) if old else source, str(path), "exec"), vars(module))
    return module.VoiceEncoder("cpu", verbose=False).eval()


def measured(theirs: nn.Module, ours: nn.Module, batch: int) -> list[list[str]]:
    mels = 0.1 * torch.randn(batch, FRAMES, MELS, generator=torch.Generator().manual_seed(0)).abs()
    with torch.no_grad():
        difference = float((theirs(mels) - ours(mels)).abs().max())
    rows = []
    for name, step in (("inference", embed), ("training", train)):
        before, after = in_turn([lambda m=m: step(m, mels) for m in (theirs, ours)])  # noqa: B023
        times = [f"{1e3 * seconds:.1f}" for seconds in (before, after)]
        rows.append([str(batch), name, *times, f"{before / after:.2f}", f"{difference:.0e}"])
    return rows


def embed(model: nn.Module, mels: Tensor) -> None:
    with torch.no_grad():
        model(mels)


def train(model: nn.Module, mels: Tensor) -> None:
    model.zero_grad()
    (model(mels) * torch.linspace(-1, 1, 256)).sum().backward()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
