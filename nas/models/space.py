"""The named models as a space, so they are built and loaded like candidates."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.errors import BadInput
from nas.core.registry import BUILT_IN, create, resolve
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.inputs import answer_of, call
from search_spaces.output import Output
from search_spaces.seeding import drawn_from
from search_spaces.space import DataShape, ModelShape, Space

FOUND_AS = "nas.models.space:NamedModels"


class NamedModels(Space):
    """A space whose architectures are model names. The task decides only inputs and classes."""

    name = "named-models"

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.choose("model", tuple(BUILT_IN["models"])),))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Build the model, wrapped so that it returns an `Output`."""
        (name,) = architecture.spec  # type: ignore[misc]
        with drawn_from(generator):
            return Answering(named_network(str(name), shape.data))


def named_network(name: str, data: DataShape) -> nn.Module:
    """Return the network that a function or a class makes, or a copy of one that a module holds.

    A function is passed the number of `classes` and of `channels`, if it names them.
    Raises `BadInput` for one that needs anything else.
    """
    made = resolve("models", name)
    if isinstance(made, nn.Module):
        return copy.deepcopy(made)
    known = {"classes": data.outputs, "channels": data.inputs}
    accepted = inspect.signature(made).parameters if callable(made) else {}
    for parameter in accepted.values():
        if not _is_needed(parameter):
            continue
        if parameter.name not in known:
            raise BadInput(
                f'model "{name}" needs {parameter.name}, but only classes and channels are passed: '
                f"give {parameter.name} a default"
            )
        if not known[parameter.name]:
            size = "outputs" if parameter.name == "classes" else "inputs"
            raise BadInput(
                f'model "{name}" needs {parameter.name}, which the task does not say: '
                f"make the task with {size}=NUMBER"
            )
    options = {key: value for key, value in known.items() if key in accepted and value}
    try:
        with torch.inference_mode(False), torch.enable_grad():  # the function may train it
            return create("models", name, options)
    except BadInput:
        raise
    except Exception as error:
        reason = str(error).splitlines() or [""]
        raise BadInput(f'model "{name}": {type(error).__name__}: {reason[0]}') from error


def _is_needed(parameter: inspect.Parameter) -> bool:
    various = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in various


class Answering(nn.Module):
    """Wraps a network so that it takes inputs and lengths and returns an `Output`.

    Several inputs are passed one after the other, or by name if they are a dictionary.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.takes_lengths = "lengths" in inspect.signature(network.forward).parameters

    def forward(self, inputs: Any, state: None = None, lengths: Tensor | None = None) -> Output:
        if self.takes_lengths and isinstance(inputs, Tensor):
            answers = self.network(inputs, lengths)
        else:
            answers = call(self.network, inputs)
        return Output(answers, None, answer_of(answers).new_zeros(()))
