"""Every verb of the command line as one function."""

import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nas.config import SearchConfig, search_config
from nas.controller import Controller
from nas.driver import Driver, Plan, Watcher
from nas.errors import BadInput, NasError
from nas.execution.executor import CandidateFailed, Executor, Resources
from nas.execution.serial import SerialExecutor
from nas.export import write_model
from nas.files import write_atomically
from nas.halving import halved
from nas.jobs.search import SearchJob
from nas.progress import Progress
from nas.record import Candidate, best_first
from nas.registry import create, create_controller
from nas.report.summary import RunSummary
from nas.report.write import write_report
from nas.run import Run
from nas.signals import stop_on_signals
from nas.tasks.task import Task
from nas.tracking import Tracker
from nas.training import TrainingSettings, evaluate, restore
from search_spaces.architecture import Architecture
from search_spaces.space import ModelShape, ModelSize, SearchSpace

SCHEMA = 1
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
    config = config or search_config(None, (), settings)
    job = search_job(config)
    plan = search_plan(config, job)
    _controller(config, plan, trials=0)  # what cannot be made is refused before a file is written
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, job.task.metric, job.higher_is_better)) as tracker,
    ):
        progress = Progress(config.candidates, sum(plan.places), job.task.metric)
        here = config.execution.executor == "serial"
        with (
            _described(run.folder, config, job),
            _executor(config) as executor,
            stop_on_signals(config.execution.grace, here) as stop,
        ):
            controller = _controller(config, plan, len(run.trials()))
            told = [progress, tracker, *watchers]
            driver = Driver(run, controller, job, executor, plan, told)
            with progress:
                driver.search(stop)
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


@contextmanager
def _described(folder: Path, config: SearchConfig, job: SearchJob) -> Iterator[None]:
    """Keep `run.json` true: what the run is, for how long it has been worked on."""
    started = time.monotonic()
    seconds_before = _read_about(folder).get("seconds", 0.0)

    def write(finished: bool) -> None:
        seconds = seconds_before + time.monotonic() - started
        about = {**_about(config, job), "seconds": seconds, "finished": finished}
        write_atomically(folder / "run.json", json.dumps(about, indent=1))

    write(finished=False)
    try:
        yield
    except BaseException:
        write(finished=False)
        raise
    write(finished=True)


def search_job(config: SearchConfig) -> SearchJob:
    """What is measured, with the data loaded and everything that was named checked."""
    space: SearchSpace = create("spaces", config.space.name, config.space.options)
    train_size = ModelSize(**config.model.model_dump())
    screen_size = ModelSize(**config.screen.model_dump()) if config.screen else train_size
    return SearchJob(
        space=space,
        task=load_task(config.task.name, config.task.options),
        scores=tuple(create("scores", name) for name in config.scores),
        screen_size=screen_size,
        train_size=train_size,
        training=TrainingSettings(
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
            clip=config.training.clip,
            device=config.training.device,
        ),
        seed=config.seed,
    )


def search_plan(config: SearchConfig, job: SearchJob) -> Plan:
    """How many candidates, which rungs, how many places in each."""
    training = config.training
    steps = tuple(
        max(1, training.steps // training.reduction ** (training.rungs - 1 - i))
        for i in range(training.rungs)
    )
    if job.scores:
        places = halved(config.survivors, training.rungs, training.reduction)
    else:
        later = halved(config.survivors, max(1, training.rungs - 1), training.reduction)
        places = (config.candidates, *later)[: training.rungs]
    return Plan(
        candidates=config.candidates,
        steps=steps,
        places=places,
        batch=config.execution.batch if job.scores else 1,
        scored=bool(job.scores),
        higher_is_better=job.higher_is_better,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )


def load_task(name: str, options: Mapping[str, Any]) -> Task:
    """The task by its name; raises `BadInput` when its data cannot be used."""
    options = dict(options)
    if "data" in options:
        options["data"] = Path(options["data"])
    return create("tasks", name, options)


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
    from search_spaces.rnn_cell.space import RnnCellSpace

    cells = read_recipes(recipes)
    job = SearchJob(
        space=RnnCellSpace(),
        task=task,
        scores=tuple(create("scores", name) for name in scores),
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


def read_recipes(path: Path) -> list[tuple[Any, Architecture]]:
    """The cells of a file of recipes with their ids; raises `BadInput` naming the line."""
    from search_spaces.decisions import InvalidArchitecture
    from search_spaces.rnn_cell.space import read_recipe

    cells = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            cells.append((row.get("id"), read_recipe(row["recipe"])))
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}, line {number}: no JSON: {error}") from None
        except (KeyError, TypeError, AttributeError):
            raise BadInput(
                f'{path}, line {number}: expected {{"id": …, "recipe": {{node: …}}}}'
            ) from None
        except InvalidArchitecture as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
    if not cells:
        raise BadInput(f"{path} holds no recipes: one JSON object a line is expected")
    return cells


def train(
    architecture: Architecture, config: SearchConfig | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Train one architecture with a search's task, sizes and steps, then test it.

    folder: where `model.safetensors` and `architecture.json` go; None to keep nothing.
    Returns digest, parameters, steps, validation and test loss and metric, seconds.
    Raises `NasError` when the architecture cannot be built or trained.
    """
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


def read_architecture(name: str) -> Architecture:
    """An architecture from a JSON file, a recipe file, or the name of a known cell.

    Raises `BadInput` when there is no such file or name, or it describes no architecture.
    """
    from search_spaces.decisions import InvalidArchitecture
    from search_spaces.rnn_cell.space import read_recipe
    from search_spaces.rnn_cell.zoo import ZOO

    if name in ZOO:
        return read_recipe(ZOO[name])
    if not Path(name).exists():
        raise BadInput(f"{name} is no file and no known cell; known are {', '.join(ZOO)}")
    text = _text(Path(name))
    try:
        data = json.loads(text)
        if isinstance(data, dict) and "spec" not in data:
            return read_recipe(data.get("recipe", data))
        return Architecture.from_json(text)
    except (ValueError, InvalidArchitecture) as error:
        raise BadInput(f"{name} describes no architecture: {error}") from None


def search_facts(summary: RunSummary, folder: Path) -> dict[str, Any]:
    """What `nas search --json` prints of a run."""
    return {
        "run": str(folder),
        "finished": summary.finished,
        "candidates": len(summary.candidates),
        "unique": len({c.digest for c in summary.candidates}),
        "failed": sum(c.failed is not None for c in summary.candidates),
        "trained": sum(bool(c.rungs) for c in summary.candidates),
        "metric": summary.metric,
        "survivors": [
            {
                "number": c.number,
                "digest": c.digest,
                "parameters": c.parameters,
                "scores": c.scores,
                "steps": c.rungs[-1].step,
                "validation": c.rungs[-1].metric,
                "validation_loss": c.rungs[-1].loss,
                "checkpoint": str(folder / c.rungs[-1].checkpoint),
            }
            for c in best_first(summary.candidates)
        ],
        "seconds": summary.seconds,
    }


def report(folder: Path) -> RunSummary:
    """Write a run's report anew from its record, finished or not, and return the run."""
    summary, config = load_run(folder)
    space = create("spaces", config.space.name, config.space.options)
    graph_of = getattr(space, "graph", lambda architecture: None)
    write_report(summary, folder / "report", graph_of)
    return summary


def load_run(folder: Path) -> tuple[RunSummary, SearchConfig]:
    """A run's candidates and its settings, read from its folder.

    Raises `BadInput` when the folder holds no run.
    """
    about = _read_about(folder)
    if not about:
        raise BadInput(f"{folder} holds no run: name the folder given to `nas search --run`")
    config = SearchConfig.model_validate(about["config"])
    files = sorted((folder / "trials").glob("*/result.json"))
    summary = RunSummary(
        name=folder.name,
        space=config.space.name,
        controller=config.controller.name,
        task=config.task.name,
        metric=about["metric"],
        higher_is_better=about["higher_is_better"],
        scores=about["scores"],
        candidates=tuple(Candidate.from_dict(json.loads(f.read_text())) for f in files),
        seconds=about["seconds"],
        finished=about["finished"],
        command=about["command"],
    )
    return summary, config


def export(folder: Path, to: Path, number: int | None = None) -> dict[str, Any]:
    """Write a trained candidate as safetensors, architecture JSON and a `torch.export` program.

    number: of the candidate; None for the best one.
    Each file is loaded again and its answers compared with the model's.
    Raises `BadInput` when there is no such candidate or it was not trained.
    """
    summary, config = load_run(folder)
    trained = {c.number: c for c in best_first(summary.candidates)}
    if not trained:
        raise BadInput(f"{folder} has no trained candidate to export")
    candidate = trained.get(next(iter(trained)) if number is None else number)
    if candidate is None:
        known = ", ".join(str(n) for n in trained)
        raise BadInput(f"candidate {number} of {folder} is not trained: there are {known}")
    job = search_job(config)
    model = job.build(candidate.architecture, job.train_size, 0)
    restore((folder / candidate.rungs[-1].checkpoint).read_bytes(), model)
    files = _write_model(model, candidate.architecture, config, job, to)
    return {"candidate": candidate.number, "digest": candidate.digest, **files}


def _write_model(
    model: nn.Module, architecture: Architecture, config: SearchConfig, job: SearchJob, to: Path
) -> dict[str, Any]:
    shape = ModelShape(job.task.shape, job.train_size)
    batch = job.task.score_batch(config.seed)
    return write_model(model, architecture, config.space.name, shape, batch, to)


def _about(config: SearchConfig, job: SearchJob) -> dict[str, Any]:
    """What a report must know of a run beside its candidates."""
    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "metric": job.task.metric,
        "higher_is_better": job.task.higher_is_better,
        "scores": {score.name: score.higher_is_better for score in job.scores},
        "command": shlex.join(["nas", *sys.argv[1:]]),
    }


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _controller(config: SearchConfig, plan: Plan, trials: int) -> Controller:
    """The controller; its seed depends on how far the run is, or it would repeat itself."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, trials]))
    sampler = create_controller(config.controller.name, rng, config.controller.options)
    return Controller(sampler, maximise=plan.scored and plan.higher_is_better)


@contextmanager
def _executor(config: SearchConfig) -> Iterator[Executor]:
    if config.execution.executor == "serial":
        executor: Executor = SerialExecutor()
    else:
        from nas.execution.ray import RayExecutor

        executor = RayExecutor(config.execution.workers, config.execution.ray_address)
    try:
        yield executor
    finally:
        executor.close()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
