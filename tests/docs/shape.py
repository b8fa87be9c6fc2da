"""Compares an output with the one that a page shows, with all numbers masked."""

import re

DIGEST = re.compile(r"(?<![\w.])(?=[a-f]*\d)[0-9a-f]{8,16}\b")  # not the digits after a point
NUMBER = re.compile(r"(?<![A-Za-z])[-+]?(?:\d[\d,.]*(?:e[-+]?\d+)?|nan|inf)%?(?![A-Za-z\d])|–")
ANY_LINES = "…"
TIMING = "NOT FASTER. "  # begins a line, or not, as the machine is busy


def shape(text: str) -> list[str]:
    """Return an output's lines with numbers masked, and equal neighbours once.

    >>> shape("a  1.5 2\\n  a 3 -4%\\nb 0751054b\\n")
    ['a 0', 'b #']
    """
    lines: list[str] = []
    for line in text.replace(TIMING, "").splitlines():
        masked = NUMBER.sub("0", DIGEST.sub("#", line))
        masked = re.sub(r"0(?: (?:± )?0)+", "0", " ".join(masked.split()))
        if masked and masked != (lines or [None])[-1]:
            lines.append(masked)
    return lines


def difference(shown: str, printed: str) -> str | None:
    """Return how the shapes of two outputs differ; None if they are the same.

    In what a page shows, "…" stands for any text in a line, and "…" at the start of a line, alone
    or as in "… 11 more rows", for any lines.

    >>> difference("loss 1.2\\n… 5 more rows\\nend", "loss 3.4\\nrow 1\\nend")
    >>> difference("loss 1.2", "loss: 3.4")
    'the page shows "loss 0", the command prints "loss: 0"'
    """
    rest, any_lines = shape(printed), False
    for line in shape(shown):
        if line.startswith(ANY_LINES):
            any_lines = True
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        found = [i for i, other in enumerate(rest) if pattern.fullmatch(other)]
        if not found or (found[0] > 0 and not any_lines):
            instead = rest[0] if rest else "nothing"
            return f'the page shows "{line}", the command prints "{instead}"'
        rest, any_lines = rest[found[0] + 1 :], False
    if rest and not any_lines:
        return f'the command also prints "{rest[0]}"'
    return None
