"""Which page of the documentation describes a command; `--help` and the errors' page name it."""

ERRORS = "how-to/errors.md"
PAGES = {
    "nas": "index.md",
    "nas init": "how-to/init.md",
    "nas search": "tutorials/search.md",
    "nas score": "how-to/score-cells.md",
    "nas train": "reference/components.md",
    "nas sweep": "tutorials/prune.md",
    "nas compress": "tutorials/compress.md",
    "nas adapt": "tutorials/shorten.md",
    "nas report": "how-to/dashboards.md",
    "nas export": "how-to/load-export.md",
    "nas ls": "reference/components.md",
    "nas doctor": "how-to/install.md",
    "nas bench kernels": "how-to/measure.md",
    "nas bench mixers": "guides/sequence-mixers.md",
    "nas bench search": "how-to/replay.md",
    "nas bench scores": "how-to/compare-scores.md",
    "nas bench rungs": "how-to/rungs.md",
    "nas bench graphs": "guides/random-graphs.md",
    "nas cache clear": "how-to/measure.md",
}


def epilog(command: str) -> str:
    """Return the last lines of a command's help: where its page and the messages are."""
    return f"\b\nDocumentation        docs/{PAGES[command]}\nErrors, exit codes   docs/{ERRORS}"
