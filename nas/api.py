"""Every verb of the command line as one function."""

# A verb imports its job when it is called: `nas report` and refusals must not wait for torch.
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.core.errors import BadInput, NasError
from nas.core.executor import CandidateFailed
from nas.core.registry import check_score_name, create, create_score
from nas.core.settings import read_config
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.compress.config import CompressConfig
from nas.jobs.search.config import SearchConfig, search_config
from nas.jobs.search.saved import described, kept_network, load_run
from nas.jobs.sweep.config import SweepConfig
from nas.loop.candidate import best_first
from nas.models.architecture_files import read_recipes
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

if TYPE_CHECKING:
    from torch import nn

    from nas.core.task import Task
    from nas.jobs.adapt.report import AdaptSummary
    from nas.jobs.compress.report import CompressSummary
    from nas.jobs.search.job import SearchJob
    from nas.jobs.search.summary import RunSummary
    from nas.jobs.sweep.rows import SweepSummary
    from nas.loop.driver import Watcher

PUBLISHED_SIZE = ModelSize(embedding=400, hidden=600, layers=3)  # of NAS-Bench-NLP


def search(
    config: SearchConfig | None = None, *, watchers: Sequence[Watcher] = (), **settings: Any
) -> RunSummary:
    """Search, train the survivors, write the report; go on with the run where it exists.

    config: all settings; or `settings` by name, as in `search(candidates=16, run="runs/mine")`.
    watchers: are told of every result as it comes.
    Returns the run to look into: its candidates with scores, rungs and failures.
    Raises `BadInput`, `RunLocked` while another driver has the run, `Interrupted` on a signal,
    `NasError` when no candidate could be trained.
    """
    from nas.execution.choice import executor_of
    from nas.jobs.search.setup import controller_of, search_job, search_plan
    from nas.loop.driver import Driver
    from nas.loop.policy_file import begun, policy_of, save_policy
    from nas.loop.progress import Progress
    from nas.loop.run_folder import Run
    from nas.loop.session import drawer_of
    from nas.loop.signals import stop_on_signals
    from nas.loop.tensorboard import Tracker

    config = config or search_config(None, (), settings)
    job = search_job(config)
    plan = search_plan(config, job)
    controller_of(config, plan, 0, config.policy)  # or it is refused before a file is written
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, job.task.metric, job.higher_is_better)) as tracker,
    ):
        progress = Progress(plan.records, sum(plan.places), job.task.metric)
        here = config.execution.executor == "serial"
        with (
            described(run.folder, config, job),
            executor_of(config.execution) as executor,
            stop_on_signals(config.execution.grace, here) as stop,
        ):
            was_over = run.is_over(plan.records)
            name, make = config.controller.name, partial(controller_of, config, plan)
            controller = begun(run, config.policy, name, make)
            told = [progress, tracker, *watchers]
            drawer = drawer_of(config.seed, len(run.trials()))
            driver = Driver(run, controller, job, executor, plan, told, drawer)
            with progress:
                driver.search(stop)
            if config.policy is not None and not was_over:
                save_policy(policy_of(controller.sampler, name), config.policy)
        summary = report(config.run)
        picture = config.run / "report" / "architecture-1.png"
        if picture.exists():
            tracker.picture(picture.read_bytes())
    if not any(c.rungs for c in summary.candidates):
        reasons = Counter(c.failed for c in summary.candidates)
        reason, times = reasons.most_common(1)[0]
        raise NasError(
            f"no candidate could be trained; {times} of {len(summary.candidates)}: {reason}"
        )
    return summary


def score(
    recipes: Path,
    scores: Sequence[str],
    task: Task,
    size: ModelSize = PUBLISHED_SIZE,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Training-free scores of the cells of a recipe file, one dictionary a line of the file.

    recipes: lines `{"id": …, "recipe": {…}}` as NAS-Bench-NLP has them; other keys are ignored.
    Raises `BadInput` for a line that is no recipe, before anything is scored.
    """
    cells = read_recipes(recipes)
    for name in scores:
        check_score_name(name)

    from nas.jobs.search.job import SearchJob
    from nas.training import TrainingSettings

    job = SearchJob(
        space=RnnCellSpace(),
        task=task,
        scores=tuple(create_score(name) for name in scores),
        screen_size=size,
        train_size=size,
        training=TrainingSettings(),
        seed=seed,
    )
    for name, architecture in cells:
        (result,) = job.screen([(seed, architecture)])
        line: dict[str, Any] = {"id": name, "digest": architecture.digest()}
        if isinstance(result, CandidateFailed):
            yield {**line, "parameters": None, "scores": {}, "failed": str(result)}
        else:
            yield {
                **line,
                "parameters": result.parameters,
                "scores": result.scores,
                "failed": None,
            }


def train(
    architecture: Architecture, config: SearchConfig | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Train one architecture with a search's task, sizes and steps, then test it.

    folder: where `model.safetensors` and `architecture.json` go; None to keep nothing.
    Returns digest, parameters, steps, validation and test loss and metric, seconds.
    Raises `NasError` when the architecture cannot be built or trained.
    """
    from nas.jobs.search.setup import search_job
    from nas.training import evaluate, restore

    config = config or SearchConfig()
    job = search_job(config.model_copy(update={"scores": ()}))
    (screened,) = job.screen([(0, architecture)])
    trained = job.train(0, architecture, config.training.steps, None)
    if isinstance(screened, CandidateFailed) or isinstance(trained, CandidateFailed):
        reason = screened if isinstance(screened, CandidateFailed) else trained
        raise NasError(f"architecture {architecture.digest()} failed: {reason}")
    model = job.build(architecture, job.train_size, 0)
    restore(trained.checkpoint, model)
    tested = evaluate(model, job.task, job.task.test_batches())
    if folder is not None:
        _write_model(model, architecture, config, job, folder)
    return {
        "digest": architecture.digest(),
        "parameters": screened.parameters,
        "steps": trained.step,
        "metric": job.task.metric,
        "validation": trained.validation.metric,
        "validation_loss": trained.validation.loss,
        "test": tested.metric,
        "test_loss": tested.loss,
        "seconds": trained.seconds,
    }


def sweep(
    config: SweepConfig | None = None, *, watchers: Sequence[Watcher] = (), **settings: Any
) -> SweepSummary:
    """Prune a network at every level by every method, let each recover, write the report.

    config: all settings; or `settings` by name, as in `sweep(model="reber-lstm", levels=(0.5,))`.
    Returns the rows to look into. Raises as `search`.
    """
    from nas.jobs.sweep.run import run_sweep

    return run_sweep(config or read_config(SweepConfig, None, (), settings), watchers)


def compress(
    config: CompressConfig | None = None, *, watchers: Sequence[Watcher] = (), **settings: Any
) -> CompressSummary:
    """Search for a smaller network than the teacher, distil it, test it, time it, write it.

    config: all settings; or `settings` by name, as in `compress(teacher="resnet8", updates=2)`.
    Returns teacher and student as measured. Raises as `search`, and `TargetNotMet` when no student
    is small enough.
    """
    from nas.jobs.compress.run import run_compress

    return run_compress(config or read_config(CompressConfig, None, (), settings), watchers)


def adapt(
    config: AdaptConfig | None = None, *, watchers: Sequence[Watcher] = (), **settings: Any
) -> AdaptSummary:
    """Search chains of a decoder's layers for samples and for all inputs, judge and write them.

    config: all settings; or `settings` by name, as in `adapt(model="my-llama", items="qa.jsonl")`.
    Returns what was found for each sample, and what serves inputs that nobody searched for.
    Raises as `search`.
    """
    from nas.jobs.adapt.run import run_adapt

    return run_adapt(config or read_config(AdaptConfig, None, (), settings), watchers)


def report(folder: Path) -> RunSummary:
    """Write a run's report anew from its record, finished or not, and return the run."""
    summary, config = load_run(folder)

    from nas.jobs.search.report import write_report

    space = create("spaces", config.space.name, config.space.options)
    graph_of = getattr(space, "graph", lambda architecture: None)
    write_report(summary, folder / "report", graph_of)
    return summary


def export(folder: Path, to: Path, number: int | None = None) -> dict[str, Any]:
    """Write a trained candidate as safetensors, architecture JSON and a `torch.export` program.

    number: of the candidate; None for the best one. Of a sweep the number of a row.
    Runs of `compress`, `sweep` and `adapt` keep such files already, checked when they were written:
    they are copied, and the copies compared.
    Each file is loaded again and its answers compared with the model's.
    Raises `BadInput` when there is no such candidate or it was not trained.
    """
    kept = kept_network(folder, number)
    if kept is not None:
        from nas.models.model_files import copied

        return {"candidate": number, **copied(kept, to)}
    summary, config = load_run(folder)
    trained = {c.number: c for c in best_first(summary.candidates)}
    if not trained:
        raise BadInput(f"{folder} has no trained candidate to export")
    candidate = trained.get(next(iter(trained)) if number is None else number)
    if candidate is None:
        known = ", ".join(str(n) for n in trained)
        raise BadInput(f"candidate {number} of {folder} is not trained: there are {known}")
    from nas.jobs.search.setup import search_job
    from nas.training import restore

    job = search_job(config)
    model = job.build(candidate.architecture, job.train_size, 0)
    restore((folder / candidate.rungs[-1].checkpoint).read_bytes(), model)
    files = _write_model(model, candidate.architecture, config, job, to)
    return {"candidate": candidate.number, "digest": candidate.digest, **files}


def _write_model(
    model: nn.Module, architecture: Architecture, config: SearchConfig, job: SearchJob, to: Path
) -> dict[str, Any]:
    from nas.models.model_files import write_model

    shape = ModelShape(job.task.shape, job.train_size)
    batch = job.task.score_batch(config.seed)
    return write_model(model, architecture, config.space.name, shape, batch, to)
