"""The settings of a search: defaults, then the TOML file, then --set, then the flags."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from nas.core.registry import check_score_name, reference_of
from nas.core.settings import Named, RunSettings, Section, Size, flat


class Training(Section):
    """How survivors are trained: see `nas.training.TrainingSettings`."""

    steps: int = Field(default=600, ge=1, description="optimiser steps of the last rung")
    rungs: int = Field(
        default=2, ge=1, description="stretches of training, each twice the one before"
    )
    reduction: int = Field(
        default=2, ge=2, description="of so many candidates one goes to the next rung"
    )
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1.2e-6, ge=0)
    clip: float = Field(default=0.25, ge=0)
    device: str = "auto"


Objective = Literal["loss", "parameters", "flops", "latency"]


class WarmStart(Section):
    """A search that opens with the best of many that were scored and not trained.

    Before the controller is asked for anything, `pool` architectures are drawn at random and
    screened. The `best` of them by `score` are the controller's first proposals: they train, it
    is told what came of them, and goes on from there. Whatever the controller, it is told losses
    (or the `objectives`): of `candidates`, which all train, `best` come from the pool and the
    others from the controller. `scores` are recorded and guide nobody but the `predictor`.
    """

    score: str
    pool: int = Field(default=1000, ge=1, description="architectures to draw and score")
    best: int = Field(default=10, ge=1, description="how many of them open the search")


class SearchConfig(RunSettings):
    """A whole search.

    objectives: what the controller is told, better when lower: `loss` (validation, at the end of
        the first rung), `parameters`, `flops`, `latency` (seconds, of the score of that name). Not
        given, it is told the first training-free score, or the loss where there is no score or
        there is a warm start. With several there is one rung, in which all candidates train.
    ranking: who survives, or opens a warm search: the best by the `first` score, or by the
        `rank-sum`: the sum of their ranks by all scores. A controller is told the first score.
    policy: file that a policy gradient begins with where it exists, and is written to at the end.
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
        """The score of a warm start comes first; latency is scored where it is an objective."""
        warm, objectives = data.get("warm_start"), data.get("objectives")
        given = data.get("scores", [] if warm else cls.model_fields["scores"].default)
        if not isinstance(given, list | tuple):
            return data  # an error of its own
        given = [score for score in given if score != "none"]
        first = [warm["score"]] if isinstance(warm, dict) and "score" in warm else []
        timed = isinstance(objectives, list | tuple) and "latency" in objectives
        scores = [*first, *given, *(["latency"] if timed else [])]
        return {**data, "scores": list(dict.fromkeys(scores))}

    @model_validator(mode="after")
    def _numbers_fit(self) -> "SearchConfig":
        if self.survivors > self.candidates:
            raise ValueError(
                f"survivors is {self.survivors}, more than the {self.candidates} candidates"
            )
        warm = self.warm_start
        if warm and warm.best > min(warm.pool, self.candidates):
            raise ValueError(
                f"warm_start.best is {warm.best}, more than the pool of {warm.pool} or the "
                f"{self.candidates} candidates"
            )
        if self.objectives and "loss" not in self.objectives:
            raise ValueError("objectives has no loss: it must be one of them")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives names one twice")
        return self

    def check(self) -> None:
        reference_of("spaces", self.space.name)
        reference_of("controllers", self.controller.name)
        reference_of("tasks", self.task.name)
        for score in self.scores:
            check_score_name(score)

    @property
    def told(self) -> tuple[Objective, ...]:
        """The objectives that the controller is told; none for the first score."""
        from_losses = bool(self.warm_start or not self.scores)
        return self.objectives or (("loss",) if from_losses else ())

    def identity(self) -> dict[str, Any]:
        kept = {"space", "scores", "task", "screen", "model", "training", "seed"}
        kept |= {"ranking", "objectives", "warm_start"}
        return flat(self.model_dump(mode="json", include=kept))
