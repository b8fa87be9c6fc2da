"""The interface of tasks: data, loss, metric."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from search_spaces.space import DataShape

if TYPE_CHECKING:
    from torch import Tensor


class BadData(ValueError):
    """Raised for data that a task cannot use; the message names the file and the remedy."""


class Batch(NamedTuple):
    """A batch of inputs, and what the answers are compared with.

    inputs: a tensor as the task's `DataShape` describes; or several, as a tuple or a dictionary.
    targets: the right answers, class or token numbers `[B, T]` or `[B]` for instance; whatever
        the task's `loss` reads.
    lengths: `[B]`, the number of steps that count; None if all do.
    """

    inputs: Any
    targets: Any
    lengths: "Tensor | None" = None


class Measured(NamedTuple):
    """A measured mean loss, cross-entropy in nats for instance, and the task's metric."""

    loss: float
    metric: float


@runtime_checkable
class Task(Protocol):
    """Data, loss and metric. It holds only numpy arrays, which workers share without copies.

    metric: its name, for example "perplexity" or "accuracy".
    higher_is_better: whether a higher metric is better.
    carries_state: whether each training or validation batch continues the previous one.

    A task may also have `test_sets()`, see the function of that name.
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

    def loss(self, answers: Any, targets: Any) -> "Tensor":
        """Return the mean loss of a batch, a scalar."""
        ...

    def measure(self, answered: Iterable[tuple[Any, Any]]) -> Measured:
        """Return loss and metric over pairs of answers and targets."""
        ...


def test_sets(task: Task) -> Mapping[str, Iterable[Batch]]:
    """Return a task's further test data by name, such as "4x" for four times longer sequences.

    A task that has any returns them from a method `test_sets()`, in the order of a report's
    columns, the same batches at each call. Reports show a trained network's metric on each;
    nothing is chosen by them.
    """
    sets = getattr(task, "test_sets", None)
    return {} if sets is None else sets()


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


def set_measure(name: str) -> str:
    """Return the name by which a candidate's record has the metric on a test set."""
    return f"test set {name}"
