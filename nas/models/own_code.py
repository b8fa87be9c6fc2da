"""A small network as a file of code that builds it from the user's own class or function."""

import inspect
from pathlib import Path
from pprint import pformat

from torch import nn

from nas.core.files import write_atomically
from nas.core.registry import resolve
from nas.models.changes import Changes
from nas.models.source import ModelSource
from nas.models.space import FOUND_AS

FILE = "model.py"

HEAD = '''"""{name}, made smaller: your own code builds it, the weights beside this file fill it.

Needs torch, safetensors and the module {module}. From this folder: `from model import load`.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

import {module}
'''

SKIP = '''

class Skipped(nn.Module):
    """Returns its first input; attributes are read from the module that it replaces."""

    def __init__(self, replaced):
        super().__init__()
        vars(self)["replaced"] = replaced.to("meta")  # without its weights

    def __getattr__(self, name):
        return getattr(vars(self)["replaced"], name)

    def forward(self, *inputs, **named):
        return inputs[0] if inputs else next(iter(named.values()))
'''

LOAD = '''

def load(weights=Path(__file__).with_name("model.safetensors")):
    """Return the network with its weights, in evaluation mode."""
    model = {call}
'''

SKIPPING = """    for path in SKIPPED:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, Skipped(model.get_submodule(path)))
"""

CHANGING = """    for path, values in CHANGED.items():
        vars(model.get_submodule(path)).update(values)
"""

LEAVING_OUT = """    for name in GONE:
        path, _, key = name.rpartition(".")
        model.get_submodule(path)._parameters[key] = None
"""

FILLING = """    held = dict(model.named_parameters(remove_duplicate=False))
    held.update(model.named_buffers(remove_duplicate=False))
    for name, tensor in load_file(weights).items():
        held[name].data = tensor  # the same parameter in another shape
"""

RECURRENT = """    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()
"""


def write_own_code(
    source: ModelSource, network: nn.Module, changes: Changes, folder: Path
) -> list[str]:
    """Write `model.py` if the network is of the user's code; return the names of written files.

    network: the smaller one.
    """
    name = str(source.architecture.spec[0]) if source.space == FOUND_AS else ""  # type: ignore[index]
    if ":" not in name:
        return []
    skipped, attributes, gone = changes
    constants = {"SKIPPED": list(skipped), "CHANGED": dict(attributes), "GONE": list(gone)}
    written = [
        f"{constant} = {pformat(value, width=98, compact=True)}"
        for constant, value in constants.items()
        if value
    ]
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    parts = [
        HEAD.format(name=name, module=name.partition(":")[0]),
        *(f"\n{line}\n" for line in written),
        SKIP if skipped else "",
        LOAD.format(call=_call(source, name)),
        SKIPPING if skipped else "",
        CHANGING if attributes else "",
        LEAVING_OUT if gone else "",
        FILLING,
        RECURRENT if is_recurrent else "",
        "    return model.eval()\n",
    ]
    write_atomically(folder / FILE, "".join(parts))
    return [FILE]


def _call(source: ModelSource, name: str) -> str:
    """Return the expression that builds the original network, as `NamedModels` does."""
    thing, written = resolve("models", name), name.replace(":", ".")
    if isinstance(thing, nn.Module):
        return f"__import__('copy').deepcopy({written})"
    data = source.shape.data
    options = {"classes": data.outputs, "channels": data.inputs}
    takes = inspect.signature(thing).parameters
    given = (f"{key}={value}" for key, value in options.items() if key in takes)
    return f"{written}({', '.join(given)})"
