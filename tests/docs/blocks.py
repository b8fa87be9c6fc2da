"""Reads the code blocks of README and docs, and how each is to be run.

A comment before a block marks it: `<!-- slow -->` takes long, `<!-- not run: REASON -->` needs what
a test does not have, `<!-- exits: 2 -->` ends with that code and shows its message.
`<!-- with: OPTIONS -->` adds options to a command of the block, the first such comment to its first
`nas`, so that it is small enough for a test. `<!-- until: TEXT -->` presses Ctrl-C once the text is
printed. A comment without a block, `<!-- prepare: COMMAND -->`, runs a command that readers need
not see.

`python -m tests.docs.blocks` counts the blocks.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (slow|not run|exits|with|until|prepare)(?:: (.*?))? -->\s*")
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))(, continued)?\n")
RUN = ("sh", "python", "toml")


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is run, or written to a file that later blocks use.

    line: its number in the page. code: the exit code to expect. expected: the output that the page
    shows; None for none. not_run: the reason why no test runs it. until: after this text, Ctrl-C.
    """

    page: Path
    line: int
    language: str
    text: str
    slow: bool = False
    code: int = 0
    not_run: str | None = None
    until: str | None = None
    shown: bool = True
    expected: str | None = None

    @property
    def file(self) -> str | None:
        """The file that the block is, which its first line names."""
        named = FILE.match(self.text)
        return named[1] if named else None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return README and all written pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the page's blocks in order; an output belongs to the block before it."""
    text, last, end = page.read_text(), None, 0
    for found in FENCE.finditer(text):
        between = text[end : found.start()]
        line = text.count("\n", 0, found.start()) + 1
        end = found.end()
        yielded = False
        for mark in MARK.finditer(between):
            if mark[1] == "prepare":
                if last is not None and not yielded:
                    yield last
                    last, yielded = None, True
                slow = any(kind == "slow" for kind, _ in MARK.findall(between))
                yield Block(page, line, "sh", mark[2] + "\n", slow=slow, shown=False)
        language, code = found[2], _dedented(found[3], found[1])
        if language in ("", "text") and last is not None and not between.strip():
            yield replace(last, expected=code)
            last = None
            continue
        if last is not None:
            yield last
        last = None
        if language in RUN:
            last = _marked(Block(page, line, language, code), between)
    if last is not None:
        yield last


def _dedented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def _marked(block: Block, before: str) -> Block:
    added: list[str] = []
    for kind, value in MARK.findall(before):
        if kind == "slow":
            block = replace(block, slow=True)
        elif kind == "not run":
            block = replace(block, not_run=value)
        elif kind == "exits":
            block = replace(block, code=int(value))
        elif kind == "until":
            block = replace(block, until=value)
        elif kind == "with":
            added.append(value)
    return replace(block, text=_with_options(block.text, added)) if added else block


def _with_options(text: str, added: list[str]) -> str:
    """Return the commands with options added, to each `nas` the next.

    >>> _with_options("nas ls\\nnas score gru    # a cell\\n", ["--json", "--seed 1"])
    'nas ls --json\\nnas score gru --seed 1\\n'
    """
    lines, rest = [], iter(added)
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("nas "):
            line = f"{re.sub(r' +#.*', '', line)} {next(rest, '')}".rstrip()
        lines.append(line)
    return "\n".join(lines) + "\n"


def kind(block: Block) -> str:
    """Return how a block is treated, for counting."""
    if block.not_run is not None:
        return "not run"
    if block.file is not None:
        return "files for other blocks"
    return "run by make test-slow" if block.slow else "run by make docs"


if __name__ == "__main__":
    every = [block for page in pages() for block in blocks(page) if block.shown]
    print(len(every), "blocks in", len(pages()), "pages")
    for name, count in Counter(kind(block) for block in every).most_common():
        print(f"{count:4} {name}")
    print(f"{sum(block.expected is not None for block in every):4} show their output")
    for block in every:
        if block.not_run is not None:
            print(f"{block.place}: not run: {block.not_run}")
