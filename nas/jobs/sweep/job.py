"""The sweep job: prunes a network, measures it and retrains it on workers."""

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
from compress.structure.narrow import narrowed
from compress.timing import milliseconds
from kernels.cell.layer import layers_on_cells, read_what_is_left
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
from search_spaces.inputs import first
from search_spaces.rnn_cell.torch_layers import compiled

LOSS_BATCHES = 4  # batches for the gradients of pruning methods
EXAMPLES = 16  # examples for counting dead units


@dataclass(frozen=True)
class Base:
    """The network that a seed prunes.

    start: the weights before training; None if unknown.
    validation, test: measurements of the trained network.
    """

    weights: bytes
    start: bytes | None
    validation: Measured
    test: Measured


@dataclass(frozen=True)
class SweepJob:
    """Everything that an evaluation needs besides the row; sent once to each worker.

    bases: the networks to prune, by seed number.
    train_epochs, epochs: epochs before pruning and of recovery, of `epoch_steps` steps each.
    schedule, cycles: a key of `SCHEDULES`, and the number of cycles of pruning and training.
    rewind: whether each cycle resets the remaining weights to their first values.
    noise, density: settings of recovery, see `FixedMasks`.
    int8: whether to measure recovered networks in int8 too.
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
        """The metric after recovery; a sweep does not rank by loss."""
        return Objective(f"{self.task.metric} after recovery", "", self.task.higher_is_better)

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Prune each row's network and measure it before recovery."""
        torch.set_num_threads(1)
        return [attempt("prune", lambda row=row: self._screen(row)) for _, row in candidates]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Retrain a pruned network with its masks fixed."""
        torch.set_num_threads(1)
        return attempt("recover", lambda: self._recover(architecture))

    def base_model(self, row: Pruning) -> nn.Module:
        """Return the network to prune, in evaluation mode."""
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
        """Prune the model to a level; raises `PrunedAway` if a layer would lose every weight."""
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
        return Batch(*first(batch, 1))

    def _screen(self, architecture: Architecture) -> Screened:
        started = time.perf_counter()
        row = Pruning(*cast(tuple, architecture.spec))
        dense = self.base_model(row)
        model = deepcopy(dense)
        masks = self.pruned(model, row, row.level, self._evidence(row))
        measured = evaluate(model, self.task, self.task.validation_batches())
        measures = {
            "sparsity": counted_sparsity(model, row.what),
            "metric_dense": self.bases[row.seed].validation.metric,
            "metric_before": measured.metric,
            **self._milliseconds(dense, model, row),
            **self._dead(model),
        }
        flops = count_flops(model, self._example())
        kept = count_parameters(model) - sum(int((~mask).sum()) for mask in masks.values())
        scores = {"metric_before": measured.metric}
        return Screened(kept, flops, scores, time.perf_counter() - started, measures)

    def _channels(self, model: nn.Module, level: float) -> tuple[Graph, np.ndarray]:
        return channels_left(model, self._example().inputs, level)

    def _milliseconds(self, dense: nn.Module, model: nn.Module, row: Pruning) -> dict[str, float]:
        """Measure the networks side by side; the pruned one only if anything can make it faster."""
        example = self._example()
        given = (example.inputs, None, example.lengths)
        smaller = self._smaller(model, row)
        if smaller is None:
            return {"milliseconds_dense": milliseconds([dense], *given)[0]}
        slow, *fast = milliseconds([dense, model, smaller], *given)
        return {"milliseconds_dense": slow, "milliseconds_sparse": min(fast)}

    def _smaller(self, model: nn.Module, row: Pruning) -> nn.Module | None:
        """Return the pruned network as what can run fastest: without the channels that nothing
        reads, or on compiled cells that read only the recurrent weights left; None if it has no
        layer that can run on compiled cells."""
        if row.what == CHANNELS:
            return narrowed(model, *self._channels(model, row.level))
        listed = compiled(deepcopy(model))
        read_what_is_left(listed)
        return listed if layers_on_cells(listed) else None

    def _dead(self, model: nn.Module) -> dict[str, float]:
        """Return the rates of dead units, over the steps that all the sequences have."""
        batch = self.task.score_batch(self.seed)
        inputs = first(batch.inputs, EXAMPLES)
        if batch.lengths is not None:
            inputs = inputs[:, : int(batch.lengths[:EXAMPLES].min())]
        rates = activation_rates(model, inputs)
        if rates is None:
            return {}
        return {"dead": rates.total, "dead_static": rates.static, "dead_dynamic": rates.dynamic}

    def _recover(self, architecture: Architecture) -> Trained:
        """Prune and train in cycles, and measure the recovery in the last one."""
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
        """Measure the network, without channels that were removed, in int8."""
        model = model.cpu().eval()
        if row.what == CHANNELS:
            model = narrowed(model, *self._channels(model, row.level))
        return in_int8(model, self.task, self._example())

    def _trained(
        self, model: nn.Module, masks: Masks, row: Pruning, cycle: int
    ) -> tuple[Trained, int | None]:
        """Train for a cycle; returns the result, and the epochs that recovery took, if it did."""
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
    """Train the network to prune for `steps` steps; runs on a worker."""
    torch.set_num_threads(1)

    def train() -> Base:
        model = source.build(seed)
        start = weights_of(model) if steps else None
        trained = train_rung(model, task, training, seed, steps)
        test = evaluate(model, task, task.test_batches())
        return Base(weights_of(model), start, trained.validation, test)

    return attempt("train", train)
