"""What a job gives the driver: a space, and functions that measure a candidate of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nas.core.executor import CandidateFailed
from nas.core.task import Measured
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Objective:
    """The number that a job ranks trained candidates by.

    name: as tables, TensorBoard and Optuna show it, "validation loss" or "reward" for instance.
    unit: "nats" or "layer calls" for instance; "" for a number without a unit.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = False

    def cost(self, value: float) -> float:
        """The value with its sign changed if higher is better: lower costs are always better."""
        return -value if self.higher_is_better else value


@dataclass(frozen=True, slots=True)
class Screened:
    """What is known of a candidate without training it.

    parameters, flops: of the model that would be trained.
    scores: by name; the first one guides the search; all are finite.
    measures: other measurements, by name.
    """

    parameters: int
    flops: int
    scores: dict[str, float]
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """What one stretch of training yields.

    objective: the job's objective at the end of the stretch.
    validation: the task's loss and metric on the validation data.
    checkpoint: what training continues from and exports are made of, in the job's format.
    seconds: including validation.
    train_loss: mean over the stretch; None for a job without a training loss.
    measures: other measurements of the trained model, by name.
    """

    step: int
    objective: float
    validation: Measured
    checkpoint: bytes
    seconds: float
    train_loss: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


class Job(Protocol):
    """Sent to every worker once; its methods depend on nothing but their arguments.

    checkpoint_suffix: file name ending of its checkpoints, ".safetensors" or ".json".
    """

    @property
    def space(self) -> SearchSpace: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def checkpoint_suffix(self) -> str: ...

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Judge candidates, given by number, without training them."""
        ...

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Train one candidate up to step `until`, from its checkpoint if it has one."""
        ...
