"""The search job: screens and trains candidates on workers."""

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import nn

from kernels.cell.layer import set_backend
from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.score import Score, ScoreFailed
from nas.core.seeds import candidate_seed
from nas.core.task import Batch, Task, set_measure
from nas.jobs.search.config import SECTIONS
from nas.jobs.search.tuning import settings_of
from nas.scores.size import count_flops, count_parameters
from nas.scores.step import STEP_MEASURES
from nas.training import TrainingSettings, evaluate_sets, train_rung
from search_spaces.architecture import Architecture
from search_spaces.space import ModelShape, ModelSize, SearchSpace


@dataclass(frozen=True)
class SearchJob:
    """Everything that an evaluation needs besides the candidate; sent once to each worker.

    screen_size: the size of models to score, which may be smaller than that of models to train.
    seed: the study's seed; a candidate's seed derives from it and the candidate's number.
    kernels: the backend of `kernels.cell.op` that runs recurrent cells, or "auto".
    measured: names in `STEP_MEASURES` to measure on the model that would be trained.
    """

    space: SearchSpace
    task: Task
    scores: tuple[Score, ...]
    screen_size: ModelSize
    train_size: ModelSize
    training: TrainingSettings
    seed: int
    kernels: str = "auto"
    measured: tuple[str, ...] = ()

    objective = Objective("validation loss", "nats")
    checkpoint_suffix = ".safetensors"

    @property
    def higher_is_better(self) -> bool:
        """The direction of what guides the search: the first score, or the loss without scores."""
        return self.scores[0].higher_is_better if self.scores else False

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Build and score each candidate in one thread."""
        torch.set_num_threads(1)
        return [self.tuned(given)._screen(number, given) for number, given in candidates]

    def tuned(self, architecture: Architecture) -> "SearchJob":
        """Return the job with the settings that the architecture carries.

        Raises `BadInput` for one that cannot be set.
        """
        if not architecture.settings:
            return self
        settings = settings_of(architecture, SECTIONS)
        train_size = replace(self.train_size, **settings["model"])
        same = self.screen_size == self.train_size
        return replace(
            self,
            training=replace(self.training, **settings["training"]),
            train_size=train_size,
            screen_size=train_size if same else self.screen_size,
        )

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Train one candidate until step `until`, from its last checkpoint, in one thread."""
        torch.set_num_threads(1)
        seed, job = candidate_seed(self.seed, number), self.tuned(architecture)
        model = attempt("build", lambda: job.build(architecture, job.train_size, seed))
        if isinstance(model, CandidateFailed):
            return model
        return attempt("train", lambda: job._train(model, seed, until, checkpoint))

    def build(self, architecture: Architecture, size: ModelSize, seed: int) -> nn.Module:
        """Return the untrained model of a size, with weights drawn from a seed."""
        torch.manual_seed(seed)  # for layers that initialise themselves
        generator = torch.Generator().manual_seed(seed)
        model = self.space.build(architecture, ModelShape(self.task.shape, size), generator)
        set_backend(model, self.kernels)
        return model

    def _train(self, model: nn.Module, seed: int, until: int, checkpoint: bytes | None) -> Trained:
        """Train, then measure the metric on the task's test sets."""
        trained = train_rung(model, self.task, self.training, seed, until, checkpoint)
        sets = evaluate_sets(model, self.task)
        return replace(trained, measures={set_measure(name): sets[name] for name in sets})

    def _screen(self, number: int, architecture: Architecture) -> Screened | CandidateFailed:
        started = time.perf_counter()
        seed = candidate_seed(self.seed, number)
        batch = self.task.score_batch(self.seed)

        def sizes() -> tuple[int, int]:
            model = self.build(architecture, self.train_size, seed).eval()
            return count_parameters(model), count_flops(model, batch)

        size = attempt("build", sizes)
        if isinstance(size, CandidateFailed):
            return size
        steps = attempt("measure", lambda: self._steps(architecture, batch, seed))
        if isinstance(steps, CandidateFailed):
            return steps
        scores = attempt("score", lambda: self._scores(architecture, batch, seed))
        if isinstance(scores, CandidateFailed):
            return scores
        measures = {**self.space.properties(architecture), **steps}
        return Screened(*size, scores, time.perf_counter() - started, measures)

    def _steps(self, architecture: Architecture, batch: Batch, seed: int) -> dict[str, float]:
        """Return what is measured of the trained size; raises `ScoreFailed` if it has no step."""
        if not self.measured:
            return {}
        model = self.build(architecture, self.train_size, seed).eval()
        return {name: STEP_MEASURES[name](model, batch.inputs) for name in self.measured}

    def _scores(self, architecture: Architecture, batch: Batch, seed: int) -> dict[str, float]:
        """Return all scores of one untrained model; raises `ScoreFailed` if one is not finite."""
        model = self.build(architecture, self.screen_size, seed).eval()
        values: dict[str, float] = {}
        for score in self.scores:
            values |= score(model, batch, torch.Generator().manual_seed(seed))
        for name, value in values.items():
            if not math.isfinite(value):
                raise ScoreFailed(f"{name} is not finite: {value}")
        return values
