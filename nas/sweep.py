"""A sweep from its settings to its rows: trained networks, the grid, the pruned checkpoints."""

import time
from collections.abc import Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import load, save

from compress.cycle import prune
from compress.masks import PrunedAway, refuse_empty_layers, sparsity
from compress.saliency import METHODS, Evidence
from compress.targets import is_recurrent, parameters_of, targets_of
from nas.assembly import executor_of
from nas.driver import Driver, Watcher
from nas.errors import BadInput, Interrupted, NasError
from nas.execution.executor import Done, Executor, Resources
from nas.export import load_model, write_weights
from nas.files import write_atomically
from nas.grid import Grid
from nas.jobs.sweep import Base, Pruning, PruningGrid, SweepJob, base_of
from nas.plan import Plan
from nas.progress import Progress
from nas.record import Candidate
from nas.report.sweep import SweepSummary, row_of, write_sweep_report
from nas.run import Run
from nas.seeds import candidate_seed
from nas.signals import Stop, stop_on_signals
from nas.subject import Subject, find_subject
from nas.sweep_config import SweepConfig
from nas.tasks.task import Measured, Task
from nas.tracking import Tracker
from nas.training import TrainingSettings, restore
from search_spaces.space import ModelSize

TRAIN_EPOCHS = 20


def run_sweep(config: SweepConfig, watchers: Sequence[Watcher] = ()) -> SweepSummary:
    """Prune at every level by every method, let each recover; go on with the run where it exists.

    Raises `BadInput` before anything is written, and as `nas.api.search` does.
    """
    started = time.monotonic()
    subject, task = find_subject(
        config.model, config.weights, config.task, ModelSize(**config.size.model_dump())
    )
    space = _grid(config, subject)
    epochs = _train_epochs(config, subject)
    epoch_steps = config.epoch_steps or _epoch_steps(task)
    _check_evidence(config, epochs)
    if not epochs:
        _refuse_collapse(space, subject)
    training = TrainingSettings(**config.training.model_dump(exclude={"noise", "density"}))
    here = config.execution.executor == "serial"
    grid = Grid(space)
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, task.metric, task.higher_is_better)) as tracker,
        executor_of(config.execution) as executor,
        stop_on_signals(config.execution.grace, here) as stop,
    ):
        bases = _bases(
            run.folder, config, executor, stop, subject, task, training, epochs * epoch_steps
        )
        job = SweepJob(
            space=space,
            subject=subject,
            task=task,
            training=training,
            bases=bases,
            epochs=config.recover_epochs,
            epoch_steps=epoch_steps,
            tolerance=config.tolerance,
            scope=config.scope,
            ap_relative=config.ap_relative,
            noise=config.training.noise,
            density=config.training.density,
            seed=config.seed,
        )
        plan = Plan(
            candidates=grid.size,
            steps=(config.recover_epochs * epoch_steps,),
            places=(grid.size,),
            batch=1,
            deterministic=config.execution.deterministic,
            training=Resources(gpus=config.execution.gpus_per_survivor),
        )
        progress = Progress(grid.size, grid.size, task.metric)
        driver = Driver(run, grid, job, executor, plan, [progress, tracker, *watchers])
        with progress:
            driver.search(stop)
        candidates = [driver.candidates[number] for number in sorted(driver.candidates)]
        for candidate in candidates:
            if candidate.rungs:
                _write_pruned(run, job, candidate)
        rows = tuple(row_of(c, config.tolerance, task.higher_is_better) for c in candidates)
        summary = SweepSummary(
            name=run.folder.name,
            model=subject.name,
            metric=task.metric,
            higher_is_better=task.higher_is_better,
            tolerance=config.tolerance,
            rows=rows,
            seconds=time.monotonic() - started,
        )
        write_sweep_report(summary, run.folder / "report")
    if not any(row.failed is None for row in rows):
        raise NasError(f"no row could be measured; the first: {rows[0].failed}")
    return summary


def _grid(config: SweepConfig, subject: Subject) -> PruningGrid:
    model = subject.build(0)
    what = config.what or (("both",) if is_recurrent(model) else ("weights",))
    for name in what:
        try:
            kinds = {target.kind for target in targets_of(model, name)}
        except ValueError as error:
            raise BadInput(f"{subject.name}, --what {name}: {error}") from None
        if "weight" in kinds and max(config.levels) == 1:
            raise BadInput(
                f"level 1 leaves no layer of {subject.name} anything: ask for less than 1"
            )
    return PruningGrid(subject, config.methods, what, config.ap, config.levels, config.seeds)


def _refuse_collapse(space: PruningGrid, subject: Subject) -> None:
    """Raises `BadInput` where a method that needs no data leaves a layer nothing."""
    for method, what, level in product(space.methods, space.what, sorted(space.levels)):
        if METHODS[method].needs or METHODS[method].rounds > 1:
            continue
        model = subject.build(0)
        targets = targets_of(model, what)
        masks = prune(model, targets, METHODS[method], level, Evidence())
        try:
            refuse_empty_layers(targets, masks)
        except PrunedAway as error:
            raise BadInput(f"{subject.name}, {method}, level {level:g}: {error}") from None


def _train_epochs(config: SweepConfig, subject: Subject) -> int:
    if config.train_epochs is not None:
        if config.train_epochs == 0 and subject.weights is None:
            raise BadInput(
                f"{subject.name} has no weights: train it with --train-epochs, or give --weights"
            )
        return config.train_epochs
    return TRAIN_EPOCHS if subject.weights is None else 0


def _epoch_steps(task: Task) -> int:
    examples, batch = getattr(task, "train", None), getattr(task, "batch", None)
    if examples is None or not isinstance(batch, int):
        raise BadInput(f"the task {task.name} has no epochs: say --epoch-steps")
    return max(1, len(examples) // batch)


def _check_evidence(config: SweepConfig, epochs: int) -> None:
    """Raises `BadInput` for a method that needs the weights before training, where none was."""
    needing = [f"method {name}" for name in config.methods if "start" in METHODS[name].needs]
    needing += ["ap" for share in config.ap if share]
    if needing and not epochs:
        raise BadInput(
            f"{needing[0]} needs the weights before training, which a trained network does not "
            "tell: let it train on with --train-epochs 1, or leave it out"
        )


def _bases(
    folder: Path,
    config: SweepConfig,
    executor: Executor,
    stop: Stop,
    subject: Subject,
    task: Task,
    training: TrainingSettings,
    steps: int,
) -> dict[int, Base]:
    """The networks to prune, one a seed, trained where the run's folder does not hold them."""
    files = {seed: folder / "base" / f"seed-{seed}.safetensors" for seed in range(config.seeds)}
    arguments = (executor.share(subject), executor.share(task), training)
    handles = {
        executor.submit(
            base_of,
            *arguments,
            candidate_seed(config.seed, seed),
            steps,
            resources=Resources(gpus=config.execution.gpus_per_survivor),
        ): seed
        for seed, file in files.items()
        if not file.exists()
    }
    while handles:
        if stop.signal_number is not None:
            raise Interrupted(stop.signal_number)
        for handle, outcome in executor.wait(list(handles), 0.2):
            base = outcome.value if isinstance(outcome, Done) else outcome
            if not isinstance(base, Base):
                raise NasError(f"{subject.name} could not be trained: {base}")
            write_atomically(files[handles.pop(handle)], _base_to_bytes(base))
    return {seed: _base_from_bytes(file.read_bytes()) for seed, file in files.items()}


def _base_to_bytes(base: Base) -> bytes:
    parts = {"weights": base.weights, **({"start": base.start} if base.start else {})}
    tensors = {f"{part}.{k}": v for part, data in parts.items() for k, v in load(data).items()}
    measured = torch.tensor([base.validation, base.test], dtype=torch.double)
    return save({**tensors, "measured": measured})


def _base_from_bytes(content: bytes) -> Base:
    tensors = load(content)

    def part(name: str) -> bytes | None:
        found = {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
        return save(found) if found else None

    weights = part("weights.")
    assert weights is not None
    validation, test = (Measured(*pair) for pair in tensors["measured"].tolist())
    return Base(weights, part("start."), validation, test)


def _write_pruned(run: Run, job: SweepJob, candidate: Candidate) -> None:
    """The pruned network as files like any other's, read again and its zeros counted.

    Raises `NasError` when there are not as many as the record says.
    """
    folder = run.folder / "pruned" / f"{candidate.number:04d}"
    if (folder / "architecture.json").exists():
        return
    row = Pruning(*candidate.architecture.spec)  # type: ignore[misc]
    subject, stated = job.subject, candidate.measures["sparsity"]
    model = subject.build(0)
    restore(run.read_checkpoint(candidate.rungs[-1].checkpoint), model)
    facts = {"pruned": row._asdict(), "sparsity": stated}
    write_weights(model, subject.architecture, subject.space, subject.shape, folder, facts)
    again = load_model(folder)
    counted = sparsity(parameters_of(again, targets_of(again, row.what)))
    if counted < stated:
        raise NasError(f"{folder}: {counted:.4f} of the weights are zero, not {stated:.4f}")
