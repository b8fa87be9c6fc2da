"""Reads question sets from JSON Lines files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.json_text import json_lines

PROMPTS = ("query", "prompt", "question", "context")
ANSWERS = ("answer", "continuation")
FINAL = "####"  # separates the reasoning from the final answer (GSM8K)


@dataclass(frozen=True, slots=True)
class Item:
    """A question and its correct answer.

    choices, gold: the options and the correct one's number; answer: for a question without options.
    difficulty: a group to report separately, "" for none.
    """

    prompt: str
    choices: tuple[str, ...] = ()
    gold: int = 0
    answer: str = ""
    difficulty: str = ""


def read_items(path: Path) -> list[Item]:
    """Read lines with `query, choices, gold` or `prompt, answer`, and optionally `difficulty`.

    `question` and `context` also name a prompt, `continuation` an answer.
    Raises `BadInput` naming the first line that fits neither form.
    """
    items = [_item(where, data) for where, data in json_lines(path)]
    if not items:
        raise BadInput(f"{path} has no items: write one JSON object per line")
    return items


def _item(where: str, data: Any) -> Item:
    if not isinstance(data, dict):
        raise BadInput(f"{where} is not a JSON object: write {{...}}")
    given = ((key, data[key]) for key in PROMPTS if isinstance(data.get(key), str))
    prompt = next((_text(where, key, text) for key, text in given), "")
    if not prompt:
        raise BadInput(f"{where} has no prompt: add one of {', '.join(PROMPTS)}")
    difficulty = str(data.get("difficulty", ""))
    if "choices" in data:
        return _with_choices(where, prompt, data, difficulty)
    written = ((key, data[key]) for key in ANSWERS if data.get(key) not in (None, ""))
    answer = next((_text(where, key, value) for key, value in written), "")
    answer = answer.rpartition(FINAL)[2].strip(" ") if FINAL in answer else answer
    if not answer:
        raise BadInput(f"{where} has no answer: add choices and gold, or answer")
    return Item(prompt, answer=answer, difficulty=difficulty)


def _with_choices(where: str, prompt: str, data: dict[str, Any], difficulty: str) -> Item:
    choices, gold = data["choices"], data.get("gold")
    if not isinstance(choices, list) or len(choices) < 2:
        raise BadInput(f"{where}: choices must be a list of two or more")
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise BadInput(
            f"{where}: gold must be the number of the correct choice, 0 to {len(choices) - 1}, "
            f"not {gold!r}"
        )
    texts = tuple(_text(where, "choices", choice) for choice in choices)
    return Item(prompt, texts, gold, difficulty=difficulty)


def _text(where: str, key: str, value: Any) -> str:
    """Return a text or number as text; raises `BadInput` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadInput(f"{where}: {key} must be text or a number, not {value!r}")
    text = str(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadInput(f"{where}: {key} holds half of a surrogate pair: write the whole character")
    return text
