"""The int8 columns of a sweep: pruned networks exported, stored in int8 and measured."""

from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from nas.core.errors import BadInput
from nas.core.task import Task
from nas.models.eight_bits import check_exported, measured_int8
from nas.models.exported_programs import write_programs
from nas.models.inputs import Inputs
from nas.models.model_files import SEQUENCES


def in_int8(model: nn.Module, task: Task, example: Tensor) -> dict[str, float]:
    """Return a network's validation metric and time for one example in int8.

    Raises `BadInput` if the network is not exported as ONNX or cannot be measured there.
    """
    if any(isinstance(module, CompiledRNN) for module in model.modules()):
        raise BadInput(
            "compiled recurrent cells are never written as ONNX, which int8 is made from"
        )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_programs(model, Inputs.of(example, task.shape.kind in SEQUENCES), folder)
        check_exported(folder, "this network")
        found = measured_int8(folder, task, task.validation_batches())
    if found.metric is None:
        raise BadInput(
            f"the exported program cannot be measured on {task.name}: it carries no state from "
            "batch to batch, and takes one length of sequences"
        )
    return {"metric_int8": found.metric, "milliseconds_int8": found.milliseconds}
