"""Runs the command line in this process, many times a second, and checks how it ends."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from nas.cli.main import main
from nas.core.errors import NasError

STARTED = 9  # the exit code of a job that would begin to work now
CODES = (0, 1, 2, STARTED)


class Ended(NamedTuple):
    code: Any
    out: str
    err: str


class Started(NasError):
    """A job has passed all checks that come before its work."""

    exit_code = STARTED


def run(words: list[str], folder: Path) -> Ended:
    """Run `nas` with the words in a folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        with _captured() as files, patch.object(sys, "argv", ["nas", *words]):
            try:
                code: Any = main()  # type: ignore[func-returns-value]
            except SystemExit as error:
                code = error.code or 0
    finally:
        os.chdir(before)
    return Ended(code, *files)


@contextlib.contextmanager
def checks_only(but_search: bool = False) -> Iterator[None]:
    """Inside, jobs end with `STARTED` instead of opening their run.

    but_search: searches work as usual.
    """

    def started(*_: object, **__: object) -> None:
        raise Started("would start")

    with contextlib.ExitStack() as patches:
        for job in ("compress", "sweep", "adapt"):
            patches.enter_context(patch(f"nas.jobs.{job}.run.open_session", started))
        patches.enter_context(patch("nas.jobs.compress.run.student_space", started))
        if not but_search:
            patches.enter_context(patch("nas.jobs.search.run.open_session", started))
            patches.enter_context(patch("nas.jobs.search.job.SearchJob.screen", started))
        yield


def assert_well_ended(ended: Ended, words: list[str]) -> None:
    """Fail unless there is a proper exit code, and one line if the command was refused."""
    assert ended.code in CODES, (words, ended)
    assert "Traceback" not in ended.err, (words, ended.err)
    if ended.code in (1, 2):
        lines = [line for line in ended.err.split("\n") if line]
        assert len(lines) == 1 and lines[0].startswith("nas: "), (words, ended)
        assert len(lines[0]) < 2500
    elif ended.code == 0 and "--json" in words:
        json.loads(ended.out, parse_constant=lambda name: 1 / 0)


def content(folder: Path) -> set[str]:
    """Return the paths of everything in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """Capture what is written to the descriptors 1 and 2; filled in at the end."""
    texts: list[str] = []
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        streams = [os.fdopen(os.dup(n), "w", errors="backslashreplace") for n in (1, 2)]
        try:
            with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                yield texts
        finally:
            for stream in streams:
                stream.close()
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
