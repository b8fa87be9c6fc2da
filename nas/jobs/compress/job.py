"""The compression job: what a student costs and keeps, as pure functions that workers run."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from compress.learning.guidance import guided
from compress.reward import SOFT_UPDATES, Constraint, constrained_reward
from compress.structure.student import student
from compress.timing import milliseconds
from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.seeds import candidate_seed
from nas.core.task import Batch, answers_classes
from nas.jobs.compress.config import Cost
from nas.jobs.compress.distilled import Distilled
from nas.jobs.compress.fit import find_fit
from nas.models.narrowed_files import network_of
from nas.models.source import ModelSource, weights_of
from nas.models.space import Answering
from nas.scores.size import count_flops, count_parameters
from nas.training import TrainingSettings, best_device, cooling, fit_rung, train_rung
from search_spaces.architecture import Architecture
from search_spaces.inputs import answer_of, first
from search_spaces.layer_removal.space import LayerRemovalSpace, student_of

OBJECTIVE = Objective("reward", higher_is_better=True)
TIMED = 16  # examples of a forward pass that is timed


@dataclass(frozen=True)
class StudentMaker:
    """Makes students of a teacher.

    example: inputs of the teacher, two examples or more.
    inherit: with the teacher's weights, else with fresh ones.
    """

    source: ModelSource
    example: Any
    inherit: bool = True

    def __call__(self, architecture: Architecture, generator: torch.Generator) -> nn.Module:
        described = student_of(architecture)
        teacher = self.source.build(0)
        fresh = None if self.inherit else generator
        smaller = student(
            network_of(teacher),
            self.example,
            described.removed,
            dict(described.widths),
            fresh=fresh,
        )
        return Answering(smaller) if isinstance(teacher, Answering) else smaller


@dataclass(frozen=True)
class CompressJob:
    """Everything but the student that an evaluation depends on; sent once to the workers.

    quality: the teacher's metric on the validation data.
    rollouts: students of one update of the controller.
    pool: students that are screened before any is trained; they have the first numbers.
    noise, guide, guidance: see `Distilling`.
    steps: of the last rung; the learning rate falls to 0 on the way there in a straight line.
    fit: the user's own training, see `find_fit`; None to distil.
    """

    space: LayerRemovalSpace
    source: ModelSource
    task: Distilled
    training: TrainingSettings
    cost: Cost
    constraint: Constraint
    quality: float
    rollouts: int
    pool: int
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

    def share(self, model: nn.Module) -> float:
        """What a student costs as a share of the teacher's cost."""
        return cost_share(self.cost, self.source.build(0), model, self._batch())

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
        share = self.share(model)
        if share >= 1:
            raise ValueError(f"the student is no smaller: {share:.3g} times the teacher")
        flops = count_flops(model, self._batch())
        scores = {"untrained-reward": self._untrained(model, share)} if self.pool else {}
        seconds = time.perf_counter() - started
        return Screened(count_parameters(model), flops, scores, seconds, {"cost": share})

    def _untrained(self, model: nn.Module, share: float) -> float:
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
        return constrained_reward(share, agreed, self.constraint, 0)

    def _train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained:
        model = self.student(number, architecture)
        seed = candidate_seed(self.seed, number)
        trained = self._distilled(model, seed, until, checkpoint)
        kept = self.task.kept(trained.validation.metric, self.quality)
        share = self.share(model.cpu().eval())
        # the constraint is soft only for the first rung, whose reward the controller is told
        updates = SOFT_UPDATES if checkpoint else max(0, number - self.pool) // self.rollouts
        worth = constrained_reward(share, kept, self.constraint, updates)
        return replace(
            trained,
            objective=worth,
            measures={"cost": share, "kept": kept},
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


def cost_share(cost: Cost, teacher: nn.Module, model: nn.Module, batch: Batch) -> float:
    """The cost of a model as a share of the teacher's."""
    if cost == "milliseconds":
        inputs = first(batch.inputs, TIMED)
        slow, fast = milliseconds((teacher.eval(), model.eval()), inputs)
        return fast / slow
    if cost == "flops":
        return count_flops(model.eval(), batch) / count_flops(teacher.eval(), batch)
    if cost == "bytes":
        return len(weights_of(model)) / len(weights_of(teacher))
    return count_parameters(model) / count_parameters(teacher)
