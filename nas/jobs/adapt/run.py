"""An adaptation from its settings to its chains, its router and its checkpoints."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from safetensors.torch import save

from nas.core.errors import NasError
from nas.core.files import write_atomically
from nas.execution.choice import executor_of
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.export import write_network
from nas.jobs.adapt.free_text import generated_accuracy
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.job import AdaptJob, found_from_bytes
from nas.jobs.adapt.language import DecoderSource
from nas.jobs.adapt.report import AdaptSummary, write_adapt_report
from nas.jobs.adapt.setup import DECODER, adapt_job, find_items, find_source
from nas.jobs.adapt.shared_chains import Evaluators, Generated, healed_chain, menu_for, statics_of
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.grid import Shown, whole_grid
from nas.loop.run_folder import Run
from nas.loop.signals import stop_on_signals
from nas.loop.tensorboard import Tracker
from nas.models.trained import with_trained_weights
from nas.training import TrainingSettings
from search_spaces.layer_chain.shortened import shortened

METRIC = "right"
TRAINING = TrainingSettings(learning_rate=2e-3, weight_decay=0.0, clip=1.0)  # of the small decoder


def run_adapt(config: AdaptConfig, watchers: Sequence[Watcher] = ()) -> AdaptSummary:
    """Search chains for every sample, then what serves all; go on with the run where it exists.

    Raises `BadInput` before anything is written, and as `nas.api.search` does.
    """
    started = time.monotonic()
    source = find_source(config)
    items = find_items(config, source)
    job = adapt_job(config, source, items)
    here = config.execution.executor == "serial"
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, METRIC, True)) as tracker,
        executor_of(config.execution) as executor,
        stop_on_signals(config.execution.grace, here) as stop,
    ):
        job = replace(job, source=_trained(source, config, run))
        shown = Shown("nas adapt", METRIC, [tracker, *watchers])
        candidates = whole_grid(
            run, job, executor, stop, config.execution, config.simulations, shown
        )
        summary = _summary(run, job, config, candidates)
        if items.test:
            evaluators = Evaluators(job.evaluator(items.fit), job.evaluator(items.test))
            summary = _put_to_use(summary, job, config, run, evaluators, items.test)
        summary = replace(summary, seconds=time.monotonic() - started)
        write_adapt_report(summary, run.folder / "report")
    return summary


def _trained(source: DecoderSource, config: AdaptConfig, run: Run) -> DecoderSource:
    """The source, with a decoder that is trained if there was none."""
    if source.trained is None:
        return source
    network, task = source.trained
    file = run.folder / "decoder.safetensors"
    network = with_trained_weights(network, task, config.decoder_steps, TRAINING, file)
    return DecoderSource("", (network, task))


def _summary(
    run: Run, job: AdaptJob, config: AdaptConfig, candidates: Sequence[Candidate]
) -> AdaptSummary:
    """What was found for the samples; raises `NasError` where nothing was."""
    done = [c for c in candidates if c.rungs]
    if not done:
        raise NasError(f"no sample could be searched; the first: {candidates[0].failed}")
    found = [
        one
        for candidate in done
        for one in found_from_bytes(run.read_checkpoint(candidate.rungs[-1].checkpoint))
    ]
    return AdaptSummary(
        name=run.folder.name,
        model=config.model or DECODER,
        search=job.search,
        found=tuple(found),
        items=tuple(job.items[n] for c in done for n in job.samples(c.architecture)),
        failed=tuple(c.failed for c in candidates if c.failed),
        layer_calls=int(sum(c.measures["layer_calls"] for c in done)),
        layer_calls_naive=int(sum(c.measures["layer_calls_naive"] for c in done)),
    )


def _put_to_use(
    summary: AdaptSummary,
    job: AdaptJob,
    config: AdaptConfig,
    run: Run,
    evaluators: Evaluators,
    test: Sequence[Item],
) -> AdaptSummary:
    """What serves inputs that nobody searched for, judged on items that chose nothing."""
    if config.static:
        statics, best = statics_of(job, evaluators, config)
        summary = replace(summary, statics=tuple(statics), best_static=best)
        network = shortened(job.source.load().module, statics[best].chain)
        write_network(network, run.folder / "static", evaluators.test)
        if config.generate:
            chains = (job.rules.full, statics[best].chain)
            said = (generated_accuracy(job.source.load(), test, c, config.generate) for c in chains)
            summary = replace(summary, generated=Generated(*said))
        if config.heal_steps:
            healed, short = healed_chain(job, statics, evaluators, config)
            write_network(short, run.folder / "healed", evaluators.test)
            summary = replace(summary, healed=healed)
    if config.menu:
        menu, router = menu_for(summary.found, summary.statics, evaluators, config)
        write_atomically(run.folder / "router.safetensors", save(router.state_dict()))
        write_atomically(run.folder / "menu.json", json.dumps(menu.chains))
        summary = replace(summary, menu=menu)
    return summary
