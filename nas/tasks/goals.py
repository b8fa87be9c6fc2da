"""What networks are trained for: a loss, a metric, and how answers and targets are compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from nas.core.errors import BadInput
from nas.core.task import Measured
from nas.tasks.sums import Means
from search_spaces.inputs import count

Function = Callable[[Any, Any], Any]
Answered = Iterable[tuple[Any, Any]]


class Goal(Protocol):
    """What `LoaderTask` needs of a goal. Answers are whatever the network returns."""

    @property
    def metric(self) -> str: ...

    @property
    def higher_is_better(self) -> bool: ...

    def targets(self, inputs: Any, targets: Any, batch: Any) -> Any:
        """Return what `loss` and `measure` read besides the answers."""
        ...

    def outputs(self, targets: Iterable[Any]) -> int:
        """Return the size of an answer, 0 if the targets do not tell."""
        ...

    def is_every_step(self, targets: Any) -> bool: ...

    def loss(self, answers: Any, targets: Any) -> Tensor: ...

    def measure(self, answered: Answered) -> Measured: ...


@dataclass(frozen=True)
class Functions:
    """A loss and a metric of the user, both of what the network returns and the loader's batch.

    The metric of a part of the data is the mean over its batches, weighted by their examples.
    """

    loss_function: Function
    metric_function: Function | None
    higher_is_better: bool

    @property
    def metric(self) -> str:
        return _name(self.metric_function) if self.metric_function else "loss"

    def targets(self, inputs: Any, targets: Any, batch: Any) -> Any:
        return batch

    def outputs(self, targets: Iterable[Any]) -> int:
        return 0

    def is_every_step(self, targets: Any) -> bool:
        return False

    def loss(self, answers: Any, targets: Any) -> Tensor:
        loss = self.loss_function(answers, targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise BadInput(
                f'loss "{_name(self.loss_function)}" returned {described(loss)}: '
                "return a tensor of one number, as .mean() does"
            )
        return loss.reshape(())

    def measure(self, answered: Answered) -> Measured:
        means = Means()
        for answers, batch in answered:
            loss = self.loss(answers, batch)
            means.add(count(batch), loss, self._metric(answers, batch, loss))
        return Measured(*means.values())

    def _metric(self, answers: Any, batch: Any, loss: Tensor) -> float:
        if self.metric_function is None:
            return float(loss)
        value = self.metric_function(answers, batch)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(
                f'metric "{self.metric}" returned {described(value)}: return one number'
            ) from None


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__}"
