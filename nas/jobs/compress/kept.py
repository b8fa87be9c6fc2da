"""Says which layers of a teacher stay whole, and why; imports no torch."""

from collections import defaultdict
from collections.abc import Iterable

MOST = 3  # layers named for one reason


def kept_lines(kept: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each reason, see `Outline.kept`.

    >>> kept_lines([("a", "few"), ("b", "few"), ("c", "few"), ("d", "few"), ("", "unknown")])
    ['kept whole: a, b, c and 1 more (few)', 'no layer is narrowed: unknown']
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for path, reason in kept:
        paths[reason].append(path)
    return [_line(found, reason) for reason, found in paths.items()]


def _line(paths: list[str], reason: str) -> str:
    if paths == [""]:
        return f"no layer is narrowed: {reason}"
    more = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
    return f"kept whole: {', '.join(paths[:MOST])}{more} ({reason})"
