"""However a file is damaged, commands that read it say so in one line that names it."""

import contextlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cell.zoo import ZOO
from nas import api
from nas.models.file_checks import Written
from tests.fuzz.in_process import Ended, assert_well_ended, checks_only, content, run

FIXED = {"derandomize": True, "deadline": None, "database": None}
WEIRD = [
    *(
        None,
        True,
        -1,
        0,
        1e308,
        10**30,
        float("nan"),
        float("inf"),
        "",
        "x",
        "../../etc",
        "os:system",
    ),
    *(
        "\ud800",
        "\u2028",
        "<script>",
        "a" * 3000,
        [],
        {},
        [[]],
        {"a": {"b": []}},
        ["x", 1],
        [1e999],
    ),
]
SMALL: dict[str, Any] = {
    "task": "n-parity",
    "candidates": 3,
    "survivors": 2,
    "scores": ["parameters"],
    "training": {"steps": 2, "rungs": 1},
    "model": {"embedding": 4, "hidden": 4, "layers": 1},
    "execution": {"executor": "serial"},
}
SEARCH = [
    *("search", "--task", "n-parity", "--candidates", "3", "--survivors", "2", "--run", "run"),
    *("--score", "parameters", "--executor", "serial", "--set", "training.steps=2"),
    *("--set", "training.rungs=1", "--set", "model={embedding=4,hidden=4,layers=1}"),
]
LSTM = json.dumps({"id": 1, "recipe": ZOO["lstm"]})
COMPRESS = ["compress", "--task", "n-parity", "--teacher"]
SWEEP = ["sweep", "--task", "n-parity", "--epoch-steps", "1", "--model"]
POLICY = ["--policy", "policy.safetensors"]
EXPORT = ["export", "run", "--to", "to"]
# file → the commands that read it
READERS: dict[str, list[list[str]]] = {
    "run/run.json": [["report", "run", "--json"], EXPORT, SEARCH],
    "run/trials/0001/result.json": [["report", "run"], EXPORT, SEARCH],
    "run/trials/0001/step-2.safetensors": [[*EXPORT, "--candidate", "1"]],
    "run/study.journal": [["report", "run"], SEARCH],
    "model/architecture.json": [[*COMPRESS, "model"], [*SWEEP, "model"]],
    "model/model.safetensors": [[*COMPRESS, "model"], [*SWEEP, "model"]],
    "search.toml": [["search", "search.toml"], ["train", "lstm", "--config", "search.toml"]],
    "cells.jsonl": [["score", "--recipes", "cells.jsonl", "--task", "n-parity", "--hidden", "4"]],
    "cell.json": [["train", "cell.json", "--task", "n-parity"]],
    "items.jsonl": [["adapt", "--items", "items.jsonl", "--samples", "1"]],
    "table.jsonl": [["bench", "search", "--table", "table.jsonl", "--seeds", "1"]],
    "losses.jsonl": [["bench", "rungs", "--table", "losses.jsonl", "--seeds", "1"]],
    "nets.csv": [["bench", "search", "--table", "nets.csv", "--seeds", "1", "--trained", "2"]],
    "macro.json": [["bench", "search", "--table", "macro.json", "--seeds", "1", "--trained", "2"]],
    "policy.safetensors": [
        [*("search", "--task", "n-parity", "--controller", "policy-gradient"), *POLICY],
    ],
    "weights.pt": [
        ["compress", "--teacher", "resnet8", "--task", "digits", "--weights", "weights.pt"]
    ],
    "text.txt": [["search", "--task", "language-model", "--data", "text.txt"]],
    "images.npz": [["search", "--task", "images", "--data", "images.npz"]],
}


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """A folder with one sound file of each kind."""
    folder = Path(tempfile.mkdtemp())
    api.search(run=folder / "run", **SMALL)
    with no_programs():
        api.export(folder / "run", folder / "model")
    (folder / "search.toml").write_text('task = "n-parity"\n[training]\nsteps = 3\n')
    (folder / "cells.jsonl").write_text(f"{LSTM}\n" * 2)
    (folder / "cell.json").write_text(json.dumps(ZOO["gru"]))
    (folder / "items.jsonl").write_text('{"prompt": "1+1", "answer": 2, "difficulty": 1}\n' * 9)
    rows = [{"decisions": {"op": f"o{i}", "n": i}, "value": i / 9} for i in range(9)]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses = {"id": 1, "recipe": ZOO["lstm"], "last_test": 4.5, "val_losses": [5, 4.75]}
    (folder / "losses.jsonl").write_text(json.dumps({**losses, "wall_per_epoch": 9.5}) + "\n")
    (folder / "nets.csv").write_text("loss,size\n4.5,10\n4.25,20\n4.0,30\n")
    macro = {"00000000": {"mean_acc": 90.5, "params": 1, "flops": 2}}
    (folder / "macro.json").write_text(json.dumps(macro))
    (folder / "text.txt").write_text("some words and more\n" * 200)
    for name in ("policy.safetensors", "weights.pt", "images.npz"):
        (folder / name).write_bytes((folder / "model" / "model.safetensors").read_bytes())
    yield folder
    shutil.rmtree(folder)


def no_programs() -> Any:
    """Leave out the programs of an export, which take seconds."""
    return patch("nas.models.model_files.write_programs", lambda *_: Written())


def nodes_of(data: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    for key in (
        data if isinstance(data, dict) else range(len(data) if isinstance(data, list) else 0)
    ):
        yield from nodes_of(data[key], (*path, key))


def replaced(data: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def weird_node(content: bytes, rng: random.Random) -> bytes:
    """Replace a part of the JSON in a file, or in its last line."""
    *first, last = content.rstrip(b"\n").split(b"\n") if content.count(b"}\n") > 1 else [content]
    try:
        data = json.loads(last)
    except ValueError:
        return content + rng.choice([b"= [", b'\nrungs = "x"', b"\n[training]\nsteps = -1", b"\nx"])
    path = rng.choice(list(nodes_of(data)))
    return b"\n".join([*first, json.dumps(replaced(data, path, rng.choice(WEIRD))).encode()])


def without_a_key(content: bytes, rng: random.Random) -> bytes:
    *first, last = content.rstrip(b"\n").split(b"\n") if content.count(b"}\n") > 1 else [content]
    try:
        data = json.loads(last)
    except ValueError:
        return content[1:]
    if not isinstance(data, dict):
        return content[1:]
    del data[rng.choice(list(data))]
    return b"\n".join([*first, json.dumps(data).encode()])


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(min(len(changed), 300))] = rng.randrange(256)
    return bytes(changed)


DAMAGE: list[Callable[[bytes, random.Random], bytes]] = [
    weird_node,
    weird_node,
    weird_node,
    without_a_key,
    flipped,
    lambda content, rng: content[: rng.randrange(len(content))],
    lambda content, rng: b"",
    lambda content, rng: rng.choice([b"[" * 10**5, b'{"a":' * 10**5, b"9" * 5000, b"\0" * 99]),
    lambda content, rng: rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n"]) + content,
    lambda content, rng: content.replace(b"\n", b"\r\n"),
    lambda content, rng: content * 2,
]
OTHERS = ["folder", "pipe", "huge", "gone"]  # in place of the file


def damage(file: Path, kind: int, seed: int) -> None:
    if kind < len(DAMAGE):
        file.write_bytes(DAMAGE[kind](file.read_bytes(), random.Random(seed)))
        return
    file.unlink()
    match OTHERS[kind - len(DAMAGE)]:
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "huge":
            with file.open("wb") as empty:
                empty.truncate(2**41)


@contextlib.contextmanager
def no_drawings() -> Iterator[None]:
    """Leave out the figures, which take most of a report's time."""
    with (
        patch("nas.reporting.figure.save_figure", lambda *_: ""),
        patch("nas.jobs.search.run._picture_best", lambda *_: None),
    ):
        yield


def check(sound: Path, name: str, which: int, kind: int, seed: int) -> Ended:
    """Damage a file, run a command that reads it, and check how it ends."""
    commands = READERS[name]
    words = commands[which % len(commands)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(sound, folder)
        damage(folder / name, kind, seed)
        before = content(folder)
        with checks_only(but_search=words is SEARCH), no_programs():
            ended = run(words, folder)
        assert_well_ended(ended, words)
        if ended.code in (1, 2):
            added = {path for path in content(folder) - before if not path.startswith("run/tb")}
            assert added <= {"run/report", "run/driver.lock"}, added
        assert not any(Path(path).name.startswith(".") for path in content(folder) - before)
        return ended


CASES = st.tuples(
    st.sampled_from(sorted(READERS)),
    st.integers(0, 2),
    st.integers(0, len(DAMAGE) + len(OTHERS) - 1),
    st.integers(0, 10**6),
)


@settings(max_examples=25, **FIXED)
@given(CASES)
def test_damaged_files(sound: Path, case: tuple[str, int, int, int]) -> None:
    with no_drawings():
        check(sound, *case)


@pytest.mark.slow
@settings(max_examples=2000, **FIXED)
@given(CASES)
def test_many_more_damaged_files(sound: Path, case: tuple[str, int, int, int]) -> None:
    check(sound, *case)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", range(len(DAMAGE), len(DAMAGE) + len(OTHERS) - 1))
def test_a_folder_a_pipe_and_a_huge_file_are_named(sound: Path, name: str, kind: int) -> None:
    with no_drawings():
        ended = check(sound, name, 0, kind, 0)
    if name != "run/study.journal":  # which a report does not read
        assert ended.code == 2, ended
        assert Path(name).name in ended.err or name.split("/")[0] in ended.err, ended
