"""An adaptation's settings made into its samples and its job; what cannot work is refused here."""

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
from search_spaces.space import ModelSize

DECODER = "llama8"  # what is trained where no model is given


@dataclass(frozen=True, slots=True)
class Items:
    """samples: each gets chains of its own. fit: choose what serves all. test: judge that."""

    samples: tuple[Item, ...]
    fit: tuple[Item, ...]
    test: tuple[Item, ...]


def find_source(config: AdaptConfig) -> DecoderSource:
    """The model, still to be trained if none is given; raises `BadInput` for one of no use."""
    if config.model:
        source = DecoderSource(config.model)
        source.load()
        return source
    network, task = find_model(DECODER, None, config.task, ModelSize())
    if not isinstance(task, Arithmetic):
        raise BadInput(
            f"the small decoder is trained on arithmetic, not on {task.name}: use --model"
        )
    return DecoderSource("", (network, task))


def find_items(config: AdaptConfig, source: DecoderSource) -> Items:
    """The items in an order that depends on the seed only."""
    if config.items is not None:
        items = read_items(config.items)
    elif source.trained is not None:
        items = _expressions(source.trained[1], config.samples + config.others)
    else:
        raise BadInput(f"what shall {config.model} be asked? Give --items FILE.jsonl")
    order = np.random.default_rng([config.seed, 3]).permutation(len(items))
    shuffled = [items[i] for i in order]
    samples = shuffled[: config.samples]
    others = shuffled[config.samples : config.samples + config.others]
    fit, test = others[::2], others[1::2]
    if config.generate and any(item.choices for item in items):
        raise BadInput("--set generate=N needs items with an answer, not with choices")
    if (config.static or config.menu) and not test:
        raise BadInput(
            f"{len(items)} items leave none beside {config.samples} samples to judge static chains "
            "and the router on: give fewer --samples, or --no-static --menu 0"
        )
    return Items(tuple(samples), tuple(fit), tuple(test))


def adapt_job(config: AdaptConfig, source: DecoderSource, items: Items) -> AdaptJob:
    """Raises `BadInput` for an item that cannot be asked, and for memory that is not there."""
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
    return job


def _memory(mebibytes: float) -> int:
    """As bytes; raises `BadInput` when this machine has less."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = int(mebibytes * 2**20)
    if wanted > there:
        raise BadInput(f"--memory {mebibytes:g} MiB: this machine has {there / 2**20:.0f} MiB")
    return wanted


def _expressions(task: Arithmetic, count: int) -> list[Item]:
    """Held-out expressions, as many of every number of operations as there are."""
    each = -(-count // task.operations)
    return [
        Item(prompt, answer=value, difficulty=str(operations))
        for operations in range(1, task.operations + 1)
        for prompt, value in task.held_out(operations, each, TEST)
    ]
