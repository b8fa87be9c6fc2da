"""Int8 copies of exported networks, compared with the float32 ones in onnxruntime."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from compress.timing import milliseconds
from nas.core.errors import BadInput
from nas.core.task import Batch, Task
from nas.models.int8 import Int8
from nas.models.int8_graph import write_int8

FLOAT32, INT8 = "model.onnx", "model-int8.onnx"
NEEDED = ("onnx", "onnxruntime", "onnxscript")


def check_installed() -> None:
    """Raise `BadInput` if a package that int8 needs is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BadInput(f'int8 needs {" and ".join(missing)}: pip install ".[onnx]"')


def check_exported(folder: Path, network: str) -> None:
    """Raise `BadInput` if the network's folder has no `model.onnx`.

    network: what the message calls it.
    """
    check_installed()
    if not (folder / FLOAT32).exists():
        raise BadInput(
            f"{network} has no {FLOAT32}, which int8 is made from: compiled recurrent cells and "
            "language models are never written as ONNX, others if onnx was installed at the time"
        )


def add_int8(folder: Path, inputs: Tensor, classes: bool) -> Int8:
    """Write a folder's `model-int8.onnx` and compare it with its `model.onnx`.

    inputs: examples that the outputs are compared on. classes: whether the outputs are logits.
    """
    check_exported(folder, str(folder))
    write_int8(folder / FLOAT32, folder / INT8)
    exact, small = program(folder / FLOAT32), program(folder / INT8)
    expected, found = exact(inputs), small(inputs)
    slow, fast = milliseconds((exact, small), inputs[:1])
    agreed = (found.argmax(-1) == expected.argmax(-1)).float().mean() if classes else None
    return Int8(
        float32_bytes=(folder / FLOAT32).stat().st_size,
        bytes=(folder / INT8).stat().st_size,
        float32_milliseconds=slow,
        milliseconds=fast,
        largest_difference=float((found - expected).abs().max() / expected.abs().max()),
        agreement=None if agreed is None else float(agreed),
    )


def measured_int8(folder: Path, task: Task, batches: Iterable[Batch]) -> Int8:
    """Add int8 to a folder as `add_int8` does, and measure the task's metric on the batches."""
    found = add_int8(folder, task.score_batch(0).inputs, has_classes(task))
    return replace(found, metric=metric_of(folder / INT8, task, batches))


def has_classes(task: Task) -> bool:
    """Return whether a network's outputs are logits, whose largest is the answer."""
    return task.metric == "accuracy"


def program(file: Path) -> Callable[[Tensor], Tensor]:
    """Load an ONNX file as a function from inputs to its first outputs, run in one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: torch.from_numpy(session.run(None, {name: inputs.numpy()})[0])


def metric_of(file: Path, task: Task, batches: Iterable[Batch]) -> float | None:
    """Return the task's metric of an ONNX program, None if it cannot read the batches.

    Programs carry no state from batch to batch, and some take only one length of sequences.
    """
    if task.carries_state:
        return None
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    run = program(file)
    try:
        return task.measure((run(x), targets) for x, targets in _readable(batches)).metric
    except InvalidArgument:  # inputs of another shape
        return None


def _readable(batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets, sequences with lengths one by one: programs take no lengths."""
    for inputs, targets, lengths in batches:
        if lengths is None:
            yield inputs, targets
            continue
        for i, length in enumerate(lengths.tolist()):
            yield inputs[i : i + 1, :length], targets[i : i + 1]
