"""Bad input gives one line that names it and exit code 2, and writes nothing."""

import json
from pathlib import Path

import pytest

from tests.jobs.command import TOY, nas

GOOD = {
    "sum": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["sum"]},
}


def assert_refused(ended, folder: Path, *words: str) -> None:
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.strip().count("\n") == 0, ended.stderr
    for word in words:
        assert word in ended.stderr
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "trainning.steps=3"], ["trainning", "unknown key", "training"]),
        (["--set", "training.stepz=3"], ["training.stepz", "unknown key", "steps"]),
        (["--set", "training.steps=many"], ["training.steps", "many"]),
        (["--set", "candidates"], ["key=value"]),
        (["--candidates", 2, "--survivors", 3], ["survivors (3)", "candidates (2)"]),
        (["--space", "cnn-cell"], ['unknown space "cnn-cell"', "rnn-cell"]),
        (["--controller", "magic"], ['unknown controller "magic"', "evolution"]),
        (["--score", "luck"], ['unknown score "luck"', "hidden-covariance"]),
        (["--task", "chess"], ['unknown task "chess"', "python-text"]),
        (["--space", "nowhere:Space"], ["nowhere", "cannot be imported"]),
        (["--space", "toys:Nothing"], ['module toys has no "Nothing"']),
        (["--space", "toys:FirstWeight"], ["lacks decide", "a space needs"]),
        (["--set", "space.colour=red"], ["has no option colour"]),
        (["--executor", "slurm"], ["execution.executor", "slurm"]),
        (["--executor", "ray", "--ray-address", "127.0.0.1:9"], ["cannot join Ray at 127.0.0.1:9"]),
        (["--executor", "ray", "--ray-address", "somewhere"], ["cannot join Ray at somewhere"]),
        (["--storage", "sqlite:////nowhere/at/all.db"], ["sqlite:////nowhere/at/all.db"]),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, arguments: list, words: list[str]) -> None:
    run = tmp_path / "run"
    ended = nas("search", *TOY, "--run", run, "--executor", "serial", *arguments)
    assert_refused(ended, tmp_path, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["does not exist"]),
        ("candidates = ", ["cannot be read as TOML"]),
        ("candidate = 4", ["candidate", "unknown key", "candidates"]),
    ],
)
def test_a_wrong_configuration_file_is_named(
    tmp_path: Path, text: str | None, words: list[str]
) -> None:
    config = tmp_path / "search.toml"
    if text is not None:
        config.write_text(text)
    refused = nas("search", config, fresh=text is None)
    assert_refused(refused, tmp_path, "search.toml", *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sum": {"op": "linear", "input": ["x", "h_new_0"]}}, ["cyclic", '"h_new_0"']),
        ({"sum": {"op": "cubic", "input": ["x"]}}, ['"sum"', '"cubic"', "linear"]),
        ({"sum": {"op": "linear", "input": ["x", "y"]}}, ['"sum"', '"y"', "not in the recipe"]),
        ({"sum": {"op": "linear", "input": ["h_prev_0"]}}, ["never reads its input x"]),
        ({"lost": {"op": "linear", "input": ["x"]}}, ['"lost"', "no new state depends on node"]),
        ({"h_new_0": {"op": "blend", "input": ["sum"]}}, ['"h_new_0"', "takes 3 inputs"]),
    ],
)
def test_a_wrong_recipe_is_named_with_its_line(
    tmp_path: Path, changes: dict, words: list[str]
) -> None:
    recipes = tmp_path / "cells.jsonl"
    rows = [{"id": 1, "recipe": GOOD}, {"id": 2, "recipe": {**GOOD, **changes}}]
    recipes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = nas("score", "--recipes", recipes, "--task", "digits", "--json")
    assert_refused(ended, tmp_path, "cells.jsonl, line 2", *words)


def test_missing_and_empty_data_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    search = ["search", "--task", "language-model", "--executor", "serial"]
    run = tmp_path / "run"
    ended = nas(*search, "--run", run, "--data", tmp_path / "none.txt")
    assert_refused(ended, tmp_path, "none.txt")
    assert_refused(nas(*search, "--run", run, "--data", empty), tmp_path, "empty.txt", "empty")
    assert_refused(nas(*search, "--run", run), tmp_path, "--data")
    assert not run.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nothing"], ["nothing is not a run"]),
        (["export", "nothing", "--to", "there"], ["nothing is not a run"]),
        (["export", "nothing", "--to", "there", "--int8"], ["nothing is not a run"]),
        (["train", "lstmm"], ["lstmm", "lstm"]),
    ],
)
def test_a_missing_run_is_named(tmp_path: Path, arguments: list, words: list[str]) -> None:
    assert_refused(nas(*arguments), tmp_path, *words)
