"""Reads whole files, and writes files that are either complete or absent."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.core.errors import BadInput

MOST_BYTES = 2**30  # of a text file

# what reading damaged content may raise
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def read_text(path: Path, remedy: str = "pass a text file in UTF-8") -> str:
    """Return the content of a file in UTF-8, without its byte order mark.

    remedy: what to do about a file that cannot be read; ends the message.
    Raises `BadInput` naming the file, also for folders, pipes and files larger than 1 GiB.
    """
    try:
        return read_bytes(path, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise BadInput(f"{path} cannot be read ({reason}): {remedy}") from None


def read_bytes(path: Path, remedy: str, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file of at most `most` bytes; raises `BadInput` like `read_text`."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise BadInput(f"{path} is {kind}: {remedy}")
        if found.st_size > most:
            raise BadInput(f"{path} has more than {most / 2**20:,.0f} MiB: {remedy}")
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist: {remedy}") from None
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise BadInput(f"{path} cannot be read ({reason_of(error)}): {remedy}") from None


@contextmanager
def undamaged(path: Path, remedy: str, *also: type[Exception]) -> Iterator[None]:
    """Turn an error that a file's content causes inside into a `BadInput` naming the file.

    also: errors that count besides `DAMAGE`.
    """
    try:
        yield
    except (*DAMAGE, *also) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else reason_of(error)
        raise BadInput(f"{path} is damaged ({reason}): {remedy}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a temporary file beside the path, flush it to disk, then rename it.

    Characters that UTF-8 cannot hold are written as Python's escapes. If the file cannot be
    written, the temporary file is removed and an `OSError` names the path.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def check_folder(folder: Path, option: str) -> None:
    """Raise `BadInput` unless files can be written to the folder; leaves no trace.

    option: what named the folder, such as "--to".
    """
    made: list[Path] = []
    try:
        for path in [*reversed(folder.absolute().parents), folder.absolute()]:
            if not path.is_dir():
                path.mkdir()
                made.append(path)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{option} {folder} cannot be written ({reason_of(error)}): pass another folder"
        ) from None
    finally:
        for path in reversed(made):
            path.rmdir()


def check_file(path: Path) -> None:
    """Raise `BadInput` unless the file can be written; leaves no trace."""
    is_new = not path.exists()
    try:
        with path.open("ab"):
            pass
        if is_new:
            path.unlink()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be written ({reason_of(error)}): pass a file in a folder of yours"
        ) from None


def reason_of(error: BaseException) -> str:
    """Return why in a few words: what the system says, or the first line of the message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return said[0][:300] if said else type(error).__name__
