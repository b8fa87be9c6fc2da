"""Reads docstrings in which "name: meaning" explains a field or an argument."""

import re

NOTE = re.compile(r"(?:^|(?<=\. ))((?:`?[a-z_]\w*`?)(?:, `?[a-z_]\w*`?)*): (?=\S)")


def notes(docstring: str) -> dict[str, str]:
    """Return the meaning of each name that a docstring explains.

    >>> notes("Settings.\\n\\nrun: the folder. seed, rate: numbers\\n    to draw with.")
    {'run': 'the folder.', 'seed': 'numbers to draw with.', 'rate': 'numbers to draw with.'}
    """
    found = {}
    for paragraph in docstring.split("\n\n"):
        for line in _joined(paragraph):
            pieces = NOTE.split(line)
            for names, meaning in zip(pieces[1::2], pieces[2::2], strict=True):
                found |= {name.strip("` "): meaning.strip() for name in names.split(",")}
    return found


def as_list(docstring: str) -> str:
    """Return a docstring whose lines "name: meaning" are the items of a Markdown list.

    >>> print(as_list("run: the folder.\\nseed: a number."))
    <BLANKLINE>
    - **run**: the folder.
    - **seed**: a number.
    <BLANKLINE>
    """
    return "\n\n".join(_with_items(paragraph) for paragraph in docstring.split("\n\n"))


def _with_items(paragraph: str) -> str:
    if paragraph.startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    if not any(NOTE.match(line) for line in _joined(paragraph)) or paragraph.startswith(" "):
        return paragraph
    text, in_list = "", False
    for line in _joined(paragraph):
        is_item = bool(NOTE.match(line))
        text += "\n" if is_item != in_list else ""  # a blank line around the list
        text += (NOTE.sub(r"- **\1**: ", line, count=1) if is_item else line) + "\n"
        in_list = is_item
    return text


def _joined(paragraph: str) -> list[str]:
    """Return a paragraph's lines, with each indented line joined to the one above."""
    lines: list[str] = []
    for line in paragraph.splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines
