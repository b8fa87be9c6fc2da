"""Fixtures that all tests share."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest file first, so that two workers end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_search_faults.py")


@pytest.fixture(scope="session", autouse=True)
def no_command_outlives_the_tests() -> Iterator[None]:
    """Kill the commands that a failed test left running."""
    yield
    for process in multiprocessing.active_children():
        process.kill()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed every test, so it draws the same random numbers whichever tests run before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data, which is not part of the project."""
    named = os.environ.get("NAS_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: set NAS_DATA to its folder")
    return folder
