"""Reduces a decoder's depth with a plain text, heals what is left, and writes it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nas.core.files import write_atomically
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.export import to_compare, write_chain, write_network
from nas.jobs.adapt.harness import judge_exports
from nas.jobs.adapt.healing import heal
from nas.jobs.adapt.setup import (
    check_exports,
    check_found,
    find_source,
    memory_bytes,
    rules_of,
    with_trained_decoder,
)
from nas.jobs.adapt.speed import speeds
from nas.jobs.adapt.stages import stage
from nas.jobs.adapt.static import FULL
from nas.jobs.adapt.text.job import Depth, TextJob, depths_from_bytes, method_of
from nas.jobs.adapt.text.results import FILE, Chosen, Healed, read_depths
from nas.jobs.adapt.text.windows import read_windows
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.run_folder import RunFolder
from nas.loop.session import open_session
from search_spaces.layer_chain.shortened import shortened

HEALED = (0.75, 0.5, 0.25)  # shares of the layers


def reduce_depth(config: AdaptConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Find chains of every length by every method; continue the run if it exists.

    Raises the errors of `nas.api.search`; `BadInput` before anything is written.
    """
    assert config.text is not None
    source = find_source(config)
    language = source.load()
    job = TextJob(
        source=source,
        windows=read_windows(config.text, language, config.windows, config.window),
        rules=rules_of(config, language.decoder.layers),
        simulations=config.simulations,
        memory_bytes=memory_bytes(config.memory),
        seed=config.seed,
    )
    check_exports(config, language, job.rules)
    about = RunFile(
        kind="adapt",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=job.objective,
        metric="perplexity",
        higher_is_better=False,
        details={"model": config.model_name, "depth": job.rules.layers},
    )
    with open_session(config, about, watchers=watchers) as session:
        job = replace(job, source=with_trained_decoder(source, config, session.run.folder))
        candidates = session.whole_grid(job, 1)
        check_found(candidates)
        known = read_depths(session.run.folder).chosen
        if known is None or known.settings != config.stages():
            chosen = _chosen(job, config, session.run, candidates)
            write_atomically(session.run.folder / FILE, chosen.to_json())
        judge_exports(config, session.run.folder)


def _chosen(
    job: TextJob, config: AdaptConfig, run: RunFolder, candidates: Sequence[Candidate]
) -> Chosen:
    """Choose a chain, heal others, write both as checkpoints, and measure their speed."""
    full = _full(job)
    depths = [
        (method_of(c.architecture), depth)
        for c in candidates
        if c.rungs
        for depth in depths_from_bytes(run.read_checkpoint(c.rungs[-1].checkpoint))
    ]
    close = [
        (method, depth)
        for method, depth in [(FULL, full), *depths]
        if depth.fit.is_close_to(full.fit, config.tolerance)
    ]
    method, best = min(close, key=lambda pair: (len(pair[1].chain), -pair[1].fit.log_likelihood))
    language = job.source.load()
    tokens = to_compare(job.windows.test, language.decoder.tokens, job.memory_bytes)
    with stage("export"):
        write_chain(language, best.chain, run.folder / "static", tokens, config.gguf)
    healed = list(_healed(job, config, run, [depth for _, depth in depths], tokens))
    chains = list(dict.fromkeys([full.chain, best.chain, *(one.chain for one in healed)]))
    with stage("speed"):
        measured = speeds(job.source.load().decoder, chains, job.windows.test[:1])
    return Chosen(config.stages(), method, best, full, tuple(healed), tuple(measured))


def _full(job: TextJob) -> Depth:
    chain = job.rules.full
    (fit,), (test,) = (evaluator([chain]) for evaluator in job.evaluators())
    return Depth(chain, fit, test)


def _healed(
    job: TextJob, config: AdaptConfig, run: RunFolder, depths: Sequence[Depth], tokens: Tensor
) -> Iterable[Healed]:
    """Train the best chain of three lengths; keeps the one of half the layers.

    tokens: to compare its checkpoint with it.
    """
    if not config.heal_steps:
        return
    whole, (_, test) = job.source.load().module, job.evaluators()
    rows, half = job.windows.heal, max(1, job.rules.layers // 2)
    sizes = torch.full((len(rows),), rows.shape[1])
    lengths = dict.fromkeys(max(1, int(share * job.rules.layers)) for share in HEALED)
    for length in lengths:
        of_length = [depth for depth in depths if len(depth.chain) == length]
        best = max(of_length, key=lambda depth: depth.fit)
        for way in config.heal:
            short = shortened(whole, best.chain)
            with stage(f"healing {length} layers, {way}") as tick:
                steps, seed, memory = config.heal_steps, config.seed, job.memory_bytes
                short = heal(short, whole, rows, sizes, steps, seed, way, memory, tick)
            after = test.grade_of(short)
            if length == half:
                write_network(short, run.folder / f"healed-{way}", tokens, gguf=config.gguf)
            yield Healed(way, best.chain, best.test, after)
