"""The code of README and docs runs and prints what the pages show."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.session import Session

BLOCKS = {page: list(blocks(page)) for page in pages()}


def runnable(page: Path, *, slow: bool) -> list[Block]:
    return [b for b in BLOCKS[page] if b.not_run is None and (slow or not b.slow)]


def named(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


QUICK = [page for page in BLOCKS if any(b.file is None for b in runnable(page, slow=False))]
SLOW = [page for page in BLOCKS if any(block.slow for block in BLOCKS[page])]


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
