"""Question sets as JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput

PROMPTS = ("query", "prompt", "question", "context")
ANSWERS = ("answer", "continuation")
FINAL = "####"  # before the answer proper, where the way to it is told (GSM8K)


@dataclass(frozen=True, slots=True)
class Item:
    """choices, gold: of a question with several answers to choose from, and the right one's number.

    answer: of one without. difficulty: a group to report apart, "" for none.
    """

    prompt: str
    choices: tuple[str, ...] = ()
    gold: int = 0
    answer: str = ""
    difficulty: str = ""


def read_items(path: Path) -> list[Item]:
    """Lines with `query, choices, gold` or with `prompt, answer`, and `difficulty` if wanted.

    `question` or `context` do for a prompt, `continuation` for an answer.
    Raises `BadInput` with the line that is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    items = [_item(f"{path}, line {n}", line) for n, line in enumerate(lines, 1) if line.strip()]
    if not items:
        raise BadInput(f"{path} has no items: give a line of JSON for each question")
    return items


def _item(where: str, line: str) -> Item:
    try:
        data: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where} is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{where} is no JSON object")
    prompt = next((data[key] for key in PROMPTS if isinstance(data.get(key), str)), "")
    if not prompt:
        raise BadInput(f"{where} has no prompt: give one of {', '.join(PROMPTS)}")
    difficulty = str(data.get("difficulty", ""))
    if "choices" in data:
        return _of_choices(where, prompt, data, difficulty)
    answer = next((str(data[key]) for key in ANSWERS if data.get(key) not in (None, "")), "")
    answer = answer.rpartition(FINAL)[2].strip(" ") if FINAL in answer else answer
    if not answer:
        raise BadInput(f"{where} has neither choices and gold nor an answer")
    return Item(prompt, answer=answer, difficulty=difficulty)


def _of_choices(where: str, prompt: str, data: dict[str, Any], difficulty: str) -> Item:
    choices, gold = data["choices"], data.get("gold")
    if not isinstance(choices, list) or len(choices) < 2:
        raise BadInput(f"{where} needs two or more choices")
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise BadInput(
            f"{where}: gold is {gold!r}, must be the right choice, 0 to {len(choices) - 1}"
        )
    return Item(prompt, tuple(map(str, choices)), gold, difficulty=difficulty)
