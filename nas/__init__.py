"""Architecture search and model compression. Every command is also a function here."""

from typing import Any

from nas.core.own_packages import install

install()

VERBS = ("search", "score", "train", "sweep", "compress", "adapt", "report", "export")


def __getattr__(name: str) -> Any:
    """Import the verbs when they are first used, so `nas --help` does not wait for torch."""
    if name in VERBS:
        from nas import api

        return getattr(api, name)
    if name == "SearchConfig":
        from nas.jobs.search.config import SearchConfig

        return SearchConfig
    raise AttributeError(f"module 'nas' has no attribute {name!r}")
