"""Decides whether components that a file names may be imported: an import runs their code."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from nas.core.errors import BadInput

_file: ContextVar[Path | None] = ContextVar("file that names components", default=None)
_trusted: ContextVar[bool] = ContextVar("whether files are trusted", default=False)
_chosen: set[str] = set()  # the components that the user named in this process


class NotTrusted(BadInput):
    """A file names a component whose code the user has not chosen to run."""


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """Inside, import whatever files name: what `--trust` does."""
    token = _trusted.set(trust)
    try:
        yield
    finally:
        _trusted.reset(token)


@contextmanager
def named_by(file: Path | None) -> Iterator[None]:
    """Inside, components are named by this file; None if the user names them.

    Only components that are built in, or that the user has named in this process, are imported.
    """
    token = _file.set(file)
    try:
        yield
    finally:
        _file.reset(token)


def choose(references: Iterable[str]) -> None:
    """Note `package.module:name` references that the user has named."""
    _chosen.update(references)


def check_trusted(what: str, reference: str) -> None:
    """Raise `NotTrusted` for a component that only a file names; note one that the user names.

    what: begins the message.
    """
    file = _file.get()
    if file is None or _trusted.get():
        _chosen.add(reference)
    elif reference not in _chosen:
        raise NotTrusted(
            f"{what} is code outside of nas, named by {file}: read that code, then pass --trust "
            "to run it"
        )
