"""Generates free-text answers with a chain, and compares them as a reader would."""

import re
from collections.abc import Sequence
from fractions import Fraction

import torch

from nas.jobs.adapt.items import Item
from nas.jobs.adapt.language import Language
from nas.jobs.adapt.stages import Tick, silent
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import generate

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+|/\d+)?")


def generated_answers(
    language: Language, items: Sequence[Item], chain: Chain, tokens: int, tick: Tick = silent
) -> tuple[bool, ...]:
    """Return for each item whether its greedy continuation by `tokens` tokens gives the answer.

    Every layer call of the chain has its own key and value cache.
    """
    right = []
    for item in items:
        tick(len(right), len(items))
        prompt = torch.tensor([language.read(item.prompt)])
        new = generate(language.decoder, prompt, chain, tokens)[0, prompt.shape[1] :]
        right.append(gives(language.text(new.tolist()), item.answer))
    return tuple(right)


def gives(text: str, answer: str) -> bool:
    """Return whether a text's first line is the answer, or its last number equals it.

    >>> gives(" Paris.\\nAnd so on", "paris"), gives("it is 0.5", "1/2"), gives("12, not 13", "12")
    (True, True, False)
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    if _plain(line) == _plain(answer):
        return True
    wanted, found = _number(answer.strip()), NUMBER.findall(line)
    return wanted is not None and bool(found) and _number(found[-1]) == wanted


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _number(text: str) -> Fraction | None:
    return Fraction(text.replace(",", "")) if NUMBER.fullmatch(text) else None
