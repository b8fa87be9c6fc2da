"""The interface of tasks: data, loss, metric."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from search_spaces.space import DataShape

if TYPE_CHECKING:
    from torch import Tensor


class BadData(ValueError):
    """Raised for data that a task cannot use; the message names the file and the remedy."""


class Batch(NamedTuple):
    """A batch of inputs, in the form that the task's `DataShape` describes, and their answers.

    targets: the right answers as class or token numbers, `[B, T]` or `[B]`.
    lengths: `[B]`, the number of steps that count; None if all do.
    """

    inputs: "Tensor"
    targets: "Tensor"
    lengths: "Tensor | None" = None


class Measured(NamedTuple):
    """A measured loss (mean cross-entropy in nats per answer) and the task's metric."""

    loss: float
    metric: float


@runtime_checkable
class Task(Protocol):
    """Data, loss and metric. It holds only numpy arrays, which workers share without copies.

    metric: its name, for example "perplexity" or "accuracy".
    higher_is_better: whether a higher metric is better.
    carries_state: whether each training or validation batch continues the previous one.
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
        """Yield batches without end, the same ones for the same seed."""
        ...

    def validation_batches(self) -> Iterator[Batch]: ...

    def test_batches(self) -> Iterator[Batch]:
        """Yield the test data, which is used once, at the end."""
        ...

    def score_batch(self, seed: int) -> Batch:
        """Return the batch of training data that training-free scores use."""
        ...

    def loss(self, answers: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the mean loss of a batch, a scalar."""
        ...

    def measure(self, answered: "Iterable[tuple[Tensor, Tensor]]") -> Measured:
        """Return loss and metric over pairs of answers and targets."""
        ...
