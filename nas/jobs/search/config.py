"""The settings of a search."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from nas.core.registry import check_score_name, reference_of
from nas.core.settings import Named, RunSettings, Section, Size, flat
from nas.jobs.search.tuning import Tuned, read_tuned
from nas.loop.constraints import SIZES, Constraint, read_constraint

SCORES: dict[str, tuple[str, ...]] = {  # that searches of a space use unless told otherwise
    **dict.fromkeys(("rnn-cell", "random-graph", "sequence-mixer"), ("hidden-covariance",)),
    "transformer": ("encoder-size",),
}
FOR_OTHER_SPACES = ("gradient-norm",)  # works for every network


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
    cooling: bool = Field(
        default=False, description="the learning rate falls in a straight line, to 0 at `steps`"
    )
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


SECTIONS: dict[str, type[Section]] = {"training": Training, "model": Size}  # with settings to tune


class SearchConfig(RunSettings):
    """All settings of a search.

    objectives: what the controller minimises: `loss` (validation, at the end of the first rung),
        `parameters`, `flops`, `latency` (seconds, from the score of that name), `state_bytes` (what
        a step carries for one sequence), `step_latency` (seconds of one step of one sequence).
        By default it optimises the first training-free score, or the loss if there is no score or
        there is a warm start. With several objectives, all candidates train in a single rung.
    scores: the training-free scores; by default those of the space, see `SCORES`. The first one
        ranks, the others are recorded.
    ranking: how to choose survivors, or the candidates that open a warm search: by the `first`
        score, or by `rank-sum`, the sum of their ranks by all scores. The controller receives the
        first score in either case.
    tune: settings that the search decides for each candidate, with their ranges, such as
        `training.learning_rate=1e-4:1e-1:log,prior=3e-3`. Candidates train with their own values.
    where: constraints on candidates, such as `parameters<=2e6`; what misses one does not train.
    policy: the policy file that the search starts from, if it exists, and updates at the end.
    """

    space: Named = Named(name="rnn-cell")
    controller: Named = Named(name="random")
    scores: tuple[str, ...] = ()
    task: Named = Named(name="python-text")
    ranking: Literal["first", "rank-sum"] = "first"
    objectives: tuple[Objective, ...] = ()
    tune: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
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
        """Put the score of a warm start first, and add latency if it is measured for a limit."""
        if not isinstance(data, dict):
            return data
        for key, mark in (("tune", None), ("where", ",")):
            if isinstance(data.get(key), str):
                data = {**data, key: data[key].split(mark) if mark else [data[key]]}
        warm, objectives = data.get("warm_start"), data.get("objectives")
        given = data.get("scores", [] if warm else _scores_of(data.get("space", "rnn-cell")))
        if not isinstance(given, list | tuple):
            return data  # pydantic refuses it
        given = [score for score in given if score != "none"]
        first = [warm["score"]] if isinstance(warm, dict) and "score" in warm else []
        limits = data.get("where")
        timed = isinstance(objectives, list | tuple) and "latency" in objectives
        timed |= isinstance(limits, list | tuple) and any(_is_of_latency(x) for x in limits)
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

    @model_validator(mode="after")
    def _can_be_tuned_and_limited(self) -> "SearchConfig":
        names = [tuned.name for tuned in self.tuned]
        if len(set(names)) < len(names):
            raise ValueError("tune must not repeat a setting")
        if self.tune and not self.optimised:
            raise ValueError(
                "tune needs a search guided by losses, because training-free scores do not depend "
                "on training: add --score none, --objectives loss or --warm-start SCORE"
            )
        known = [*SIZES, *(score.partition(",")[0] for score in self.scores)]
        for limit in self.constraints:
            if not any(limit.name == n or limit.name.startswith(f"{n}-") for n in known):
                raise ValueError(f'where: unknown "{limit.name}"; choose from {", ".join(known)}')
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
        guides = [
            s for s in self.scores if s != "latency" or not any(map(_is_of_latency, self.where))
        ]
        from_losses = bool(self.warm_start or not guides)
        return self.objectives or (("loss",) if from_losses else ())

    @property
    def tuned(self) -> tuple[Tuned, ...]:
        return tuple(read_tuned(text, SECTIONS) for text in self.tune)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return tuple(map(read_constraint, self.where))

    def identity(self) -> dict[str, Any]:
        kept = {"space", "scores", "task", "screen", "model", "training", "seed"}
        kept |= {"ranking", "objectives", "warm_start"}
        kept |= {name for name in ("tune", "where") if getattr(self, name)}  # older runs lack them
        return flat(self.model_dump(mode="json", include=kept))


def _is_of_latency(limit: object) -> bool:
    return isinstance(limit, str) and limit.strip().startswith("latency")


def _scores_of(space: Any) -> tuple[str, ...]:
    """Return the default scores of a space, which is given as for the setting `space`."""
    name = space.get("name") if isinstance(space, dict) else getattr(space, "name", space)
    return SCORES.get(str(name), FOR_OTHER_SPACES)
