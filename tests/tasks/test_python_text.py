"""The text of Python's standard library."""

import sysconfig
from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.core.registry import create
from nas.core.task import BadData
from nas.tasks.python_text import load_python_text

LIBRARY = Path(sysconfig.get_path("stdlib"))


def test_the_parts_are_whole_files_of_the_library() -> None:
    task = load_python_text(limit_bytes=700_000)
    text = bytes(task.train.tolist())
    assert text.startswith((LIBRARY / "__future__.py").read_bytes())
    assert len(task.train) + len(task.valid) + len(task.test) >= 700_000
    assert task.vocabulary == 256
    for part in (task.valid, task.test):
        assert bytes(part[:2000].tolist()) not in text


def test_modules_that_differ_between_machines_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        (tmp_path / f"m{i:02}.py").write_text(f"x = {i}\n" * 20)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    before = load_python_text(batch=2).train.tolist()
    (tmp_path / "_sysconfigdata_linux.py").write_text("secret = 1\n")
    (tmp_path / "sitecustomize.py").write_text("secret = 1\n")
    assert load_python_text(batch=2).train.tolist() == before


def test_a_limit_that_leaves_a_part_empty_is_named() -> None:
    with pytest.raises(
        BadData, match=r"bytes of \.py files are not enough text: raise limit_bytes"
    ):
        load_python_text(limit_bytes=1000)
    with pytest.raises(BadData, match="limit_bytes is 0"):
        load_python_text(limit_bytes=0)


def test_it_takes_no_data() -> None:
    with pytest.raises(BadInput, match="has no option data"):
        create("tasks", "python-text", {"data": "somewhere"})
