"""JSON as users write it and as programs read it."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import read_text, reason_of


def parse_json(text: str, where: str, remedy: str = "") -> Any:
    """Return what the text holds; raises `BadInput` that begins with `where`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:  # an integer of thousands of digits
        reason = reason_of(error).partition(":")[0]
    raise BadInput(f"{where}: not JSON: {reason}" + (f": {remedy}" if remedy else ""))


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    r"""Yield "PATH, line N" and the value of every line that is not blank.

    Only "\n" ends a line: JSON text may hold the other line ends of Unicode.
    Raises `BadInput` for a file that cannot be read, and naming the line that is not JSON.
    """
    lines = read_text(path, "pass a file of JSON lines in UTF-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, parse_json(line, where)


def to_json(data: Any, indent: int | None = None) -> str:
    """Return JSON that every program reads: NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(data), indent=indent, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
