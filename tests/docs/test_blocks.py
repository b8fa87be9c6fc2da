"""The code of README and docs runs and prints what the pages show."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from nas.cli.main import app
from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.session import Session

BLOCKS = {page: list(blocks(page)) for page in pages()}


def runnable(page: Path, *, slow: bool) -> list[Block]:
    return [b for b in BLOCKS[page] if b.not_run is None and (slow or not b.slow)]


def named(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


QUICK = [page for page in BLOCKS if any(b.file is None for b in runnable(page, slow=False))]
SLOW = [page for page in BLOCKS if any(block.slow for block in BLOCKS[page])]


@pytest.mark.slow
@pytest.mark.parametrize("page", QUICK, ids=named)
def test_the_quick_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    session = Session(tmp_path)
    for block in runnable(page, slow=False):
        session.run(block)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=named)
def test_all_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    session = Session(tmp_path)
    for block in runnable(page, slow=True):
        session.run(block)


def test_a_block_that_is_not_run_says_why() -> None:
    for page in pages():
        for block in BLOCKS[page]:
            assert block.not_run is None or len(block.not_run) > 10, block.place


def commands(block: Block) -> list[list[str]]:
    """Return the words after `nas` of each plain command line in the block."""
    lines = block.text.replace("\\\n", " ").splitlines() if block.language == "sh" else []
    plain = [re.sub(r"\s#.*|\s[>|&].*", "", line) for line in lines if line.startswith("nas ")]
    return [shlex.split(line)[1:] for line in plain]


def test_every_option_in_a_block_exists_even_if_the_block_is_not_run() -> None:
    for block in (block for page in pages() for block in BLOCKS[page]):
        for words in commands(block):
            command, context = typer.main.get_command(app), None
            while words and (inner := getattr(command, "commands", {}).get(words[0])):
                context = typer.Context(command, parent=context, info_name="nas")
                command, words = inner, words[1:]
            if not hasattr(command, "commands"):
                try:
                    command.make_context("nas", list(words), parent=context)
                except Exception as error:
                    pytest.fail(f"{block.place}: {error}")
