"""Scores, trains and exports single architectures in the way a search does."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from nas.core.errors import BadInput, NasError
from nas.core.executor import CandidateFailed
from nas.core.files import read_bytes, undamaged
from nas.core.registry import BUILT_IN, create_score
from nas.core.settings import Named
from nas.core.task import Task
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.job import SearchJob
from nas.jobs.search.setup import search_job
from nas.jobs.search.summary import read_search
from nas.loop.candidate import checkpoint_of
from nas.models.architecture_files import read_recipes
from nas.models.description import MOST_WEIGHTS
from nas.models.model_files import write_model
from nas.training import TrainingSettings, evaluate, evaluate_sets, restore
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

CHECKPOINT_REMEDY = "restore it from a copy, or pass another candidate with --candidate"
PUBLISHED_SIZE = ModelSize(embedding=400, hidden=600, layers=3)  # as in NAS-Bench-NLP


def score_recipes(
    recipes: Path, scores: Sequence[str], task: Task, size: ModelSize | None, seed: int
) -> Iterator[dict[str, Any]]:
    """Score the cells of a recipe file; see `nas.api.score`."""
    cells, size = read_recipes(recipes), size or PUBLISHED_SIZE
    job = SearchJob(
        space=RnnCellSpace(),
        task=task,
        scores=tuple(create_score(name) for name in scores),
        screen_size=size,
        train_size=size,
        training=TrainingSettings(),
        seed=seed,
    )
    return (_scored(job, name, architecture) for name, architecture in cells)


def _scored(job: SearchJob, name: Any, architecture: Architecture) -> dict[str, Any]:
    (result,) = job.screen([(job.seed, architecture)])
    line: dict[str, Any] = {"id": name, "digest": architecture.digest()}
    if isinstance(result, CandidateFailed):
        return {**line, "parameters": None, "scores": {}, "failed": str(result)}
    return {**line, "parameters": result.parameters, "scores": result.scores, "failed": None}


def train_architecture(
    architecture: Architecture, config: SearchConfig, folder: Path | None
) -> dict[str, Any]:
    """Train and test one architecture; see `nas.api.train`."""
    space = config.space
    if architecture.space != space.name and architecture.space in BUILT_IN["spaces"]:
        space = Named(name=architecture.space)
    config = config.model_copy(update={"scores": (), "space": space})
    job = search_job(config).tuned(architecture)
    (screened,) = job.screen([(0, architecture)])
    trained = job.train(0, architecture, config.training.steps, None)
    if isinstance(screened, CandidateFailed) or isinstance(trained, CandidateFailed):
        reason = screened if isinstance(screened, CandidateFailed) else trained
        raise NasError(f"architecture {architecture.digest()} failed: {reason}")
    model = job.build(architecture, job.train_size, 0)
    restore(trained.checkpoint, model)
    tested = evaluate(model, job.task, job.task.test_batches())
    if folder is not None:
        _write(model, architecture, config, job, folder)
    return {
        "digest": architecture.digest(),
        "parameters": screened.parameters,
        **dict(architecture.settings),
        "steps": trained.step,
        "metric": job.task.metric,
        "validation": trained.validation.metric,
        "validation_loss": trained.validation.loss,
        "test": tested.metric,
        "test_loss": tested.loss,
        **{f"test_{name}": metric for name, metric in evaluate_sets(model, job.task).items()},
        "seconds": trained.seconds,
    }


def export_candidate(folder: Path, to: Path, number: int | None) -> dict[str, Any]:
    """Write a trained candidate of a search as files; see `nas.api.export`."""
    summary = read_search(folder)
    trained = {c.number: c for c in summary.best}
    if not trained:
        raise BadInput(f"{folder} has no trained candidate to export: continue the search first")
    candidate = trained.get(next(iter(trained)) if number is None else number)
    if candidate is None:
        known = ", ".join(str(n) for n in trained)
        raise BadInput(f"candidate {number} of {folder} was not trained; choose from {known}")
    job = search_job(summary.config).tuned(candidate.architecture)
    model = job.build(candidate.architecture, job.train_size, 0)
    file = checkpoint_of(folder, candidate)
    checkpoint = read_bytes(file, CHECKPOINT_REMEDY, MOST_WEIGHTS)
    with undamaged(file, CHECKPOINT_REMEDY, RuntimeError, SafetensorError):
        restore(checkpoint, model)
    files = _write(model, candidate.architecture, summary.config, job, to)
    return {"candidate": candidate.number, "digest": candidate.digest, **files}


def _write(
    model: nn.Module, architecture: Architecture, config: SearchConfig, job: SearchJob, to: Path
) -> dict[str, Any]:
    shape = ModelShape(job.task.shape, job.train_size)
    batch = job.task.score_batch(config.seed)
    return write_model(model, architecture, config.space.name, shape, batch, to)
