"""Whatever a command line says, it ends in one line and an exit code, and leaves nothing behind."""

import os
import tempfile
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.compress.config import CompressConfig
from nas.jobs.search.config import SearchConfig
from nas.jobs.sweep.config import SweepConfig
from tests.fuzz.in_process import STARTED, assert_well_ended, checks_only, content, run

FIXED = {"derandomize": True, "deadline": None, "database": None}
END = ["--executor", "serial", "--run", "run"]
BASES = {
    "search": (
        SearchConfig,
        [
            "--space",
            "tests.toys:Perceptrons",
            "--task",
            "tests.toys:Quadrants",
            "--score",
            "tests.toys:FirstWeight",
        ],
    ),
    "compress": (CompressConfig, ["--teacher", "n-parity-rnn-tanh"]),
    "sweep": (SweepConfig, ["--model", "n-parity-rnn-tanh", "--epoch-steps", "1"]),
    "adapt": (AdaptConfig, ["--items", "items.jsonl", "--samples", "1"]),
}
TEXTS = [
    *(
        "",
        " ",
        ".",
        "..",
        "/",
        "~",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "0x10",
    ),
    *("a.b:", ":x", ":", "a b:c d", "é:ü", "..:x", "json:dumps", "math:pi", "toys:Nothing"),
    *("toys", "nope:x", "9" * 30, "9" * 5000, "-" + "9" * 400, "x" * 5000, "[" * 5000, "{}"),
    *("[]", "[[1], 2]", "{a = 1}", "true", "1979-05-27", '""', "'\\u0000'", '"\\u0000"', "a\nb"),
    *("\u2028", "\x1b[31m", "caf\udce9", "0.1:0.9:1e-9", "0.1:0.9:0", "0:inf:0.1", "1,,2", ","),
    *("missing", "missing/deep/file", "folder", "pipe", "empty", "zeros", "huge", "file", "file/x"),
    *(
        "/dev/null/x",
        "/dev/full",
        "/proc/self/mem",
        "/proc/nas",
        "bad.toml",
        "deep.toml",
        "a" * 300,
    ),
    *("sqlite:///folder", "postgresql://me:pw@127.0.0.1:x/y", "nodb://x", "redis://127.0.0.1:1"),
]


@pytest.fixture(scope="module")
def place() -> Path:
    """A folder with files of all kinds, in which commands run."""
    folder = Path(tempfile.mkdtemp())
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "empty").touch()
    (folder / "zeros").write_bytes(bytes(100))
    (folder / "file").write_text("text\n" * 50)
    with (folder / "huge").open("wb") as file:
        file.truncate(2**40)
    (folder / "bad.toml").write_bytes(b"\xff\xfe")
    (folder / "deep.toml").write_text("a = " + "[" * 5000)
    (folder / "items.jsonl").write_text('{"prompt": "1+1", "answer": 2}\n' * 9)
    return folder


def keys_of(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings."""
    keys = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        kinds = get_args(field.annotation) if is_union(field.annotation) else [field.annotation]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys += keys_of(kind, f"{prefix}{name}.")
    return keys


def is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


@st.composite
def command_lines(draw) -> list[str]:
    """Draw a command line that starts a job, with a few settings that are likely wrong."""
    verb = draw(st.sampled_from(sorted(BASES)))
    kind, words = BASES[verb]
    texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=6).filter(lambda t: "\0" not in t))
    keys = [*keys_of(kind), "", "a.b.c", "space.budgets", "controller.batch", "task.length", "="]
    line = [verb, *words, *END]
    for _ in range(draw(st.integers(1, 3))):
        line += ["--set", f"{draw(st.sampled_from(keys))}={draw(texts)}"]
    if draw(st.integers(0, 5)) == 0:
        line.insert(1, draw(texts))
    return [*line, *draw(st.sampled_from([[], ["--json"], ["--trust"]]))]


OTHERS = {
    "report": [[], ["--json"]],
    "export": [["--to", "?"], ["--to", "to", "--candidate", "?"], ["--to", "to", "--int8"]],
    "train": [[], ["--to", "?"], ["--task", "?"], ["--data", "?"], ["--seed", "?"]],
    "ls": [[], ["--json"]],
    "score": [
        ["--recipes", "?"],
        *(
            ["--recipes", "?", option, "?"]
            for option in ("--task", "--data", "--hidden", "--score")
        ),
    ],
    "bench": [
        ["search", "--table", "?"],
        ["scores", "--table", "?", "--values", "?"],
        ["rungs", "--table", "?", "--most", "?"],
        ["kernels", "--cell", "?", "--dtype", "?"],
        ["graphs", "--task", "?", "--graphs", "?"],
        ["?"],
    ],
}


@st.composite
def other_lines(draw) -> list[str]:
    """Draw a command line of another verb."""
    verb = draw(st.sampled_from(sorted(OTHERS)))
    texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=6).filter(lambda t: "\0" not in t))
    first = [draw(texts)] if verb in ("report", "export", "train", "ls") else []
    rest = [draw(texts) if word == "?" else word for word in draw(st.sampled_from(OTHERS[verb]))]
    return [verb, *first, *rest]


def check(words: list[str], place: Path) -> None:
    before = content(place)
    with checks_only():
        ended = run(words, place)
    assert_well_ended(ended, words)
    assert content(place) == before, words


@settings(max_examples=50, **FIXED)
@given(command_lines())
def test_job_commands(place: Path, words: list[str]) -> None:
    check(words, place)


@settings(max_examples=40, **FIXED)
@given(other_lines())
def test_other_commands(place: Path, words: list[str]) -> None:
    check(words, place)


@pytest.mark.parametrize("verb", BASES)
def test_the_commands_that_are_varied_would_start(place: Path, verb: str) -> None:
    words = [verb, *BASES[verb][1], *END]
    with checks_only():
        assert run(words, place).code == STARTED


@pytest.mark.slow
@settings(max_examples=3000, **FIXED)
@given(st.one_of(command_lines(), other_lines()))
def test_many_more_commands(place: Path, words: list[str]) -> None:
    check(words, place)
