"""The settings of a sweep."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from compress.names import PRUNING_METHODS, SCOPES, WHAT, read_pattern
from compress.pruning.schedule import SCHEDULES
from nas.core.registry import reference_of, reference_to
from nas.core.settings import Named, RunSettings, Section, Size
from nas.models.names import check_weights_file, read_name

MOST_LEVELS = 1000


class Recovery(Section):
    """The training of networks before and after pruning: see `TrainingSettings`."""

    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=5.0, ge=0)
    device: str = "auto"
    noise: float = Field(default=0.0, ge=0, description="η of the gradient noise during recovery")
    density: float | None = Field(
        default=None, gt=0, le=1, description="AR-Net's share of weights left, during recovery"
    )


class SweepConfig(RunSettings):
    """All settings of a sweep.

    model: TASK-CELL such as "reber-lstm", a checkpoint's folder, or package.module:function: see
        `find_model`. Weights that a function gives its network are kept, unless it only guesses.
    weights: a file of trained weights.
    task: by default, the one that the model's name starts with.
    levels: shares of the weights to remove.
    what: which weights to prune; by default "both" for recurrent models, "weights" for others.
    scope: which weights to rank together, see `remove_lowest`.
    schedule, cycles: how sparsity grows, and over how many cycles of pruning and training.
    rewind: whether each cycle resets the remaining weights to their first values.
    ap: shares of the weights left before a cycle that activating-while-pruning removes; 0 for
        none.
    ap_relative: measure movement relative to each tensor's scale; for models without ReLUs.
    train_epochs: epochs before pruning; by default 20 without trained weights, otherwise 0.
    epoch_steps: optimiser steps per epoch; by default one pass over the data.
    int8: whether to measure each pruned network in int8 too, which takes some seconds per row.
    programs: whether to write networks that lost channels, and the user's own, as programs and code
        that run without this project, which takes some seconds per row; otherwise only weights.
    tolerance: the largest loss that counts as recovered: a difference in accuracy, a share of
        perplexity.
    """

    model: str
    weights: Path | None = None
    task: Named = Named(name="")
    size: Size = Size(embedding=50, hidden=50, layers=3)
    levels: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95)
    methods: tuple[str, ...] = ("magnitude",)
    what: tuple[str, ...] = ()
    ap: tuple[float, ...] = (0.0,)
    ap_relative: bool = False
    scope: str = "global"
    schedule: str = "one-shot"
    cycles: int = Field(default=1, ge=1, le=1000)
    rewind: bool = False
    recover_epochs: int = Field(default=10, ge=0)
    train_epochs: int | None = Field(default=None, ge=0)
    epoch_steps: int | None = Field(default=None, ge=1)
    int8: bool = False
    programs: bool = True
    tolerance: float = Field(default=0.01, ge=0)
    training: Recovery = Recovery()
    seeds: int = Field(default=1, ge=1, le=1000)
    run: Path = Path("runs/sweep")

    @field_validator("model", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return reference_to(given, "model")

    @field_validator("levels", "ap", mode="before")
    @classmethod
    def _shares(cls, given: Any) -> Any:
        shares = read_shares(given) if isinstance(given, str) else given
        if isinstance(shares, int | float):
            shares = (shares,)
        if not isinstance(shares, list | tuple):
            return shares  # pydantic refuses it
        for share in shares:
            if isinstance(share, bool) or not isinstance(share, int | float):
                raise ValueError(f"{share!r} is not a share: use numbers from 0 to 1")
            if not 0 <= share <= 1:
                raise ValueError(f"{share:g} is not a share: use numbers from 0 to 1")
        return tuple(dict.fromkeys(shares))

    @field_validator("methods", "what", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return tuple(given.split(",")) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _known(self) -> "SweepConfig":
        for kind, names, known in (
            ("method", self.methods, PRUNING_METHODS),
            ("what", self.what, WHAT),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f'unknown {kind} "{name}"; choose {", ".join(known)}')
        if self.schedule not in SCHEDULES:
            raise ValueError(f'unknown schedule "{self.schedule}"; choose {", ".join(SCHEDULES)}')
        if not self.levels or not self.methods or not self.ap:
            raise ValueError("levels, methods and ap each need at least one value")
        SCHEDULES[self.schedule](max(self.levels), self.cycles)
        if self.scope not in SCOPES:
            self._check_pattern(read_pattern(self.scope))
        if min(self.ap) > max(self.levels):
            raise ValueError(
                f"ap {min(self.ap):g} must not exceed the highest level, {max(self.levels):g}"
            )
        return self

    def _check_pattern(self, pattern: tuple[int, ...]) -> None:
        if any(self.ap):
            raise ValueError(
                f"ap removes single weights, scope {self.scope} a pattern: use only one of them"
            )
        size = pattern[0]
        uneven = [level for level in self.levels if round(level * size, 6) % 1]
        if len(pattern) == 1 and uneven:
            shares = ", ".join(f"{i / size:g}" for i in range(1, size))
            raise ValueError(f"--scope {size} allows only the levels {shares}, not {uneven[0]:g}")

    def check(self) -> None:
        read_name(self.model)
        if self.task.name:
            reference_of("tasks", self.task.name)
        if self.weights is not None:
            check_weights_file(self.weights)

    def identity(self) -> dict[str, Any]:
        return {name: value for name, value in super().identity().items() if name != "programs"}


def read_shares(text: str) -> tuple[float, ...]:
    """Read numbers from a comma-separated list or from a range that includes its end.

    >>> read_shares("0.1:0.4:0.1"), read_shares("0.5,0.9")
    ((0.1, 0.2, 0.3, 0.4), (0.5, 0.9))
    """
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f'cannot read "{text}": write a list such as 0.5,0.9 or a range such as 0.1:0.9:0.1'
        ) from None
    if not step > 0 or not last >= first:
        raise ValueError(f"the range {text} is empty: write first:last:step, with step above 0")
    steps = (last - first) / step
    if not steps < MOST_LEVELS:
        raise ValueError(f"the range {text} has more than {MOST_LEVELS} values: use a larger step")
    return tuple(round(first + i * step, 10) for i in range(int(steps + 1e-6) + 1))
