"""Answers in free text: generated with a chain, and compared as a reader would."""

import re
from collections.abc import Sequence
from fractions import Fraction

import torch

from nas.jobs.adapt.items import Item
from nas.jobs.adapt.language import Language
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import generate

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+|/\d+)?")


def generated_accuracy(
    language: Language, items: Sequence[Item], chain: Chain, tokens: int
) -> float:
    """Share of items whose greedy continuation of so many tokens says the answer.

    Every call of the chain keeps its own keys and values.
    """
    right = 0
    for item in items:
        prompt = torch.tensor([language.read(item.prompt)])
        said = generate(language.decoder, prompt, chain, tokens)[0, prompt.shape[1] :]
        right += says(language.text(said.tolist()), item.answer)
    return right / len(items)


def says(text: str, answer: str) -> bool:
    """Whether the first line of a text is the answer or, of a number, ends in an equal one.

    >>> says(" Paris.\\nAnd so on", "paris"), says("so it is 0.5", "1/2"), says("12, not 13", "12")
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
