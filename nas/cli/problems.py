"""Ends a command that cannot go on: one line on stderr and an exit code."""

import errno
import os
import re
import sys
import traceback
from typing import Any

import typer

from nas.core.errors import Interrupted, NasError
from nas.core.masking import masked

LONGEST = 2000  # characters of a line; the remedy at its end is kept
REMEDIES = {
    errno.ENOSPC: "free some space, and run the same command again",
    errno.EDQUOT: "free some space, and run the same command again",
    errno.ENOENT: "it was removed, or never there: run the same command again",
}
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def say_error(error: BaseException) -> int:
    """Print why a command ends; returns its exit code.

    Unexpected errors keep their traceback, without secrets.
    """
    match error:
        case typer.Exit():
            return error.exit_code
        case NasError() | Interrupted():
            _say(str(error))
            return error.exit_code
        case BrokenPipeError() if error.filename is None:  # the reader of stdout has gone
            return 1
        case OSError() if error.errno is not None:
            _say(_system_error(error))
            return 2
        case MemoryError():
            _say("out of memory: use smaller sizes, less data or fewer workers")
            return 1
        case KeyboardInterrupt():
            _say("interrupted: run the same command again")
            return 130
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
    print(masked("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    return 1


def say_usage_error(error: Any) -> int:
    """Print what is wrong with a command line; returns the exit code."""
    if not hasattr(error, "format_message"):
        return say_error(error)
    text = error.format_message()
    context = getattr(error, "ctx", None)
    if text.startswith("Usage:"):  # no arguments: the help
        print(text, file=sys.stderr)
    else:
        _say(f"{text.rstrip('.')}: see `{context.command_path if context else 'nas'} --help`")
    return error.exit_code


def use_utf8() -> None:
    """Start again in Python's UTF-8 mode if the locale has another encoding.

    TOML and JSON are UTF-8 by definition, and they may name files.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)


def _system_error(error: OSError) -> str:
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    where = f"{' → '.join(places)}: " if places else ""
    remedy = REMEDIES.get(error.errno or 0, "change that, or pass another place")
    return f"{where}{error.strerror or type(error).__name__}: {remedy}"


def _say(text: str) -> None:
    """Print one line, with the escapes of characters that would end or change it."""
    text = UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], masked(text))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 3 :]}"
    print(f"nas: {text}", file=sys.stderr)
