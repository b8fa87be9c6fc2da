"""The interface of search spaces, and the shape of the models they build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

HOOKS = ("check", "graph", "properties")  # methods with defaults in `Space`


@dataclass(frozen=True, slots=True)
class DataShape:
    """The shape of a task's batches.

    kind: "tokens": integers `[B, T]`, below `inputs`; "features": floats `[B, T, inputs]`;
        "images": floats `[B, inputs channels, height, width]`; "other": anything else, such as
        several tensors, for which no space has models.
    inputs: the size of the vocabulary, the features per step, or the channels.
    outputs: the size of the answer: vocabulary or classes; 0 if the task does not say.
    every_step: whether there is an answer per step, `[B, T, outputs]`, or one per sequence,
        `[B, outputs]`.
    height, width: the size of images.
    masked: whether the inputs hide every step's answer, so models may read both sides.
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
    """The size and regularisation of a model.

    embedding, hidden, layers: sizes; a language model ties its last layer to the embedding.
    dropout, hidden_dropout, input_dropout, embedding_dropout, weight_drop: shares to drop from
        the last output, between layers, from the embedded input, of whole words, and of
        recurrent weights (Merity et al. 2018, https://arxiv.org/abs/1708.02182, section 4).
    activation_penalty, slowness_penalty: factors of AR and TAR (same paper, section 4.7).
    frozen_recurrent: whether recurrent weights keep their initial values, see `CompiledRNN`.
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
    """What a model is built from besides its architecture."""

    data: DataShape
    size: ModelSize = ModelSize()


@runtime_checkable
class SearchSpace(Protocol):
    """A search space. The base class `Space` has defaults for the last three methods.

    name: the name of the space, which its architectures carry.
    """

    @property
    def name(self) -> str: ...

    def decide(self, decisions: Decisions) -> Architecture:
        """Make all decisions and return the architecture they describe; pure and cheap.

        Raises `InvalidArchitecture` if they describe nothing that may be built.
        """
        ...

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        """Build the untrained model, with weights drawn from the generator.

        Call it as `model(inputs, state=None, lengths=None)`; it returns a
        `search_spaces.output.Output`.
        """
        ...

    def check(self, data: DataShape) -> None:
        """Raise `ValueError` for data that the space has no models for."""
        ...

    def graph(self, architecture: Architecture) -> "DiGraph | None":
        """Return the graph of an architecture for drawings; None if there is none.

        Nodes are numbers with `label`, `kind` (input, linear, activation, elementwise, …) and
        `state`: the number of the new state that a node becomes, or None.
        """
        ...

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        """Return numbers by name that are recorded with each candidate."""
        ...


class Space:
    """A base class with default hooks: accept any data, draw nothing, record nothing."""

    def check(self, data: DataShape) -> None:
        pass

    def graph(self, architecture: Architecture) -> "DiGraph | None":
        return None

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        return {}


@dataclass(frozen=True, slots=True)
class Completed:
    """A space that does not derive from `Space`, with its hooks added; see `completed`."""

    name: str
    decide: Callable[..., Architecture]
    build: Callable[..., "nn.Module"]
    check: Callable[..., None]
    graph: Callable[..., "DiGraph | None"]
    properties: Callable[..., Mapping[str, float]]


def completed(space: Any) -> SearchSpace:
    """Return the space, with the defaults of `Space` for any missing hooks."""
    if isinstance(space, SearchSpace):
        return space
    default = Space()
    return Completed(
        space.name,
        space.decide,
        space.build,
        *(getattr(space, hook, getattr(default, hook)) for hook in HOOKS),
    )
