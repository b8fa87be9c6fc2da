"""Makes an adaptation's items and job from its settings, and refuses what cannot work."""

import os
from dataclasses import dataclass

import numpy as np

from nas.core.errors import BadInput
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.items import Item, read_items
from nas.jobs.adapt.job import AdaptJob, SampleGroups
from nas.jobs.adapt.language import DecoderSource, question_of
from nas.jobs.adapt.oracle import Search
from nas.models.source import find_model
from nas.tasks.arithmetic import TEST, Arithmetic
from search_spaces.layer_chain.chain import SIZES, Rules, skips_and_repeats
from search_spaces.layer_chain.faithful import check_chains
from search_spaces.space import ModelSize

DECODER = "llama8"  # the default model, which is trained first


@dataclass(frozen=True, slots=True)
class Items:
    """samples: searched one by one. fit: choose the shared chains and router. test: judge both."""

    samples: tuple[Item, ...]
    fit: tuple[Item, ...]
    test: tuple[Item, ...]


def find_source(config: AdaptConfig) -> DecoderSource:
    """Return the model, or an untrained decoder if none is named; raises `BadInput` otherwise."""
    if config.model:
        source = DecoderSource(config.model)
        source.load()
        return source
    network, task = find_model(DECODER, None, config.task, ModelSize())
    if not isinstance(task, Arithmetic):
        raise BadInput(
            f"the small decoder can only be trained on arithmetic, not on {task.name}: pass --model"
        )
    return DecoderSource("", (network, task))


def find_items(config: AdaptConfig, source: DecoderSource) -> Items:
    """Return the items in an order that depends only on the seed."""
    if config.items is not None:
        items = read_items(config.items)
    elif source.trained is not None:
        items = _expressions(source.trained[1], config.samples + config.others)
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
    repeats = [(size, times) for size in SIZES for times in SIZES if times > 1]
    edits = skips_and_repeats(
        SIZES if "skip" in config.actions else (), repeats if "repeat" in config.actions else ()
    )
    groups = -(-len(items.samples) // config.group)
    job = AdaptJob(
        space=SampleGroups(groups),
        source=source,
        items=items.samples,
        group=config.group,
        rules=Rules(layers, edits, most=config.edits),
        search=Search(config.simulations, config.batch, config.objective, config.by),
        likelihoods=likelihoods,
        memory_bytes=_memory(config.memory),
        seed=config.seed,
    )
    try:
        for asked in (items.samples[: config.group], items.fit, items.test):
            if asked:
                job.evaluator(asked)
    except ValueError as error:
        raise BadInput(f"--memory {config.memory:g}: {error}") from None
    if items.test and (config.static or config.heal_steps):
        _check_exports(config, job)
    return job


def _check_exports(config: AdaptConfig, job: AdaptJob) -> None:
    """Raise `BadInput` if the chains that a search may find cannot be written as checkpoints."""
    language = job.source.load()
    try:
        check_chains(language.decoder, language.module, job.rules)
    except ValueError as error:
        raise BadInput(
            f"{error}: pass --actions skip if only repeats fail, or search without exports, with "
            "--no-static --set heal_steps=0"
        ) from None


def _memory(mebibytes: float) -> int:
    """Convert to bytes; raises `BadInput` if this machine has less."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = int(mebibytes * 2**20)
    if wanted > there:
        raise BadInput(f"--memory {mebibytes:g}: this machine has only {there / 2**20:.0f} MiB")
    return wanted


def _expressions(task: Arithmetic, count: int) -> list[Item]:
    """Return held-out expressions, equally many for each number of operations."""
    each = -(-count // task.operations)
    return [
        Item(prompt, answer=value, difficulty=str(operations))
        for operations in range(1, task.operations + 1)
        for prompt, value in task.held_out(operations, each, TEST)
    ]
