"""`nas init` writes a search that runs as it is."""

import importlib
import sys
from pathlib import Path

import pytest

from nas.cli.init import FILES, TEMPLATES
from nas.testing import check_space, check_task
from tests.docs.session import Session


def test_the_files_run_as_they_are(tmp_path: Path) -> None:
    session = Session(tmp_path)
    first = session.command("nas", "init")
    assert first.code == 0 and first.out.endswith("run it: nas search search.toml --trust\n")
    small = ["--candidates", "3", "--survivors", "1", "--set", "training.steps=5"]
    ended = session.command("nas", "search", "search.toml", "--trust", *small)
    assert ended.code == 0, ended.err
    assert "first: 3 candidates" in ended.out and "1 trained" in ended.out


def test_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my_task.py").write_text("mine")
    ended = Session(tmp_path).command("nas", "init")
    assert ended.code == 2
    assert "my_task.py exists: move it away" in ended.err
    assert {path.name for path in tmp_path.iterdir() if path.suffix} == {"my_task.py"}
    assert (tmp_path / "my_task.py").read_text() == "mine"


def test_the_space_and_the_task_are_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TEMPLATES)
    for name in ("my_space", "my_task"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    task = importlib.import_module("my_task").waves()
    check_task(task)
    check_space(importlib.import_module("my_space").Convolutions(), task.shape)


def test_all_templates_are_written() -> None:
    assert {path.name for path in TEMPLATES.iterdir() if path.is_file()} == set(FILES)
