"""The sweep job: how much a network can lose, as pure functions that workers run."""

import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from compress.names import CHANNELS
from compress.pruning.channel_masks import channel_masks, channels_left
from compress.pruning.cycle import prune
from compress.pruning.dead_units import activation_rates
from compress.pruning.fixed_masks import FixedMasks, copied, rewind
from compress.pruning.masks import Masks, apply_masks, counted_sparsity, refuse_empty_layers
from compress.pruning.saliency import METHODS, Evidence
from compress.pruning.schedule import SCHEDULES
from compress.pruning.targets import targets_of
from compress.structure.graph import Graph
from compress.structure.student import narrowed
from compress.timing import milliseconds
from kernels.cell.layer import read_what_is_left
from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.seeds import candidate_seed
from nas.core.task import Batch, Measured, Task
from nas.jobs.sweep.int8_rows import in_int8
from nas.jobs.sweep.pruning_grid import PruningGrid
from nas.jobs.sweep.rows import Pruning, cost
from nas.models.source import ModelSource, weights_of
from nas.scores.size import count_flops, count_parameters
from nas.training import TrainingSettings, evaluate, train_rung
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.torch_layers import compiled

LOSS_BATCHES = 4  # that gradients are taken on
EXAMPLES = 16  # that dead units are counted on


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
    train_epochs, epochs: before pruning and of recovery, of `epoch_steps` optimiser steps each.
    schedule, cycles: a key of `SCHEDULES`, and how often the network is pruned and trained.
    rewind: whether survivors are set back to their first weights before they are trained.
    noise, density: of recovery, see `FixedMasks`.
    int8: whether recovered networks are measured in int8, too.
    """

    space: PruningGrid
    source: ModelSource
    task: Task
    training: TrainingSettings
    bases: Mapping[int, Base]
    train_epochs: int
    epochs: int
    epoch_steps: int
    tolerance: float
    scope: str
    ap_relative: bool
    schedule: str
    cycles: int
    rewind: bool
    noise: float
    density: float | None
    int8: bool
    seed: int

    checkpoint_suffix = ".safetensors"

    @property
    def objective(self) -> Objective:
        """The metric after recovery; the loss ranks nothing in a sweep."""
        return Objective(f"{self.task.metric} after recovery", "", self.task.higher_is_better)

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

    def base_model(self, row: Pruning) -> nn.Module:
        """The network that is pruned, in evaluation mode."""
        model = self.source.build(0)
        model.load_state_dict(load(self.bases[row.seed].weights))
        return model.eval()

    def pruned(
        self,
        model: nn.Module,
        row: Pruning,
        level: float,
        evidence: Evidence,
        masks: Masks | None = None,
    ) -> Masks:
        """Prune the model to a level; raises `PrunedAway` when a layer is left nothing."""
        model.cpu().eval()
        if row.what == CHANNELS:
            found = channel_masks(model, *self._channels(model, level))
            apply_masks(model, found)
            return found
        targets = targets_of(model, row.what)
        masks = prune(
            model,
            targets,
            METHODS[row.method],
            level,
            evidence,
            masks=masks,
            activating=row.ap,
            relative=self.ap_relative,
            scope=self.scope,
        )
        refuse_empty_layers(targets, masks)
        return masks

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
        dense = self.base_model(row)
        model = deepcopy(dense)
        masks = self.pruned(model, row, row.level, self._evidence(row))
        measured = evaluate(model, self.task, self.task.validation_batches())
        example = self._example()
        smaller = self._smaller(model, row)
        slow, *fast = milliseconds((dense, model, smaller), example.inputs, None, example.lengths)
        measures = {
            "sparsity": counted_sparsity(model, row.what),
            "metric_dense": self.bases[row.seed].validation.metric,
            "metric_before": measured.metric,
            "milliseconds_dense": slow,
            "milliseconds_sparse": min(fast),
            **self._dead(model),
        }
        flops = count_flops(model, self._example())
        kept = count_parameters(model) - sum(int((~mask).sum()) for mask in masks.values())
        scores = {"metric_before": measured.metric}
        return Screened(kept, flops, scores, time.perf_counter() - started, measures)

    def _channels(self, model: nn.Module, level: float) -> tuple[Graph, np.ndarray]:
        return channels_left(model, self._example().inputs, level)

    def _smaller(self, model: nn.Module, row: Pruning) -> nn.Module:
        """The pruned network as what can run fastest: without the channels that nothing reads, or
        on compiled cells with their recurrent weights as lists."""
        if row.what == CHANNELS:
            return narrowed(model, *self._channels(model, row.level))
        listed = compiled(deepcopy(model))
        read_what_is_left(listed)
        return listed

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
        """Prune and train in cycles; what is measured is the last one's recovery."""
        started = time.perf_counter()
        row = Pruning(*cast(tuple, architecture.spec))
        model, evidence, masks = self.base_model(row), self._evidence(row), None
        first = evidence.start
        measures: dict[str, float] = {}
        trained = epochs = None
        for cycle, level in enumerate(SCHEDULES[self.schedule](row.level, self.cycles)):
            masks = self.pruned(model, row, level, evidence, masks)
            if cycle:
                before = evaluate(model, self.task, self.task.validation_batches())
                measures["metric_before"] = before.metric
            if self.rewind and first is not None:
                rewind(model, first, masks)
            evidence = replace(evidence, start=copied(model))
            trained, epochs = self._trained(model, masks, row, cycle)
        assert trained is not None
        measures |= {
            "metric_after": trained.validation.metric,
            "test_dense": self.bases[row.seed].test.metric,
            "test_after": evaluate(model, self.task, self.task.test_batches()).metric,
        }
        if self.int8:
            measures |= self._in_int8(model, row)
        if epochs is not None:
            measures["recovery_epochs"] = epochs
        return replace(
            trained,
            objective=trained.validation.metric,
            measures=measures,
            seconds=time.perf_counter() - started,
        )

    def _in_int8(self, model: nn.Module, row: Pruning) -> dict[str, float]:
        """Measure the network, without channels that were removed, in int8 in onnxruntime."""
        model = model.cpu().eval()
        if row.what == CHANNELS:
            model = self._smaller(model, row)
        return in_int8(model, self.task, self._example().inputs)

    def _trained(
        self, model: nn.Module, masks: Masks, row: Pruning, cycle: int
    ) -> tuple[Trained, int | None]:
        """The end of a cycle's training, and after how many epochs the network had recovered."""
        seed = candidate_seed(self.seed + cycle, row.seed)
        steps = max(1, self.epochs * self.epoch_steps)
        update = FixedMasks(masks, self.noise, seed, self.density, steps)
        before = self.bases[row.seed].validation.metric
        trained = recovery = None
        for epoch in range(min(1, self.epochs), self.epochs + 1):
            until, checkpoint = epoch * self.epoch_steps, trained and trained.checkpoint
            trained = train_rung(model, self.task, self.training, seed, until, checkpoint, update)
            after = trained.validation.metric
            lost = cost(before, after, self.task.higher_is_better)
            if recovery is None and lost <= self.tolerance:
                recovery = epoch
        assert trained is not None
        return trained, recovery


def base_of(
    source: ModelSource, task: Task, training: TrainingSettings, seed: int, steps: int
) -> Base | CandidateFailed:
    """The network that is pruned, trained for so many steps; runs on a worker."""
    torch.set_num_threads(1)

    def made() -> Base:
        model = source.build(seed)
        start = weights_of(model) if steps else None
        trained = train_rung(model, task, training, seed, steps)
        test = evaluate(model, task, task.test_batches())
        return Base(weights_of(model), start, trained.validation, test)

    return attempt("train", made)
