"""Decoders with their tokenizers: trained here, from llama2.c files, or from `transformers`."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from torch import nn

from nas.core.errors import BadInput
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.placement import HERE, Placement
from nas.jobs.adapt.questions import Exact, Letters, Likelihoods, Question
from nas.jobs.adapt.small_decoder import built
from nas.models.source import ModelSource
from nas.tasks.arithmetic import Arithmetic
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.llama import Llama
from search_spaces.layer_chain.llama2c import read_llama, read_vocabulary
from search_spaces.layer_chain.pretrained import Pretrained

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ANSWER = "\nAnswer:"


class Language(Protocol):
    """A decoder that reads text.

    module: the network. decoder: its layers, one by one.
    Raises `ValueError` for text that it cannot encode.
    """

    @property
    def module(self) -> nn.Module: ...

    @property
    def decoder(self) -> Decoder: ...

    def read(self, prompt: str) -> tuple[int, ...]: ...

    def answer_tokens(self, prompt: str, answer: str) -> tuple[int, ...]:
        """Return the tokens of an answer that follows a prompt."""
        ...

    def text(self, tokens: list[int], /) -> str: ...


@dataclass(frozen=True)
class Words:
    """A decoder with a general tokenizer.

    encode: returns a text's tokens, including any start token. text: returns the text of tokens.
    """

    module: nn.Module
    decoder: Decoder
    encode: Callable[[str], list[int]]
    text: Callable[[list[int]], str]

    def read(self, prompt: str) -> tuple[int, ...]:
        return tuple(self.encode(prompt))

    def answer_tokens(self, prompt: str, answer: str) -> tuple[int, ...]:
        before, both = self.encode(prompt), self.encode(prompt + answer)
        if both[: len(before)] != before or len(both) == len(before):
            raise ValueError(f'the tokenizer merges "{answer}" with the end of the prompt')
        return tuple(both[len(before) :])


@dataclass(frozen=True)
class Sums:
    """A decoder with the tokens of `Arithmetic`, whose answers are numbers."""

    module: Llama
    task: Arithmetic

    @property
    def decoder(self) -> Decoder:
        return self.module

    def read(self, prompt: str) -> tuple[int, ...]:
        return tuple(self.task.encode(prompt))

    def answer_tokens(self, prompt: str, answer: str) -> tuple[int, ...]:
        return tuple(self.task.encode(answer))

    def text(self, tokens: list[int], /) -> str:
        return self.task.text(tokens)


@dataclass(frozen=True)
class DecoderSource:
    """A description from which any worker can load a language.

    model: a `transformers` folder or hub name, or a llama2.c file.
    network: instead of `model`, a small decoder that is trained here. arithmetic: its task; None
        if it reads bytes.
    """

    model: str
    network: ModelSource | None = None
    arithmetic: Arithmetic | None = None
    placement: Placement = HERE

    def load(self) -> Language:
        """Load the language; raises `BadInput` if the model cannot be read."""
        if self.network is not None:
            return _trained(self.network, self.arithmetic, self.placement)
        if self.model.endswith(".bin"):
            return _llama2c(Path(self.model), self.placement)
        return _transformers(self.model, self.placement)


@lru_cache(maxsize=1)  # once per worker
def _trained(network: ModelSource, arithmetic: Arithmetic | None, placement: Placement) -> Language:
    model = placement.cast(built(network).requires_grad_(False).eval())
    if arithmetic is not None:
        return Sums(model, arithmetic)

    def text(tokens: list[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    return Words(model, model, lambda text: list(text.encode()), text)


@lru_cache(maxsize=1)
def _llama2c(path: Path, placement: Placement) -> Language:
    vocabularies = sorted(path.parent.glob("tok*.bin"))
    if not path.exists() or not vocabularies:
        raise BadInput(f"{path}: the model or its tokenizer, tok….bin, is missing: put both there")
    try:
        model = placement.cast(read_llama(path))
        vocabulary = read_vocabulary(vocabularies[0], model.size.tokens)
    except ValueError as error:
        raise BadInput(str(error)) from None
    return Words(model, model, vocabulary.encode, vocabulary.decode)


@lru_cache(maxsize=1)
def _transformers(name: str, placement: Placement) -> Language:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise BadInput(f'{name} needs transformers: pip install "transformers>=5"') from None
    if _is_path(name) and not Path(name).exists():
        raise BadInput(
            f"{name} does not exist: pass a model's folder, or its name on the hub, OWNER/NAME"
        )
    without_bars()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = placement.placed(
            AutoModelForCausalLM.from_pretrained(
                name, dtype=placement.dtype, device_map=placement.map
            )
        )
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{name} cannot be loaded: {reason[:300]}") from None
    try:
        decoder = Pretrained(model.requires_grad_(False))
    except ValueError as error:
        raise BadInput(f"{name} cannot be adapted: {error}") from None

    def encode(text: str) -> list[int]:
        return list(tokenizer(text)["input_ids"])

    return Words(model, decoder, encode, tokenizer.decode)


def _is_path(name: str) -> bool:
    """Return whether a name cannot be that of a model on the hub, or starts with a folder here."""
    first, *others = Path(name).parts or (name,)
    hub = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and first not in (".", "..")
    return not hub or (bool(others) and Path(first).is_dir())


def without_bars() -> None:
    """Turn off progress bars of `transformers` and `huggingface_hub`, and its lines on retries."""
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bars()
    disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def question_of(item: Item, language: Language, likelihoods: bool) -> Question:
    """Return the item as a question in the language's tokens.

    likelihoods: judge choices by their texts, not by the letters before them.
    Raises `BadInput` for an answer that the language cannot encode.
    """
    try:
        if not item.choices:
            answer = language.answer_tokens(item.prompt, item.answer)
            return Exact(language.read(item.prompt), answer)
        if likelihoods:
            prompt = item.prompt + ANSWER
            options = tuple(language.answer_tokens(prompt, f" {text}") for text in item.choices)
            return Likelihoods(language.read(prompt), options, item.gold)
        lines = [f"{a}. {choice}" for a, choice in zip(LETTERS, item.choices, strict=False)]
        prompt = "\n".join([item.prompt, *lines]) + ANSWER
        letters = [language.answer_tokens(prompt, f" {a}") for a in LETTERS[: len(lines)]]
    except ValueError as error:
        raise BadInput(f'"{_short(item.prompt)}": {error}') from None
    if any(len(tokens) != 1 for tokens in letters):
        raise BadInput(
            f'"{_short(item.prompt)}": the tokenizer has no single token for each letter from A to '
            f"{LETTERS[len(lines) - 1]}: use --answers likelihoods"
        )
    return Letters(language.read(prompt), tuple(tokens[0] for tokens in letters), item.gold)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
