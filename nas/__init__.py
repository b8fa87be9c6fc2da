"""Architecture search and model compression: every verb of the command line is a function here."""

from typing import Any

from nas.core.own_packages import install

install()

VERBS = ("search", "score", "train", "sweep", "compress", "adapt", "report", "export")


def __getattr__(name: str) -> Any:
    """The verbs, imported when first used: `nas --help` must not wait for torch."""
    if name in VERBS:
        from nas import api

        return getattr(api, name)
    if name == "SearchConfig":
        from nas.jobs.search.config import SearchConfig

        return SearchConfig
    raise AttributeError(f"module nas has no {name}")
