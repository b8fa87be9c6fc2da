"""Exports a model as programs that run without our code: `torch.export` and, optionally, ONNX."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN, on_reference
from search_spaces.output import Output


class AnswersOnly(nn.Module):
    """Wraps a model so that it returns only its answers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs).answers


def answering(model: nn.Module) -> nn.Module:
    """Return the model, wrapped in `AnswersOnly` if it returns an `Output`."""
    returns = get_type_hints(type(model).forward).get("return")
    return AnswersOnly(model) if returns is Output else model


def write_programs(model: nn.Module, example: Tensor, folder: Path) -> dict[str, Any]:
    """Write `model.pt2` and, with `onnxscript` and `onnxruntime` installed, `model.onnx`.

    Both take batches of any size, of examples shaped like `example`, `[1, …]`. No ONNX file is
    written for models with cells: unrolling them over the steps would make it too large.
    Returns each program's answers to the example, by file name.
    """
    unrolled = any(isinstance(module, CompiledRNN) for module in model.modules())
    has_onnx = all(find_spec(name) for name in ("onnxscript", "onnxruntime")) and not unrolled
    model = answering(model.cpu().eval())
    two = torch.cat([example, example])  # a batch of one would be exported as a constant
    shapes = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings(), on_reference(model):
        warnings.simplefilter("ignore")  # recurrent modules keep lists of weights
        program = torch.export.export(model, (two,), dynamic_shapes=shapes, strict=False)
        torch.export.save(program, folder / "model.pt2")
        if has_onnx:
            _write_onnx(program, folder / "model.onnx")
    with torch.no_grad():
        answers = {"model.pt2": torch.export.load(folder / "model.pt2").module()(example)}
    if has_onnx:
        answers["model.onnx"] = _run_onnx(folder / "model.onnx", example)
    return answers


def _write_onnx(program: torch.export.ExportedProgram, file: Path) -> None:
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # hides a message that torchvision is missing
    try:
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    finally:
        log.setLevel(level)
    assert exported is not None
    exported.save(file)


def _run_onnx(file: Path, example: Tensor) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    tensors = tuple(torch.from_numpy(answer) for answer in answers)
    return tensors[0] if len(tensors) == 1 else tensors
