"""Runs an adaptation and writes its chains, its router and its checkpoints."""

from collections.abc import Sequence
from dataclasses import replace

from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.harness import check_harness, judge_exports
from nas.jobs.adapt.job import AdaptJob, found_from_bytes
from nas.jobs.adapt.setup import (
    Items,
    adapt_job,
    check_found,
    find_items,
    find_source,
    with_trained_decoder,
)
from nas.jobs.adapt.shared_chains import Evaluators, SharedChains
from nas.jobs.adapt.sharing import Sharing, stages_of
from nas.jobs.adapt.summary import SHARED
from nas.jobs.adapt.text.run import reduce_depth
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.run_folder import RunFolder
from nas.loop.session import open_session

METRIC = "right"


def run_adapt(config: AdaptConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Search chains for every sample, then for all inputs; continue the run if it exists.

    Raises the errors of `nas.api.search`; `BadInput` before anything is written.
    """
    check_harness(config)
    if config.text is not None:
        reduce_depth(config, watchers)
        return
    source = find_source(config)
    items = find_items(config, source)
    job = adapt_job(config, source, items)
    about = RunFile(
        kind="adapt",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=job.objective,
        metric=METRIC,
        higher_is_better=True,
        details={"model": config.model_name, "depth": job.rules.layers},
    )
    with open_session(config, about, watchers=watchers) as session:
        job = replace(job, source=with_trained_decoder(source, config, session.run.folder))
        candidates = session.whole_grid(job, config.simulations)
        check_found(candidates)
        if items.test:
            _share(job, config, session.run, items, candidates)
            judge_exports(config, session.run.folder)


def _share(
    job: AdaptJob,
    config: AdaptConfig,
    run: RunFolder,
    items: Items,
    candidates: Sequence[Candidate],
) -> None:
    """Run the stages after the search, except those that an earlier driver finished."""
    file = run.folder / SHARED
    shared = SharedChains(config.stages(), difficulties=tuple(i.difficulty for i in items.test))
    if file.exists():
        known = SharedChains.from_json(file.read_text())
        shared = known if known.settings == config.stages() else shared
    if set(stages_of(config)) <= set(shared.done):
        return
    evaluators = Evaluators(job.evaluator(items.fit, 2), job.evaluator(items.test, 2))
    found = [
        one
        for c in candidates
        if c.rungs
        for one in found_from_bytes(run.read_checkpoint(c.rungs[-1].checkpoint))
    ]
    Sharing(job, config, run, evaluators, items.test, found, shared, file).all_stages()
