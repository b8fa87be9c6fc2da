"""What every task provides: data, loss, metric."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from search_spaces.space import DataShape

if TYPE_CHECKING:
    from torch import Tensor


class BadData(ValueError):
    """Data that no task can be made of; the message names the file and the remedy."""


class Batch(NamedTuple):
    """What a network reads, and what its answers are compared with.

    inputs: a tensor as the task's `DataShape` says; or several, as a tuple or a dictionary.
    targets: the right answers, class or token numbers `[B, T]` or `[B]` for instance; whatever
        the task's `loss` reads.
    lengths: `[B]` steps that count, None when all do.
    """

    inputs: Any
    targets: Any
    lengths: "Tensor | None" = None


class Measured(NamedTuple):
    """loss: the task's mean loss, cross-entropy in nats for instance. metric: the task's metric."""

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

    def loss(self, answers: Any, targets: Any) -> "Tensor":
        """The mean loss of a batch, a scalar."""
        ...

    def measure(self, answered: Iterable[tuple[Any, Any]]) -> Measured:
        """Loss and metric over pairs of answers and targets."""
        ...


def answers_classes(task: Task) -> bool:
    """Return whether the answers are logits of classes or tokens, as the task's metric says."""
    return task.metric in ("accuracy", "perplexity")


def guess(task: Task) -> float | None:
    """Return the metric of a network that only guesses; None if the task does not define it."""
    outputs = task.shape.outputs
    if task.metric == "r2":
        return 0.0
    if not answers_classes(task) or outputs < 2:
        return None
    return 1 / outputs if task.higher_is_better else float(outputs)
