"""Reads the code blocks of README and docs, and how each is to be run.

A comment before a block marks it: `<!-- slow -->` takes long, `<!-- not run: REASON -->` needs what
a test does not have, `<!-- exits: 2 -->` ends with that code and shows its message. Such a comment
without a block, `<!-- prepare: COMMAND -->`, runs a command that readers need not see.

`python -m tests.docs.blocks` counts the blocks.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (slow|not run|exits|prepare)(?:: (.*?))? -->\s*")
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))(, continued)?\n")
RUN = ("sh", "python", "toml")


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is run, or written to a file that later blocks use.

    line: its number in the page. code: the exit code to expect. expected: the output that the page
    shows; None for none. not_run: the reason why no test runs it.
    """

    page: Path
    line: int
    language: str
    text: str
    slow: bool = False
    code: int = 0
    not_run: str | None = None
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
                yield Block(page, line, "sh", mark[2] + "\n")
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
    for kind, value in MARK.findall(before):
        if kind == "slow":
            block = replace(block, slow=True)
        elif kind == "not run":
            block = replace(block, not_run=value)
        elif kind == "exits":
            block = replace(block, code=int(value))
    return block


def kind(block: Block) -> str:
    """Return how a block is treated, for counting."""
    if block.not_run is not None:
        return "not run"
    return "slow" if block.slow else "quick"


if __name__ == "__main__":
    every = [block for page in pages() for block in blocks(page)]
    print(dict(Counter(kind(block) for block in every)), "in", len(pages()), "pages")
    print("with output:", sum(block.expected is not None for block in every))
    for block in every:
        if block.not_run is not None:
            print(f"{block.place}: not run: {block.not_run}")
