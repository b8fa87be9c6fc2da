"""Makes an adaptation's items and job from its settings, and refuses what cannot work."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.core.errors import BadInput, NasError
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.gguf_file import check_gguf
from nas.jobs.adapt.items import Item, read_items
from nas.jobs.adapt.job import AdaptJob, SampleGroups
from nas.jobs.adapt.language import DecoderSource, Language, question_of
from nas.jobs.adapt.oracle import Search
from nas.jobs.adapt.placement import Placement
from nas.jobs.adapt.small_decoder import decoder_source, decoder_task, held_out_items
from nas.loop.candidate import Candidate
from nas.models.trained import with_trained_weights
from nas.tasks.arithmetic import Arithmetic
from nas.training import TrainingSettings
from search_spaces.layer_chain.chain import SIZES, Rules, skips_and_repeats
from search_spaces.layer_chain.faithful import check_chains

TRAINING = TrainingSettings(learning_rate=2e-3, weight_decay=0.0, clip=1.0)  # for the small decoder


@dataclass(frozen=True, slots=True)
class Items:
    """samples: searched one by one. fit: choose the shared chains and router. test: judge both."""

    samples: tuple[Item, ...]
    fit: tuple[Item, ...]
    test: tuple[Item, ...]


def find_source(config: AdaptConfig) -> DecoderSource:
    """Return the model, or an untrained decoder if none is named.

    Raises `BadInput` if the device is not there, or if the model cannot be used.
    """
    placement = Placement(config.device, config.dtype)
    placement.check(config.model, config.execution.executor == "serial")
    if config.model:
        source = DecoderSource(config.model, placement=placement)
        source.load()
        return source
    task = decoder_task(config.task)
    network = decoder_source(config.decoder.layers, task)
    arithmetic = task if isinstance(task, Arithmetic) else None
    return DecoderSource("", network, arithmetic, placement)


def with_trained_decoder(source: DecoderSource, config: AdaptConfig, run: Path) -> DecoderSource:
    """Return the source, after training its decoder if it has no weights; keeps them in the run."""
    if source.network is None:
        return source
    file, task = run / "decoder.safetensors", decoder_task(config.task)
    steps = config.decoder.steps
    return replace(
        source, network=with_trained_weights(source.network, task, steps, TRAINING, file)
    )


def check_found(candidates: Sequence[Candidate]) -> None:
    """Raise `NasError` if every candidate failed."""
    if not any(c.rungs for c in candidates):
        raise NasError(f"every search failed; the first one with: {candidates[0].failed}")


def find_items(config: AdaptConfig, source: DecoderSource) -> Items:
    """Return the items in an order that depends only on the seed."""
    if config.items is not None:
        items = read_items(config.items)
    elif source.network is not None:
        items = held_out_items(decoder_task(config.task), config.samples + config.others)
    else:
        raise BadInput(f"no questions for {config.model}: pass --items FILE.jsonl")
    order = np.random.default_rng([config.seed, 3]).permutation(len(items))
    shuffled = [items[i] for i in order]
    samples = shuffled[: config.samples]
    others = shuffled[config.samples : config.samples + config.others]
    fit, test = others[::2], others[1::2]
    if config.generate and any(item.choices for item in items):
        raise BadInput("--set generate=N needs items with answer, not with choices: leave it out")
    if (config.static or config.menu) and not test:
        raise BadInput(
            f"{len(items)} items are too few for {config.samples} samples and a test of static "
            "chains and the router: lower --samples, or pass --no-static --menu 0"
        )
    return Items(tuple(samples), tuple(fit), tuple(test))


def adapt_job(config: AdaptConfig, source: DecoderSource, items: Items) -> AdaptJob:
    """Return the job; raises `BadInput` for an unusable item or too little memory."""
    language = source.load()
    likelihoods = config.answers == "likelihoods"
    for item in (*items.samples, *items.fit, *items.test):
        question_of(item, language, likelihoods)
    layers = language.decoder.layers
    groups = -(-len(items.samples) // config.group)
    job = AdaptJob(
        space=SampleGroups(groups),
        source=source,
        items=items.samples,
        group=config.group,
        rules=rules_of(config, layers),
        search=Search(config.simulations, config.batch, config.objective, config.by, config.search),
        likelihoods=likelihoods,
        memory_bytes=memory_bytes(config.memory),
        seed=config.seed,
    )
    try:
        job.evaluator(items.samples[: config.group])
        for asked in (items.fit, items.test):
            if asked:
                job.evaluator(asked, 2)
    except ValueError as error:
        raise BadInput(f"--memory {config.memory:g}: {error}") from None
    if items.test and (config.static or config.heal_steps):
        check_exports(config, language, job.rules)
    return job


def rules_of(config: AdaptConfig, layers: int) -> Rules:
    """Return the rules of chains that the settings allow."""
    repeats = [(size, times) for size in SIZES for times in SIZES if times > 1]
    edits = skips_and_repeats(
        SIZES if "skip" in config.actions else (), repeats if "repeat" in config.actions else ()
    )
    return Rules(layers, edits, most=config.edits)


def check_exports(config: AdaptConfig, language: Language, rules: Rules) -> None:
    """Raise `BadInput` if the chains that a search may find cannot be written as checkpoints."""
    if config.gguf:
        found = getattr(language.module, "config", None)
        check_gguf(found.to_dict() if found is not None else {"model_type": "llama"})
    try:
        check_chains(language.decoder, language.module, rules)
    except ValueError as error:
        raise BadInput(
            f"{error}: pass --actions skip if only repeats fail, or search without exports, with "
            "--no-static --set heal_steps=0"
        ) from None


def memory_bytes(mebibytes: float) -> int:
    """Convert to bytes; raises `BadInput` if this machine has less."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = int(mebibytes * 2**20)
    if wanted > there:
        raise BadInput(f"--memory {mebibytes:g}: this machine has only {there / 2**20:.0f} MiB")
    return wanted
