"""The small decoder that `nas adapt` trains if no model is given: its network, task and items."""

from typing import cast

import numpy as np
import torch
from torch import nn

from nas.core.errors import BadInput
from nas.core.registry import load_task
from nas.core.settings import Named
from nas.jobs.adapt.items import Item
from nas.models.decoder import small_decoder
from nas.models.source import ModelSource
from nas.models.space import Answering
from nas.tasks.arithmetic import TEST, Arithmetic
from nas.tasks.text import LanguageModelling
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.llama import Llama
from search_spaces.seeding import drawn_from
from search_spaces.space import ModelShape, Space

BYTES = 256  # the tokens of a text task that reads bytes
PROMPT, ANSWER = 48, 2  # characters of an item from a text

DecoderTask = Arithmetic | LanguageModelling


class SmallDecoders(Space):
    """A space whose architectures are numbers of layers."""

    name = "small-decoder"

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.integer("layers", 1, 64),))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        (layers,) = cast(tuple[int], architecture.spec)
        with drawn_from(generator):
            return Answering(small_decoder(layers, shape.data.outputs))


def decoder_task(task: Named) -> DecoderTask:
    """Return the task; raises `BadInput` if the small decoder cannot be trained on it."""
    found = load_task(task.name, task.options)
    if isinstance(found, Arithmetic):
        return found
    if isinstance(found, LanguageModelling) and found.vocabulary == BYTES:
        return found
    raise BadInput(
        f"the small decoder can be trained on arithmetic, python-text or a language-model with "
        f"level=byte, not on {found.name}: pass --model"
    )


def decoder_source(layers: int, task: DecoderTask, weights: bytes | None = None) -> ModelSource:
    """Return a small decoder for a task, untrained if it has no weights."""
    return ModelSource(
        name=f"llama{layers}",
        space=f"{SmallDecoders.__module__}:{SmallDecoders.__name__}",
        architecture=Architecture(SmallDecoders.name, (layers,)),
        shape=ModelShape(task.shape),
        weights=weights,
    )


def built(source: ModelSource) -> Llama:
    """Return the decoder's network."""
    model = source.build(0)
    assert isinstance(model, Answering) and isinstance(model.network, Llama)
    return model.network


def held_out_items(task: DecoderTask, count: int) -> list[Item]:
    """Return about `count` items that training does not see.

    For arithmetic, there are equally many expressions for each number of operations. For a text,
    an item asks for the next `ANSWER` characters at places at equal distances in the test part.
    """
    if isinstance(task, Arithmetic):
        each = -(-count // task.operations)
        return [
            Item(prompt, answer=value, difficulty=str(operations))
            for operations in range(1, task.operations + 1)
            for prompt, value in task.held_out(operations, each, TEST)
        ]
    text = task.test.astype(np.uint8).tobytes().decode(errors="ignore")
    step = (len(text) - PROMPT - ANSWER) / count
    starts = [int(i * step) for i in range(count)] if step >= 1 else []
    return [
        Item(text[i : i + PROMPT], answer=text[i + PROMPT : i + PROMPT + ANSWER]) for i in starts
    ]
