"""Sends results to stdout and everything else, including what libraries print, to stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from nas.core.errors import BadInput
from nas.core.files import check_file
from nas.core.json_text import to_json

SCHEMA = 1
FIGURES = (".png", ".svg", ".pdf")

_results: TextIO = sys.stdout


@contextmanager
def results_on_stdout() -> Iterator[None]:
    """Keep stdout for results; redirect file descriptor 1, where Ray's processes write."""
    global _results
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    before, _results = _results, os.fdopen(kept, "w", errors="backslashreplace")
    try:
        yield
        _results.flush()
    finally:
        os.dup2(kept, 1)
        with suppress(OSError):  # what could not be written has been reported
            _results.close()
        _results = before


def say(text: str) -> None:
    """Print a result for people."""
    print(text, file=_results, flush=True)


def say_json(data: dict[str, Any], *, schema: bool = True) -> None:
    """Print a result for programs: one JSON object on one line."""
    print(to_json({"schema": SCHEMA, **data} if schema else data), file=_results, flush=True)


def check_files(*paths: Path | None, figure: Path | None = None, page: Path | None = None) -> None:
    """Raise `BadInput` now for files that could not be written at the end."""
    if page is not None and page.suffix != ".html":
        raise BadInput(f"{page}: end the page's name in .html")
    if figure is not None and figure.suffix not in FIGURES:
        raise BadInput(f"{figure}: end the figure's name in {', '.join(FIGURES)}")
    for path in (*paths, figure, page):
        if path is not None:
            check_file(path)


def is_terminal() -> bool:
    """Return whether results go to a terminal."""
    return _results.isatty()
