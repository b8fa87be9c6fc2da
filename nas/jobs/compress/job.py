"""The compression job: what a student costs and keeps, as pure functions that workers run."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from compress.learning.guidance import guided
from compress.limits import Limits, limited_reward
from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.seeds import candidate_seed
from nas.core.task import Batch, answers_classes
from nas.jobs.compress.config import Cost
from nas.jobs.compress.costs import Costs, Meter
from nas.jobs.compress.distilled import Distilled
from nas.jobs.compress.fit import find_fit
from nas.loop.candidate import Candidate
from nas.models.narrowed_files import network_of
from nas.models.source import ModelSource
from nas.scores.size import count_flops, count_parameters
from nas.training import TrainingSettings, best_device, cooling, fit_rung, train_rung
from search_spaces.architecture import Architecture
from search_spaces.inputs import answer_of
from search_spaces.layer_removal.space import LayerRemovalSpace

OBJECTIVE = Objective("reward", higher_is_better=True)


@dataclass(frozen=True)
class CompressJob:
    """Everything but the student that an evaluation depends on; sent once to the workers.

    cost: what of a student is to become smaller. meter: measures what students cost.
    quality: the teacher's metric on the validation data.
    has_pool: whether students are screened before any is trained.
    noise, guide, guidance: see `Distilling`.
    steps: of the last rung; the learning rate falls to 0 on the way there in a straight line.
    fit: the user's own training, see `find_fit`; None to distil.
    """

    space: LayerRemovalSpace
    source: ModelSource
    task: Distilled
    training: TrainingSettings
    cost: Cost
    limits: Limits
    meter: Meter
    quality: float
    has_pool: bool
    steps: int
    noise: float
    guide: Literal["none", "teacher", "untrained"]
    guidance: float
    seed: int
    fit: str | None = None

    objective = OBJECTIVE
    checkpoint_suffix = ".safetensors"

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Build each student and say what it costs as a share of the teacher's; and what it is
        worth before it is trained, where there is a pool."""
        torch.set_num_threads(1)
        return [
            attempt("build", lambda n=n, a=a: self._screen(n, a))  # type: ignore[misc]
            for n, a in candidates
        ]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Distil a student up to step `until`."""
        torch.set_num_threads(1)
        return attempt("train", lambda: self._train(number, architecture, until, checkpoint))

    def student(self, number: int, architecture: Architecture) -> nn.Module:
        """The student of a number before it is trained."""
        generator = torch.Generator().manual_seed(candidate_seed(self.seed, number))
        return self.space.make(architecture, generator)

    def costs(self, model: nn.Module, rounds: int = 1) -> dict[str, float]:
        """Return what a student costs, measured next to the teacher; see `Meter.costs`."""
        return self.meter.costs(model.eval(), self.source.build(0).eval(), rounds)

    def share(self, costs: Costs) -> float:
        """What a student costs as a share of the teacher's cost."""
        return costs[self.cost] / self.meter.teacher[self.cost]

    def _batch(self) -> Batch:
        return self.task.score_batch(self.seed)

    def _guided(self, model: nn.Module) -> AbstractContextManager[None]:
        if self.guide == "none":
            return nullcontext()
        source = self.source if self.guide == "teacher" else replace(self.source, weights=None)
        device = best_device() if self.training.device == "auto" else self.training.device
        return guided(model, source.build(self.seed).to(device), self.guidance)

    def _screen(self, number: int, architecture: Architecture) -> Screened:
        started = time.perf_counter()
        model = self.student(number, architecture).eval()
        costs = self.costs(model)
        share = self.share(costs)
        if share >= 1:
            raise ValueError(f"the student is no smaller: {share:.3g} times the teacher")
        flops = count_flops(model, self._batch())
        scores = {"untrained-reward": self._untrained(model, costs)} if self.has_pool else {}
        seconds = time.perf_counter() - started
        return Screened(count_parameters(model), flops, scores, seconds, self._measures(costs))

    def _measures(self, costs: Costs) -> dict[str, float]:
        measured = {name: costs[name] for name in ("bytes", "milliseconds")}
        return {"cost": self.share(costs), "macs": costs["flops"] / 2, **measured}

    def _untrained(self, model: nn.Module, costs: Costs) -> float:
        """Return the reward of a student on a batch on which the teacher is always right.

        Answers without classes agree as far as their cosine says. Norms take the student's own
        statistics: those that were inherited are of wider layers.
        """
        inputs, _, lengths = self._batch()
        with torch.no_grad():
            teacher = answer_of(self.source.build(0).eval()(inputs, None, lengths).answers)
            own = answer_of(model.train()(inputs, None, lengths).answers)
        if answers_classes(self.task):
            agreed = float((own.argmax(-1) == teacher.argmax(-1)).float().mean())
        else:
            pairs = own.flatten(1), teacher.flatten(1)
            agreed = max(0.0, float(functional.cosine_similarity(*pairs).mean()))
        return limited_reward(self.share(costs), agreed, self.limits, costs, None)

    def _train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained:
        model = self.student(number, architecture)
        seed = candidate_seed(self.seed, number)
        trained = self._distilled(model, seed, until, checkpoint)
        kept = self.task.kept(trained.validation.metric, self.quality)
        costs = self.costs(model.cpu())
        return replace(
            trained,
            objective=limited_reward(self.share(costs), kept, self.limits, costs, kept),
            measures={**self._measures(costs), "kept": kept},
        )

    def _distilled(
        self, model: nn.Module, seed: int, until: int, checkpoint: bytes | None
    ) -> Trained:
        if self.fit is not None:
            fit = partial(find_fit(self.fit), network_of(model))
            return fit_rung(model, self.task, fit, seed, until, checkpoint)
        update = cooling(self.training.learning_rate, self.steps, self.noise, seed)
        with self._guided(model):
            return train_rung(model, self.task, self.training, seed, until, checkpoint, update)


def recorded(candidate: Candidate) -> dict[str, float]:
    """Return what a trained student cost when it was last measured."""
    assert candidate.parameters is not None
    measured = {name: candidate.measures[name] for name in ("bytes", "milliseconds")}
    flops = 2 * candidate.measures["macs"]
    return {"parameters": candidate.parameters, "flops": flops, **measured}
