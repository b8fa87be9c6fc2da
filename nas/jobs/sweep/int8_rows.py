"""The int8 columns of a sweep: pruned networks measured on compiled cells or in onnxruntime."""

from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from compress.timing import milliseconds
from kernels.cell.layer import compute_in, layers_on_cells, read_what_is_left
from nas.core.errors import BadInput
from nas.core.task import Batch, Task
from nas.models.eight_bits import check_exported, check_installed, measured_int8
from nas.models.exported_programs import write_programs
from nas.models.inputs import Inputs
from nas.models.model_files import SEQUENCES
from nas.training import evaluate
from search_spaces.rnn_cell.torch_layers import compiled


def in_int8(model: nn.Module, task: Task, example: Batch) -> dict[str, float]:
    """Return a network's validation metric and time for one example in int8.

    Recurrent layers run on compiled cells, which read only the weights left; their products are in
    int8. Networks without such layers run in onnxruntime.
    Raises `BadInput` if such a network is not exported as ONNX or cannot be measured there.
    """
    cells = compiled(deepcopy(model))
    if layers_on_cells(cells):
        read_what_is_left(cells)
        compute_in(cells, "int8")
        metric = evaluate(cells, task, task.validation_batches()).metric
        (taken,) = milliseconds([cells], example.inputs, None, example.lengths)
        return {"metric_int8": metric, "milliseconds_int8": taken}
    check_installed()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inputs = Inputs.of(example.inputs, task.shape.kind in SEQUENCES)
        write_programs(model, inputs, folder)
        check_exported(folder, "this network")
        found = measured_int8(folder, task, task.validation_batches())
    if found.metric is None:
        raise BadInput(
            f"the exported program cannot be measured on {task.name}: it carries no state from "
            "batch to batch, and takes one length of sequences"
        )
    return {"metric_int8": found.metric, "milliseconds_int8": found.milliseconds}
