"""A compression from its settings to a student that is tested, timed and written."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.finish import best_within, finish, most_worth
from nas.jobs.compress.fit import find_fit
from nas.jobs.compress.job import OBJECTIVE
from nas.jobs.compress.kept import kept_lines
from nas.jobs.compress.resolve import run_resolve
from nas.jobs.compress.setup import (
    compress_job,
    compress_plan,
    controller_of,
    student_space,
    within_limits,
)
from nas.jobs.compress.teacher import find_teacher
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.session import open_session
from nas.training import check_device


def run_compress(config: CompressConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Search for a student, distil it, test, time and write it; continue the run if it exists.

    With `config.resolve` nothing is searched, see `run_resolve`.

    Raises `BadInput` before anything is written, `TargetNotMet` if no student is small enough,
    and as `nas.api.search` does.
    """
    check_device(config.training.device, config.execution.executor == "serial")
    if config.resolve is not None:
        run_resolve(config)
        return
    if config.fit is not None:
        find_fit(config.fit)
    source, task = find_teacher(config)
    limited = within_limits(config, student_space(config, source, task), task)
    space, *_ = limited
    plan = compress_plan(config)
    make = partial(controller_of, config, space)
    make(0, config.policy)  # refuses what cannot be made before a file is written
    about = RunFile(
        kind="compress",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=OBJECTIVE,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        details={"teacher": source.name, "note": source.note, "kept": space.outline.kept},
    )
    for line in kept_lines(space.outline.kept):
        print(line, file=sys.stderr)
    with open_session(config, about, watchers=watchers) as session:
        job = compress_job(config, source, task, limited, session.run.folder)
        found = session.search(job, plan, make, config.controller.name, config.policy)
        job = replace(job, meter=job.meter.again(job.source.build(0)))
        best, costs = best_within(job, found, most_worth)
        finish(session.run, job, task, best, costs, config.programs)
