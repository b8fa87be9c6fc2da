"""Cuts a plain text into windows of tokens."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas.core.errors import BadInput
from nas.core.files import read_text
from nas.jobs.adapt.language import Language

CHARACTERS = 8  # read per token that is wanted; tokens of English have about 4
HEALING = 15  # times as many windows for healing as for choosing chains


@dataclass(frozen=True)
class Windows:
    """Windows of a text, each `[n, T]` tokens: for healing, for choosing chains, for the test.

    heal includes the windows of fit; the test windows follow them in the text.
    """

    heal: Tensor
    fit: Tensor
    test: Tensor


def read_windows(path: Path, language: Language, count: int, length: int) -> Windows:
    """Read a text from its beginning.

    count: the most windows of fit and of test. length: tokens per window. Each window begins like
        a text, so with the start token if the tokenizer has one.
    Raises `BadInput` for a text that cannot be read or has fewer than four windows.
    """
    text = read_text(path)
    found = _windows(path, text, language, (HEALING + 1) * count, length)
    if len(found) < 4:
        raise BadInput(
            f"{path} has {len(found)} windows of {length} tokens, but needs four: give a longer "
            "text or lower --set window"
        )
    windows, tested = torch.tensor(found), min(count, len(found) // 2)
    heal, test = windows[:-tested], windows[-tested:]
    return Windows(heal, heal[:: max(1, len(heal) // count)][:count], test)


def _windows(
    path: Path, text: str, language: Language, most: int, length: int
) -> list[tuple[int, ...]]:
    found, place = [], 0
    while place < len(text) and len(found) < most:
        try:
            tokens = language.read(text[place : place + CHARACTERS * length])[:length]
        except ValueError as error:
            raise BadInput(f"{path} at character {place}: {error}") from None
        if len(tokens) < length:
            break
        found.append(tokens)
        place += max(1, len(language.text(list(tokens))))
    return found
