"""What every search space provides, and the shape of the model it is asked to build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

HOOKS = ("check", "graph", "properties")  # what `Space` has defaults for


@dataclass(frozen=True, slots=True)
class DataShape:
    """What a task's batches hold.

    kind: "tokens": integers `[B, T]`, below `inputs`; "features": floats `[B, T, inputs]`;
        "images": floats `[B, inputs channels, height, width]`; "other": anything else, such as
        several tensors, for which no space has models.
    inputs: size of the vocabulary, or features a step, or channels.
    outputs: size of the answer: vocabulary or classes; 0 if the task does not say.
    every_step: an answer after every step `[B, T, outputs]`, or one a sequence `[B, outputs]`.
    height, width: of images.
    masked: every step's answer is hidden from the inputs, so that both sides may be read.
    """

    kind: Literal["tokens", "features", "images", "other"]
    inputs: int
    outputs: int
    every_step: bool
    height: int = 0
    width: int = 0
    masked: bool = False


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large and how regularised a model is built.

    embedding, hidden, layers: sizes; a language model ties its last layer to the embedding.
    dropout, hidden_dropout, input_dropout, embedding_dropout, weight_drop: shares dropped of
        the last output, between layers, of the embedded input, of whole words, and of
        recurrent weights (Merity et al. 2018, https://arxiv.org/abs/1708.02182, section 4).
    activation_penalty, slowness_penalty: factors of AR and TAR (same paper, section 4.7).
    frozen_recurrent: recurrent weights keep their first values: see `CompiledRNN`.
    """

    embedding: int = 64
    hidden: int = 96
    layers: int = 2
    dropout: float = 0.0
    hidden_dropout: float = 0.0
    input_dropout: float = 0.0
    embedding_dropout: float = 0.0
    weight_drop: float = 0.0
    activation_penalty: float = 0.0
    slowness_penalty: float = 0.0
    frozen_recurrent: bool = False


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Everything but the architecture that a model is built from."""

    data: DataShape
    size: ModelSize = ModelSize()


@runtime_checkable
class SearchSpace(Protocol):
    """Everything that is called of a space. `Space` has the last three, for spaces to derive from.

    name: of the space; its architectures carry it.
    """

    @property
    def name(self) -> str: ...

    def decide(self, decisions: Decisions) -> Architecture:
        """Ask for all decisions and return what they describe; pure and cheap.

        Raises `InvalidArchitecture` when the answers describe nothing that may be built.
        """
        ...

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        """The untrained model, its weights drawn from the generator.

        The model is called as `model(inputs, state=None, lengths=None)` and returns a
        `search_spaces.output.Output`.
        """
        ...

    def check(self, data: DataShape) -> None:
        """Raise `ValueError` for data that the space has no models for."""
        ...

    def graph(self, architecture: Architecture) -> "DiGraph | None":
        """Return a drawing of an architecture, None where there is none to draw.

        Nodes are numbers with `label`, `kind` (input, linear, activation, elementwise, …) and
        `state`: the number of the new state that a node becomes, or None.
        """
        ...

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        """Return numbers by name that are recorded with each candidate."""
        ...


class Space:
    """The defaults of a space's hooks: it takes any data, draws nothing and records nothing."""

    def check(self, data: DataShape) -> None:
        pass

    def graph(self, architecture: Architecture) -> "DiGraph | None":
        return None

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        return {}


@dataclass(frozen=True, slots=True)
class Completed:
    """The parts of a space that does not derive from `Space`, see `completed`."""

    name: str
    decide: Callable[..., Architecture]
    build: Callable[..., "nn.Module"]
    check: Callable[..., None]
    graph: Callable[..., "DiGraph | None"]
    properties: Callable[..., Mapping[str, float]]


def completed(space: Any) -> SearchSpace:
    """Return the space; one that lacks hooks with the defaults of `Space` in their places."""
    if isinstance(space, SearchSpace):
        return space
    default = Space()
    return Completed(
        space.name,
        space.decide,
        space.build,
        *(getattr(space, hook, getattr(default, hook)) for hook in HOOKS),
    )
