"""Runs a search."""

from collections.abc import Sequence
from functools import partial

from nas.core.registry import create
from nas.core.task import test_sets
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.setup import controller_of, search_job, search_plan
from nas.jobs.search.summary import read_search
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.session import Session, open_session


def run_search(config: SearchConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Search, and train the survivors; continue the run if it exists.

    Raises the errors of `nas.api.search`; `BadInput` before anything is written.
    """
    job = search_job(config)
    plan = search_plan(config, job)
    make = partial(controller_of, config, plan)
    make(0, config.policy)  # raises before any file is written
    about = RunFile(
        kind="search",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=job.objective,
        metric=job.task.metric,
        higher_is_better=job.task.higher_is_better,
        details={
            "scores": {score.name: score.higher_is_better for score in job.scores},
            "test_sets": list(test_sets(job.task)),
        },
    )
    with open_session(config, about, plan.judged_by, watchers) as session:
        session.search(job, plan, make, config.controller.name, config.policy)
        _picture_best(config, session)


def _picture_best(config: SearchConfig, session: Session) -> None:
    """Add the graph of the best architecture to the trackers, if the space draws any."""
    from nas.jobs.search.report import best_drawings  # matplotlib is not needed before the end
    from nas.reporting.figure import as_png

    space = create("spaces", config.space.name, config.space.options)
    for drawing in best_drawings(read_search(config.run), space)[:1]:
        session.tracking.picture(as_png(drawing.figure))
