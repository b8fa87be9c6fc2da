"""The settings of a search."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from nas.core.registry import check_score_name, reference_of
from nas.core.settings import Named, RunSettings, Section, Size, flat


class Training(Section):
    """The training of survivors: see `nas.training.TrainingSettings`."""

    steps: int = Field(default=600, ge=1, description="optimiser steps of the last rung")
    rungs: int = Field(
        default=2, ge=1, le=50, description="stretches of training, each longer by the reduction"
    )
    reduction: int = Field(
        default=2, ge=2, description="one in this many candidates advances to the next rung"
    )
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1.2e-6, ge=0)
    clip: float = Field(default=0.25, ge=0)
    device: str = "auto"


Objective = Literal["loss", "parameters", "flops", "latency", "state_bytes", "step_latency"]


class WarmStart(Section):
    """A start from the best of many architectures that are scored but not trained.

    First `pool` architectures are drawn at random and screened. The `best` of them by `score`
    become the controller's first proposals: they train, the controller receives their results and
    continues from there. Every controller then optimises losses (or the `objectives`), and all
    `candidates` train: `best` come from the pool, the others from the controller. The `scores`
    are recorded but guide only the `predictor`.
    """

    score: str
    pool: int = Field(default=1000, ge=1, description="architectures to draw and score")
    best: int = Field(default=10, ge=1, description="how many of the pool open the search")


class SearchConfig(RunSettings):
    """All settings of a search.

    objectives: what the controller minimises: `loss` (validation, at the end of the first rung),
        `parameters`, `flops`, `latency` (seconds, from the score of that name), `state_bytes` (what
        a step carries for one sequence), `step_latency` (milliseconds of one step of one sequence).
        By default it optimises the first training-free score, or the loss if there is no score or
        there is a warm start. With several objectives, all candidates train in a single rung.
    ranking: how to choose survivors, or the candidates that open a warm search: by the `first`
        score, or by `rank-sum`, the sum of their ranks by all scores. The controller receives the
        first score in either case.
    policy: the policy file that the search starts from, if it exists, and updates at the end.
    """

    space: Named = Named(name="rnn-cell")
    controller: Named = Named(name="random")
    scores: tuple[str, ...] = ("gradient-norm", "hidden-covariance")
    task: Named = Named(name="python-text")
    ranking: Literal["first", "rank-sum"] = "first"
    objectives: tuple[Objective, ...] = ()
    warm_start: WarmStart | None = None
    policy: Path | None = None
    screen: Size | None = None
    model: Size = Size()
    training: Training = Training()
    candidates: int = Field(default=64, ge=1)
    survivors: int = Field(default=4, ge=1)
    run: Path = Path("runs/search")

    @model_validator(mode="before")
    @classmethod
    def _scores_that_are_needed(cls, data: Any) -> Any:
        """Put the score of a warm start first, and add latency if it is an objective."""
        if not isinstance(data, dict):
            return data
        warm, objectives = data.get("warm_start"), data.get("objectives")
        given = data.get("scores", [] if warm else cls.model_fields["scores"].default)
        if not isinstance(given, list | tuple):
            return data  # pydantic refuses it
        given = [score for score in given if score != "none"]
        first = [warm["score"]] if isinstance(warm, dict) and "score" in warm else []
        timed = isinstance(objectives, list | tuple) and "latency" in objectives
        scores = [*first, *given, *(["latency"] if timed else [])]
        if not all(isinstance(score, str) for score in scores):
            return {**data, "scores": scores}  # pydantic refuses it
        return {**data, "scores": list(dict.fromkeys(scores))}

    @model_validator(mode="after")
    def _numbers_fit(self) -> "SearchConfig":
        if self.survivors > self.candidates:
            raise ValueError(
                f"survivors ({self.survivors}) must not exceed candidates ({self.candidates})"
            )
        warm = self.warm_start
        if warm and warm.best > min(warm.pool, self.candidates):
            raise ValueError(
                f"warm_start.best ({warm.best}) must not exceed the pool ({warm.pool}) or the "
                f"candidates ({self.candidates})"
            )
        if self.objectives and "loss" not in self.objectives:
            raise ValueError("objectives must include loss")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives must not repeat a name")
        return self

    def check(self) -> None:
        reference_of("spaces", self.space.name)
        reference_of("controllers", self.controller.name)
        reference_of("tasks", self.task.name)
        for score in self.scores:
            check_score_name(score)

    @property
    def optimised(self) -> tuple[Objective, ...]:
        """The objectives that the controller optimises; empty if it optimises the first score."""
        from_losses = bool(self.warm_start or not self.scores)
        return self.objectives or (("loss",) if from_losses else ())

    def identity(self) -> dict[str, Any]:
        kept = {"space", "scores", "task", "screen", "model", "training", "seed"}
        kept |= {"ranking", "objectives", "warm_start"}
        return flat(self.model_dump(mode="json", include=kept))
