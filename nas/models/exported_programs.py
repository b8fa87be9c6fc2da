"""Exports a model as programs that run without our code: `torch.export` and, optionally, ONNX."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from nas.models.any_length import RECURRENT, WITH_ONNX_OPERATOR, cells_as_scans, shapes_by_rule
from nas.models.file_checks import Checker, Written
from nas.models.inputs import Inputs
from nas.models.without_us import first_line
from search_spaces.inputs import tensors_of
from search_spaces.output import Output

PROGRAM, ONNX = "model.pt2", "model.onnx"


class AnswersOnly(nn.Module):
    """Wraps a model so that it returns only its answers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Any) -> Any:
        return self.model(inputs).answers


def answering(model: nn.Module) -> nn.Module:
    """Return the model as a function from inputs to logits: ours answer more than that."""
    returns = get_type_hints(type(model).forward).get("return")
    return AnswersOnly(model) if returns is Output else model


def write_programs(
    model: nn.Module,
    inputs: Inputs,
    folder: Path,
    others: Callable[[], list[str]] = list,
) -> Written:
    """Write `model.pt2` and, with `onnxscript` and `onnxruntime` installed, `model.onnx`.

    A process that cannot import this project runs each file and compares its answers. A file that
    cannot be written or answers differently is left out, with its reason in what is returned.

    others: writes further files to check and returns their names, such as `model.py`.
    """
    has_onnx = all(find_spec(name) for name in ("onnxscript", "onnxruntime"))
    names = f"torch.export{', ONNX' if has_onnx else ''}"
    print(f"writing {folder}: {names}; running them without this project", file=sys.stderr)
    model, written = answering(model.cpu().eval()), Written()
    folder.mkdir(parents=True, exist_ok=True)
    with Checker() as checker:
        with _noted(PROGRAM, written), _quiet():
            program = _exported(model, inputs)
            torch.export.save(program, folder / PROGRAM)
        if has_onnx and PROGRAM not in written.failed:
            with _noted(ONNX, written), _quiet(), shapes_by_rule(WITH_ONNX_OPERATOR):
                _write_onnx(program, folder / ONNX)
        elif has_onnx:
            written.failed[ONNX] = f"it is made from {PROGRAM}"
        expected = [PROGRAM, *([ONNX] if has_onnx else [])]
        names = [name for name in expected if name not in written.failed]
        checker.check(model, inputs, folder, names + others(), written)
    for file, reason in written.failed.items():
        (folder / file).unlink(missing_ok=True)
        print(f"{folder / file} failed and is left out: {reason}", file=sys.stderr)
    return written


def _exported(model: nn.Module, inputs: Inputs) -> ExportedProgram:
    """Return the program, which takes as many examples and steps as the model's code allows."""
    with cells_as_scans(model), shapes_by_rule(RECURRENT):
        program = _traced(model, inputs.examples(2))  # one example would be taken for a constant
        read = set(program.graph_signature.user_inputs)
        shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in read]
        if any(isinstance(shape[0], torch.SymInt) for shape in shapes if len(shape)):
            return program
        return _traced(model, inputs.examples(1))


def _traced(model: nn.Module, inputs: Inputs) -> ExportedProgram:
    """Trace the model; axes that count examples or steps are free where its code lets them be."""
    count, shapes = len(inputs.first), ShapesCollection()
    for tensor in tensors_of((inputs.args, inputs.kwargs)):
        if tensor.dim() and len(tensor) == count:
            has_steps = inputs.steps and tensor.shape[1:2] == inputs.first.shape[1:2]
            axes = [*([0] if count > 1 else []), *([1] if has_steps else [])]
            shapes[tensor] = {axis: Dim.AUTO for axis in axes}
    read: Any = shapes  # torch's annotation leaves its own class out
    return torch.export.export(
        model, inputs.args, dict(inputs.kwargs), dynamic_shapes=read, strict=False
    )


def _write_onnx(program: ExportedProgram, file: Path) -> None:
    written = torch.onnx.export(program, dynamo=True, verbose=False)
    assert written is not None
    written.save(file)


@contextmanager
def _noted(file: str, written: Written) -> Iterator[None]:
    """Within, what goes wrong costs the file and is noted."""
    try:
        yield
    except Exception as error:  # exporters raise whatever they like
        written.failed[file] = first_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, exporters keep to themselves what they warn of: recurrent modules keep lists of
    weights, and torchvision, which is not needed, is missing."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
