"""The sweep job: how much a network can lose, as pure functions that workers run."""

import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, cast

import torch
from safetensors.torch import load
from torch import Tensor, nn

from compress.cycle import prune
from compress.dead_units import activation_rates
from compress.fixed_masks import FixedMasks
from compress.masks import Masks, Scope, refuse_empty_layers, sparsity
from compress.saliency import METHODS, Evidence
from compress.targets import parameters_of, targets_of
from nas.execution.executor import CandidateFailed, attempt
from nas.jobs.job import Screened
from nas.scores.size import count_flops, count_parameters
from nas.seeds import candidate_seed
from nas.speed import milliseconds
from nas.subject import Subject, weights_of
from nas.tasks.task import Batch, Measured, Task
from nas.training import Trained, TrainingSettings, evaluate, train_rung
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.space import ModelShape

LOSS_BATCHES = 4  # that gradients are taken on
EXAMPLES = 16  # that dead units are counted on


class Pruning(NamedTuple):
    """One row of a sweep: how, which weights, the share by activation, the level, the seed."""

    method: str
    what: str
    ap: float
    level: float
    seed: int


@dataclass(frozen=True)
class PruningGrid:
    """The space of a sweep: its decisions are the columns of its table."""

    subject: Subject
    methods: tuple[str, ...]
    what: tuple[str, ...]
    ap: tuple[float, ...]
    levels: tuple[float, ...]
    seeds: int

    name = "pruning"

    def decide(self, decisions: Decisions) -> Architecture:
        method = decisions.choose("method", self.methods)
        what = decisions.choose("what", self.what)
        ap = decisions.choose("ap", self.ap)
        level = decisions.choose("level", self.levels)
        seed = decisions.integer("seed", 0, self.seeds - 1)
        if ap > level:
            raise InvalidArchitecture(f"{ap} of the weights cannot be activated of {level}")
        return Architecture(self.name, Pruning(method, what, ap, level, seed))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """The network before it is pruned."""
        return self.subject.build(generator.initial_seed())


@dataclass(frozen=True)
class Base:
    """What is pruned for a seed.

    start: the weights before training, None where they are not known.
    validation, test: of the trained network.
    """

    weights: bytes
    start: bytes | None
    validation: Measured
    test: Measured


@dataclass(frozen=True)
class SweepJob:
    """Everything but the row that an evaluation depends on; sent once to the workers.

    bases: by the number of the seed.
    epochs, epoch_steps: of recovery.
    noise, density: of recovery, see `FixedMasks`.
    """

    space: PruningGrid
    subject: Subject
    task: Task
    training: TrainingSettings
    bases: Mapping[int, Base]
    epochs: int
    epoch_steps: int
    tolerance: float
    scope: Scope
    ap_relative: bool
    noise: float
    density: float | None
    seed: int

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Prune each and measure it right after."""
        torch.set_num_threads(1)
        return [attempt("prune", lambda row=row: self._screen(row)) for _, row in candidates]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Let a pruned network recover with its masks fixed."""
        torch.set_num_threads(1)
        return attempt("recover", lambda: self._recover(architecture))

    def pruned(self, row: Pruning) -> tuple[nn.Module, nn.Module, Masks]:
        """The network before, the network after, and the masks."""
        base = self.bases[row.seed]
        dense = self.subject.build(0)
        dense.load_state_dict(load(base.weights))
        model = deepcopy(dense)
        targets = targets_of(model, row.what)
        masks = prune(
            model.eval(),
            targets,
            METHODS[row.method],
            row.level,
            self._evidence(row),
            activating=row.ap,
            relative=self.ap_relative,
            scope=self.scope,
        )
        refuse_empty_layers(targets, masks)
        return dense.eval(), model, masks

    def _evidence(self, row: Pruning) -> Evidence:
        start = self.bases[row.seed].start
        seed = candidate_seed(self.seed, row.seed)
        batches = list(islice(self.task.training_batches(seed), LOSS_BATCHES))

        def losses(model: nn.Module) -> Iterator[Tensor]:
            for batch in batches:
                answers = model(batch.inputs, None, batch.lengths)[0]
                yield self.task.loss(answers, batch.targets)

        return Evidence(
            losses=losses,
            start=None if start is None else load(start),
            example=self._example().inputs,
            generator=torch.Generator().manual_seed(seed),
        )

    def _example(self) -> Batch:
        batch = self.task.score_batch(self.seed)
        return Batch(*(None if part is None else part[:1] for part in batch))  # type: ignore[arg-type]

    def _screen(self, architecture: Architecture) -> Screened:
        started = time.perf_counter()
        row = Pruning(*cast(tuple, architecture.spec))
        dense, model, masks = self.pruned(row)
        measured = evaluate(model, self.task, self.task.validation_batches())
        slow, fast = milliseconds((dense, model), self._example())
        measures = {
            "sparsity": sparsity(parameters_of(model, targets_of(model, row.what))),
            "metric_dense": self.bases[row.seed].validation.metric,
            "metric_before": measured.metric,
            "milliseconds_dense": slow,
            "milliseconds_sparse": fast,
            **self._dead(model),
        }
        flops = count_flops(model, self._example())
        kept = count_parameters(model) - sum(int((~mask).sum()) for mask in masks.values())
        scores = {"metric_before": measured.metric}
        return Screened(kept, flops, scores, time.perf_counter() - started, measures)

    def _dead(self, model: nn.Module) -> dict[str, float]:
        """Rates of dead units, over the steps that all the sequences have."""
        batch = self.task.score_batch(self.seed)
        inputs = batch.inputs[:EXAMPLES]
        if batch.lengths is not None:
            inputs = inputs[:, : int(batch.lengths[:EXAMPLES].min())]
        rates = activation_rates(model, inputs)
        if rates is None:
            return {}
        return {"dead": rates.total, "dead_static": rates.static, "dead_dynamic": rates.dynamic}

    def _recover(self, architecture: Architecture) -> Trained:
        started = time.perf_counter()
        row = Pruning(*cast(tuple, architecture.spec))
        _, model, masks = self.pruned(row)
        seed = candidate_seed(self.seed, row.seed)
        steps = max(1, self.epochs * self.epoch_steps)
        update = FixedMasks(masks, self.noise, seed, self.density, steps)
        trained: Trained | None = None
        recovery_epochs: dict[str, float] = {}
        losses = []
        for epoch in range(self.epochs + 1)[min(1, self.epochs) :]:
            trained = train_rung(
                model,
                self.task,
                self.training,
                seed,
                epoch * self.epoch_steps,
                trained.checkpoint if trained else None,
                update,
            )
            losses.append(trained.train_loss)
            if not recovery_epochs and self._is_recovered(row, trained):
                recovery_epochs["recovery_epochs"] = float(epoch)
        assert trained is not None
        return replace(
            trained,
            train_loss=sum(losses) / len(losses),
            measures={
                "metric_after": trained.validation.metric,
                "test_dense": self.bases[row.seed].test.metric,
                "test_after": evaluate(model, self.task, self.task.test_batches()).metric,
                **recovery_epochs,
            },
            seconds=time.perf_counter() - started,
        )

    def _is_recovered(self, row: Pruning, trained: Trained) -> bool:
        before, after = self.bases[row.seed].validation.metric, trained.validation.metric
        return cost(before, after, self.task.higher_is_better) <= self.tolerance


def cost(before: float, after: float, higher_is_better: bool) -> float:
    """What a metric lost: of an accuracy the difference, of a perplexity its share.

    >>> cost(0.75, 0.5, True), cost(8.0, 10.0, False)
    (0.25, 0.25)
    """
    return before - after if higher_is_better else after / before - 1


def base_of(
    subject: Subject, task: Task, training: TrainingSettings, seed: int, steps: int
) -> Base | CandidateFailed:
    """The network that is pruned, trained for so many steps; runs on a worker."""
    torch.set_num_threads(1)

    def made() -> Base:
        model = subject.build(seed)
        start = weights_of(model) if steps else None
        trained = train_rung(model, task, training, seed, steps)
        test = evaluate(model, task, task.test_batches())
        return Base(weights_of(model), start, trained.validation, test)

    return attempt("train", made)
