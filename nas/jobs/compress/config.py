"""The settings of a compression."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from compress.names import Distillation
from nas.core.errors import BadInput
from nas.core.registry import reference_of, reference_to
from nas.core.settings import Named, RunSettings, Section, Size, flat
from nas.models.names import check_weights_file, read_name

LIMITS = (
    *("max_ms", "max_mb", "max_macs", "max_parameters"),
    *("target_compression", "least_accuracy"),
)
FOR_LIMITS = ("cost", "at_batch", "threads")  # settings of limits
Cost = Literal["parameters", "flops", "bytes", "milliseconds"]


class Distilling(Section):
    """How students learn: see `nas.training.TrainingSettings` and `compress.learning`.

    method: what students learn from the teacher's outputs: "mse" copies them, "kl" copies the
        probabilities that they give. temperature: softens these probabilities.
    guide: the teacher, or an untrained network of the same architecture.
    """

    steps: int = Field(default=320, ge=1, description="optimiser steps of the last rung")
    rungs: int = Field(default=3, ge=1, le=50, description="number of stages of training")
    reduction: int = Field(default=4, ge=2, description="one of this many students trains further")
    method: Distillation = "mse"
    temperature: float = Field(default=4.0, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0, description="initial; it falls to 0")
    noise: float = Field(default=0.0, ge=0, description="η of gradient noise")
    guide: Literal["none", "teacher", "untrained"] = "none"
    guidance: float = Field(default=0.1, gt=0, description="weight of a guide's alignment")
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=5.0, ge=0)
    device: str = "auto"


class CompressConfig(RunSettings):
    """A whole compression.

    teacher: a model of `nas ls`, a folder that `nas train --to` wrote, or package.module:function.
        The function returns the network; it is passed `classes` and `channels` if it names them.
        Weights that it gives the network are kept, unless the network only guesses.
    weights: the teacher's weights; without them it is trained for `teacher_steps`.
    task: by default the teacher's task, or digits if it has neither data nor weights.
    controller: what proposes students; `policy-gradient` if there is a `policy`.
    policy: file from which a policy gradient starts, if it exists; it is updated at the end.
    updates: number of the controller's updates. rollouts: students proposed in each update.
    pool: number of random students that are screened before any is trained, by how well they agree
        with the teacher on a batch of training data. The best `rollouts` are trained first.
    survivors: number of students that train beyond the first rung.
    cost: the cost of a student that is to be reduced.
    target_compression: factor by which that cost must be reduced.
    max_ms: limit on the measured milliseconds of a forward pass on the CPU, for `at_batch` examples
        and `threads` threads.
    max_mb: limit on the weights in megabytes of 1,000,000 bytes.
    max_macs: limit on the multiply-accumulate operations for one example.
    max_parameters: limit on the parameters. Students are made as large as all limits allow.
    least_accuracy: share of the teacher's validation accuracy that a student must keep.
    narrowest: least share of its width that a layer keeps; 1 only removes layers.
    resolve: folder of an earlier run whose students get a new target without a new search. Its
        settings apply, except for the limits; `run` is then RESOLVE/resolved/LIMITS by default.
    fit: package.module:function(model, steps) that trains a student in place of the distillation,
        see `nas.jobs.compress.fit`.
    programs: whether to write the student as programs and code that run without this project, and
        to check each, which takes some seconds; otherwise only its weights are written.
    inherit: students begin with the teacher's weights, not with fresh ones.
    cache: folder for the teacher's answers, which all runs share.
    """

    teacher: str = "resnet14"
    weights: Path | None = None
    teacher_steps: int = Field(
        default=400, ge=1, description="optimiser steps of a teacher that has no weights"
    )
    task: Named = Named(name="")
    size: Size = Size()
    controller: Named = Named(name="mcts")
    policy: Path | None = None
    updates: int = Field(default=8, ge=1)
    rollouts: int = Field(default=5, ge=1)
    pool: int = Field(default=0, ge=0)
    survivors: int = Field(default=8, ge=1)
    cost: Cost = "parameters"
    target_compression: float | None = Field(default=None, gt=1)
    max_ms: float | None = Field(default=None, gt=0)
    max_mb: float | None = Field(default=None, gt=0)
    max_macs: float | None = Field(default=None, gt=0)
    max_parameters: float | None = Field(default=None, gt=0)
    at_batch: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    least_accuracy: float | None = Field(default=None, gt=0, le=1)
    narrowest: float = Field(default=0.1, ge=0.1, le=1)
    inherit: bool = True
    programs: bool = True
    fit: str | None = None
    resolve: Path | None = None
    training: Distilling = Distilling()
    run: Path = Path("runs/compress")
    cache: Path = Path("runs/.cache")

    @field_validator("teacher", "fit", mode="before")
    @classmethod
    def _by_name(cls, given: Any, info: ValidationInfo) -> Any:
        return reference_to(given, info.field_name or "it")

    @model_validator(mode="before")
    @classmethod
    def _beside_the_resolved(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("resolve") or "run" in data:
            return data
        limits = [f"{name}={float(data[name]):g}" for name in LIMITS if data.get(name)]
        return {**data, "run": Path(data["resolve"]) / "resolved" / ",".join(limits)}

    @model_validator(mode="before")
    @classmethod
    def _learning_a_policy(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("policy") or "controller" in data:
            return data
        return {**data, "controller": "policy-gradient"}

    @model_validator(mode="after")
    def _pool_opens(self) -> "CompressConfig":
        if 0 < self.pool < self.rollouts:
            raise ValueError(
                f"pool is {self.pool}, fewer than the {self.rollouts} rollouts it opens"
            )
        return self

    def check(self) -> None:
        if self.resolve is not None:
            self._check_resolving()
            return
        read_name(self.teacher)
        reference_of("controllers", self.controller.name)
        if self.fit is not None and ":" not in self.fit:
            raise BadInput(
                f'fit "{self.fit}" names no function: write it as package.module:function'
            )
        if self.task.name:
            reference_of("tasks", self.task.name)
        if self.weights is not None:
            check_weights_file(self.weights)

    def new_target(self) -> dict[str, Any]:
        """Return the settings that `resolve` changes in those of the earlier run."""
        given = self.model_fields_set & set(FOR_LIMITS)
        return self.model_dump(include={*LIMITS, *given, "resolve", "run", "execution"})

    def _check_resolving(self) -> None:
        """Raise `BadInput` for a setting that is the earlier run's, or without a new target."""
        other = self.model_fields_set - {*LIMITS, *FOR_LIMITS, "resolve", "run", "execution"}
        if other:
            raise BadInput(
                f"--resolve takes all settings but the limits from {self.resolve}: "
                f"leave out {', '.join(sorted(other))}"
            )
        if not self.model_fields_set & set(LIMITS):
            raise BadInput("--resolve needs a new target: give one, such as --max-ms 2")

    def identity(self) -> dict[str, Any]:
        free = {
            "run",
            "execution",
            "storage",
            "cache",
            "updates",
            "controller",
            "policy",
            "programs",
        }
        return flat(self.model_dump(mode="json", exclude=free))
