"""Makes a sweep's job from its settings, and refuses what cannot work before writing files."""

from itertools import product

import torch

from compress.names import CHANNELS
from compress.pruning.channel_masks import channels_left
from compress.pruning.cycle import prune
from compress.pruning.masks import PrunedAway, refuse_empty_layers
from compress.pruning.saliency import METHODS, Evidence
from compress.pruning.targets import is_recurrent, targets_of
from nas.core.errors import BadInput
from nas.core.files import reason_of
from nas.core.task import Batch, Task
from nas.jobs.sweep.config import SweepConfig
from nas.jobs.sweep.int8_rows import in_int8
from nas.jobs.sweep.job import SweepJob
from nas.jobs.sweep.pruning_grid import PruningGrid
from nas.models.source import ModelSource, find_model
from nas.models.trained import as_it_comes
from nas.training import TrainingSettings, check_device
from search_spaces.inputs import first
from search_spaces.space import ModelSize

TRAIN_EPOCHS = 20


def sweep_job(config: SweepConfig) -> SweepJob:
    """Return the job, without the networks to prune, which are trained later.

    Raises `BadInput` for a network, data, method or level that cannot be swept.
    """
    check_device(config.training.device, config.execution.executor == "serial")
    source, task = find_model(
        config.model, config.weights, config.task, ModelSize(**config.size.model_dump())
    )
    _check_fit(source, task)
    if not config.train_epochs:
        is_trained = config.train_epochs is None
        training = f"it is trained for {TRAIN_EPOCHS} epochs" if is_trained else "it needs training"
        source = as_it_comes(source, task, "model", training)
    space = _grid(config, source, task)
    train_epochs = _train_epochs(config, source)
    _check_evidence(config, train_epochs)
    if config.int8:
        _check_int8(source, task)
    if not train_epochs:
        _refuse_collapse(space, source, config.scope)
    return SweepJob(
        space=space,
        source=source,
        task=task,
        training=TrainingSettings(**config.training.model_dump(exclude={"noise", "density"})),
        bases={},
        train_epochs=train_epochs,
        epochs=config.recover_epochs,
        epoch_steps=config.epoch_steps or _epoch_steps(task),
        tolerance=config.tolerance,
        scope=config.scope,
        ap_relative=config.ap_relative,
        schedule=config.schedule,
        cycles=config.cycles,
        rewind=config.rewind,
        noise=config.training.noise,
        density=config.training.density,
        int8=config.int8,
        seed=config.seed,
    )


def _check_fit(source: ModelSource, task: Task) -> None:
    """Raise `BadInput` if the network cannot process the task's batches."""
    batch = task.score_batch(0)
    try:
        with torch.no_grad():
            task.loss(source.build(0).eval()(batch.inputs, None, batch.lengths)[0], batch.targets)
    except BadInput:
        raise
    except Exception as error:  # of anybody's code
        raise BadInput(f"{source.name} does not fit task {task.name}: {reason_of(error)}") from None


def _check_int8(source: ModelSource, task: Task) -> None:
    """Raises `BadInput` if the network cannot be measured in int8, which is tried once."""
    try:
        in_int8(source.build(0).eval(), task, Batch(*first(task.score_batch(0), 1)))
    except BadInput as error:
        raise BadInput(f"{source.name}, int8 = true: {error}") from None


def _grid(config: SweepConfig, source: ModelSource, task: Task) -> PruningGrid:
    model = source.build(0)
    what = config.what or (("both",) if is_recurrent(model) else ("weights",))
    for name in what:
        try:
            kinds = {target.kind for target in targets_of(model, name)}
            if name == CHANNELS:
                channels_left(model, first(task.score_batch(0).inputs, 1), 0.0)
        except ValueError as error:
            raise BadInput(f"{source.name}, --what {name}: {error}") from None
        if "weight" in kinds and max(config.levels) == 1:
            raise BadInput(
                f"level 1 would remove every weight of {source.name}: use levels below 1"
            )
    if CHANNELS in what and ("magnitude" not in config.methods or 0.0 not in config.ap):
        raise BadInput("--what channels needs magnitude in --methods and 0 in --ap: add them")
    return PruningGrid(source, config.methods, what, config.ap, config.levels, config.seeds)


def _refuse_collapse(space: PruningGrid, source: ModelSource, scope: str) -> None:
    """Raise `BadInput` if a method that needs no data would remove every weight of a layer."""
    for method, what, level in product(space.methods, space.what, sorted(space.levels)):
        if what == CHANNELS or METHODS[method].needs or METHODS[method].rounds > 1:
            continue
        model = source.build(0)
        targets = targets_of(model, what)
        masks = prune(model, targets, METHODS[method], level, Evidence(), scope=scope)
        try:
            refuse_empty_layers(targets, masks)
        except PrunedAway as error:
            raise BadInput(f"{source.name}, {method}, level {level:g}: {error}") from None


def _train_epochs(config: SweepConfig, source: ModelSource) -> int:
    if config.train_epochs is not None:
        if config.train_epochs == 0 and source.weights is None:
            raise BadInput(
                f"{source.name} has no weights: train it with --train-epochs, or pass --weights"
            )
        return config.train_epochs
    return TRAIN_EPOCHS if source.weights is None else 0


def _epoch_steps(task: Task) -> int:
    if isinstance(epoch_steps := getattr(task, "epoch_steps", None), int):
        return epoch_steps
    examples, batch = getattr(task, "train", None), getattr(task, "batch", None)
    if examples is None or not isinstance(batch, int):
        raise BadInput(f"task {task.name} has no epochs: pass --epoch-steps")
    return max(1, len(examples) // batch)


def _check_evidence(config: SweepConfig, epochs: int) -> None:
    """Raise `BadInput` for a method that needs the initial weights, if nothing is trained."""
    needing = [f"method {name}" for name in config.methods if "start" in METHODS[name].needs]
    needing += ["ap" for share in config.ap if share] + ["rewind"] * config.rewind
    if needing and not epochs:
        raise BadInput(
            f"{needing[0]} needs the weights before training, which trained networks do not keep: "
            "train with --train-epochs 1, or leave it out"
        )
