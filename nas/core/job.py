"""The interface of jobs: a space, and methods that measure a candidate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nas.core.executor import CandidateFailed
from nas.core.task import Measured
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Objective:
    """The number by which a job ranks trained candidates.

    name: as tables, TensorBoard and Optuna show it, for example "validation loss" or "reward".
    unit: for example "nats" or "layer calls"; "" for a number without a unit.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = False

    def cost(self, value: float) -> float:
        """Return the value, negated if higher is better, so that a lower cost is always better."""
        return -value if self.higher_is_better else value


@dataclass(frozen=True, slots=True)
class Screened:
    """What screening found out about a candidate, without training it.

    parameters, flops: the size and cost of the model that would be trained.
    scores: finite values by name; the first one guides the search.
    measures: other measurements, by name.
    """

    parameters: int
    flops: int
    scores: dict[str, float]
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of one stretch of training.

    objective: the job's objective at the end of the stretch.
    validation: the task's loss and metric on the validation data.
    checkpoint: the trained state in the job's format; training and exports continue from it.
    seconds: training time, including validation.
    train_loss: the mean over the stretch; None for a job without a training loss.
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
    """Screens and trains candidates. Each worker receives it once; its methods keep no state.

    checkpoint_suffix: the file name suffix of its checkpoints, ".safetensors" or ".json".
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
        """Measure candidates, given with their numbers, without training them."""
        ...

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Train one candidate until step `until`, starting from its checkpoint if it has one."""
        ...
