"""What every task provides: data, loss, metric."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from search_spaces.space import DataShape

if TYPE_CHECKING:
    from torch import Tensor


class BadData(ValueError):
    """Data that no task can be made of; the message names the file and the remedy."""


class Batch(NamedTuple):
    """Inputs as the task's `DataShape` says.

    targets: the right answers as class or token numbers, `[B, T]` or `[B]`.
    lengths: `[B]` steps that count, None when all do.
    """

    inputs: "Tensor"
    targets: "Tensor"
    lengths: "Tensor | None" = None


class Measured(NamedTuple):
    """loss: mean cross-entropy in nats an answer. metric: the task's metric."""

    loss: float
    metric: float


@runtime_checkable
class Task(Protocol):
    """Data, loss and metric. Holds numpy arrays only, so that it is shared without copies.

    metric: "perplexity" or "accuracy", say.
    higher_is_better: of the metric.
    carries_state: a training or validation batch goes on where the one before it ended.
    """

    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def carries_state(self) -> bool: ...

    @property
    def shape(self) -> DataShape: ...

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Endless, and the same for the same seed."""
        ...

    def validation_batches(self) -> Iterator[Batch]: ...

    def test_batches(self) -> Iterator[Batch]:
        """Touched once, at the end."""
        ...

    def score_batch(self, seed: int) -> Batch:
        """The batch that training-free scores look at; of the training data."""
        ...

    def loss(self, answers: "Tensor", targets: "Tensor") -> "Tensor":
        """The mean loss of a batch, a scalar."""
        ...

    def measure(self, answered: "Iterable[tuple[Tensor, Tensor]]") -> Measured:
        """Loss and metric over pairs of answers and targets."""
        ...
