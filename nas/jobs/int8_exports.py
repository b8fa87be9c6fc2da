"""A run's network as files, with an int8 copy that is compared on the run's own data."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core.registry import load_task
from nas.core.task import Task
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.teacher import find_teacher
from nas.jobs.exports import export_run
from nas.jobs.search.config import SearchConfig
from nas.jobs.sweep.config import SweepConfig
from nas.loop.run_file import read_run_file
from nas.models.eight_bits import INT8, add_int8, check_exported, check_installed, has_classes
from nas.models.model_files import copied
from nas.models.source import find_model
from search_spaces.space import ModelSize


def export_in_int8(folder: Path, to: Path, number: int | None) -> dict[str, Any]:
    """Export a run's network with its int8 copy; see `nas.api.export`.

    Nothing is written to `to` if there is no int8 copy of the network.
    """
    check_installed()
    with TemporaryDirectory() as temporary:
        stage = Path(temporary)
        facts = export_run(folder, stage, number)
        check_exported(stage, f"the network of {folder}")
        task = _task_of(folder)
        int8 = add_int8(stage, task.score_batch(0).inputs, has_classes(task))
        copied(stage, to)
    files = [*facts["files"], INT8]
    return {**facts, "folder": str(to), "files": files, "int8": asdict(int8)}


def _task_of(folder: Path) -> Task:
    """Load the task of a run; raises `BadInput` if its data or weights are no longer there."""
    about = read_run_file(folder)
    if about.kind == "compress":
        return find_teacher(CompressConfig.model_validate(about.settings))[1]
    if about.kind == "sweep":
        swept = SweepConfig.model_validate(about.settings)
        size = ModelSize(**swept.size.model_dump())
        return find_model(swept.model, swept.weights, swept.task, size)[1]
    searched = SearchConfig.model_validate(about.settings)
    return load_task(searched.task.name, searched.task.options)
