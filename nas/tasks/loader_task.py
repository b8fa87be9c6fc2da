"""A task of your own, made of loaders and a goal."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import count
from typing import Any

from torch import Tensor

from nas.core.errors import BadInput
from nas.core.task import Batch, Measured
from nas.tasks.goals import Function, Functions, Goal
from nas.tasks.loaders import as_tensors, check_loader, inputs_and_targets, one_pass
from nas.tasks.named_goals import GOALS
from search_spaces.space import DataShape

Loader = Iterable[Any]


class LoaderTask:
    """Data of loaders, and a goal: one by name, or a loss and a metric of your own.

    goal: "classification", "sequence-labels", "language-model", "regression", "multi-label" or
        "embedding", whose options follow by name: see `nas.tasks.goals`. Or a function
        `loss(outputs, batch)` of what the network returns and what the loader yielded; it returns
        a tensor of one number.
    train, valid, test: iterables of batches that can be iterated again and again, a `DataLoader`
        or a list. Without `test`, the validation data are tested on.
    metric: the name of a metric of the goal; or a function `metric(outputs, batch)` that returns a
        number, with `higher_is_better`. Without one the loss is the metric.
    outputs, inputs: number of classes and of channels (or tokens), which searches and functions
        that take `classes` or `channels` need. They are found from the data, except for the number
        of tokens, and of the outputs where the loss is your own.
    split: a function that takes a batch apart, see `inputs_and_targets`.

    A network is called as `model(x)`, `model(a, b)` or `model(**named)`, as its inputs are. It may
    return a tensor, a tuple, or a dictionary: distillation and named goals look at `logits` if
    there are any, and else at the first tensor.

    The order of a shuffled loader follows the seed, as do augmentations that draw from torch,
    numpy or `random`. Workers are sent the task: keep the data in memory, and `loss`, `metric` and
    the dataset's class at the top of a module.

        def task():
            train, valid = DataLoader(TRAIN, 64, shuffle=True), DataLoader(VALID, 256)
            return LoaderTask("regression", train, valid, metric="r2")

    Then `nas compress --teacher mine:network --task mine:task`.
    Raises `BadInput` for a loader that yields nothing, and for a goal or option that is unknown.
    """

    carries_state = False

    def __init__(
        self,
        goal: str | Function,
        train: Loader,
        valid: Loader,
        test: Loader | None = None,
        *,
        metric: str | Function | None = None,
        higher_is_better: bool | None = None,
        name: str = "",
        outputs: int = 0,
        inputs: int = 0,
        split: Callable[[Any], tuple[Any, Any]] = inputs_and_targets,
        **options: Any,
    ) -> None:
        self.goal = _goal(goal, metric, higher_is_better, options)
        self.name = name or (goal if isinstance(goal, str) else goal.__name__)
        self.loaders = {"train": train, "valid": valid, "test": valid if test is None else test}
        self.outputs, self.inputs, self.split = outputs, inputs, split
        for part, loader in self.loaders.items():
            check_loader(part, loader)

    @property
    def metric(self) -> str:
        return self.goal.metric

    @property
    def higher_is_better(self) -> bool:
        return self.goal.higher_is_better

    @cached_property
    def shape(self) -> DataShape:
        batch = self.score_batch(0)
        outputs = self.outputs or self.goal.outputs(b.targets for b in self.validation_batches())
        return _shape(batch.inputs, self.inputs, outputs, self.goal.is_every_step(batch.targets))

    @cached_property
    def epoch_steps(self) -> int:
        """The batches of one pass through the training data."""
        train = self.loaders["train"]
        return len(train) if hasattr(train, "__len__") else sum(1 for _ in one_pass(train, [0]))  # type: ignore[arg-type]

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Yield the batches of one pass after another, endlessly."""
        for epoch in count():
            yield from self._batches("train", [seed, epoch])

    def validation_batches(self) -> Iterator[Batch]:
        return self._batches("valid", [0])

    def test_batches(self) -> Iterator[Batch]:
        return self._batches("test", [0])

    def score_batch(self, seed: int) -> Batch:
        """Return the first training batch."""
        return next(self.training_batches(seed))

    def loss(self, answers: Any, targets: Any) -> Tensor:
        return self.goal.loss(answers, targets)

    def measure(self, answered: Iterable[tuple[Any, Any]]) -> Measured:
        return self.goal.measure(answered)

    def _batches(self, part: str, seed: list[int]) -> Iterator[Batch]:
        for given in one_pass(self.loaders[part], seed):
            batch = as_tensors(given)
            inputs, targets = self.split(batch)
            yield Batch(inputs, self.goal.targets(inputs, targets, batch))


def _goal(
    goal: str | Function,
    metric: str | Function | None,
    higher_is_better: bool | None,
    options: dict[str, Any],
) -> Goal:
    if callable(goal):
        if isinstance(metric, str) or options:
            raise BadInput(
                f"{metric or next(iter(options))} is an option of a named goal: with a loss of "
                "your own pass metric as a function"
            )
        if metric is None:
            return Functions(goal, None, False)
        return Functions(goal, metric, True if higher_is_better is None else higher_is_better)
    if goal not in GOALS:
        raise BadInput(f'unknown goal "{goal}": available are {", ".join(GOALS)}; or pass a loss')
    if callable(metric) or higher_is_better is not None:
        raise BadInput(f"{goal} has metrics of its own: for yours, pass a loss as the goal")
    return _named_goal(goal, options if metric is None else {"metric": metric, **options})


def _named_goal(name: str, options: dict[str, Any]) -> Goal:
    make, metrics = GOALS[name]
    options.setdefault("metric", metrics[0])
    if options["metric"] not in metrics:
        raise BadInput(f'{name} has no metric "{options["metric"]}": it has {", ".join(metrics)}')
    try:
        return make(**options)
    except TypeError as error:
        raise BadInput(f"{name}: {error}") from None


def _shape(read: Any, inputs: int, outputs: int, every_step: bool) -> DataShape:
    if not isinstance(read, Tensor) or read.dim() not in (2, 3, 4):
        return DataShape("other", inputs, outputs, every_step)
    if read.dim() == 4:
        _, channels, height, width = read.shape
        return DataShape("images", channels, outputs, every_step, height, width)
    if read.dim() == 3:
        return DataShape("features", inputs or read.shape[2], outputs, every_step)
    if read.is_floating_point():
        return DataShape("other", inputs or read.shape[1], outputs, every_step)
    return DataShape("tokens", inputs or outputs, outputs, every_step)
