"""Runs an adaptation and writes its chains, its router and its checkpoints."""

import json
from collections.abc import Sequence
from dataclasses import replace

from safetensors.torch import save

from nas.core.errors import NasError
from nas.core.files import write_atomically
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.export import write_network
from nas.jobs.adapt.free_text import generated_accuracy
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.job import AdaptJob, found_from_bytes
from nas.jobs.adapt.language import DecoderSource
from nas.jobs.adapt.setup import DECODER, adapt_job, find_items, find_source
from nas.jobs.adapt.shared_chains import (
    Evaluators,
    Generated,
    SharedChains,
    healed_chain,
    menu_for,
    statics_of,
)
from nas.jobs.adapt.summary import SHARED
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.run_folder import RunFolder
from nas.loop.session import open_session
from nas.models.trained import with_trained_weights
from nas.training import TrainingSettings
from search_spaces.layer_chain.shortened import shortened

METRIC = "right"
TRAINING = TrainingSettings(learning_rate=2e-3, weight_decay=0.0, clip=1.0)  # for the small decoder


def run_adapt(config: AdaptConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Search chains for every sample, then for all inputs; continue the run if it exists.

    Raises the errors of `nas.api.search`; `BadInput` before anything is written.
    """
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
        details={"model": config.model or DECODER, "depth": job.rules.layers},
    )
    with open_session(config, about, watchers=watchers) as session:
        job = replace(job, source=_trained(source, config, session.run))
        candidates = session.whole_grid(job, config.simulations)
        _check_found(candidates)
        if items.test:
            evaluators = Evaluators(job.evaluator(items.fit), job.evaluator(items.test))
            shared = _share(job, config, session.run, candidates, evaluators, items.test)
            write_atomically(session.run.folder / SHARED, shared.to_json())


def _trained(source: DecoderSource, config: AdaptConfig, run: RunFolder) -> DecoderSource:
    """Return the source, after training its decoder if it has no weights."""
    if source.trained is None:
        return source
    network, task = source.trained
    file = run.folder / "decoder.safetensors"
    network = with_trained_weights(network, task, config.decoder_steps, TRAINING, file)
    return DecoderSource("", (network, task))


def _check_found(candidates: Sequence[Candidate]) -> None:
    """Raise `NasError` if the search failed for every group of samples."""
    if not any(c.rungs for c in candidates):
        raise NasError(f"every search failed; the first one with: {candidates[0].failed}")


def _share(
    job: AdaptJob,
    config: AdaptConfig,
    run: RunFolder,
    candidates: Sequence[Candidate],
    evaluators: Evaluators,
    test: Sequence[Item],
) -> SharedChains:
    """Find chains and a router for all inputs, and test them on held-out items."""
    shared = SharedChains()
    if config.static:
        statics, best = statics_of(job, evaluators, config)
        shared = replace(shared, statics=tuple(statics), best_static=best)
        network = shortened(job.source.load().module, statics[best].chain)
        write_network(network, run.folder / "static", evaluators.test.tokens[:4])
        if config.generate:
            chains = (job.rules.full, statics[best].chain)
            language = job.source.load()
            right = (generated_accuracy(language, test, c, config.generate) for c in chains)
            shared = replace(shared, generated=Generated(*right))
        if config.heal_steps:
            healed, short = healed_chain(job, statics, evaluators, config)
            write_network(short, run.folder / "healed", evaluators.test.tokens[:4])
            shared = replace(shared, healed=healed)
    if config.menu:
        found = [
            one
            for c in candidates
            if c.rungs
            for one in found_from_bytes(run.read_checkpoint(c.rungs[-1].checkpoint))
        ]
        menu, router = menu_for(found, shared.statics, evaluators, config)
        write_atomically(run.folder / "router.safetensors", save(router.state_dict()))
        write_atomically(run.folder / "menu.json", json.dumps(menu.chains))
        shared = replace(shared, menu=menu)
    return shared
