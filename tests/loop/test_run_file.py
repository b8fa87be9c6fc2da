"""`run.json`: its content while a driver works and afterwards, and refusals of other runs."""

import json
from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.core.job import Objective
from nas.loop.run_file import RunFile, check_run_folder, keep_run_file, read_run_file

RUN = RunFile("sweep", {"levels": [0.5]}, 3, Objective("reward", "", True), "accuracy", True)


def test_it_distinguishes_unfinished_runs_from_finished_ones(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), keep_run_file(tmp_path, RUN):
        assert read_run_file(tmp_path).ended is None
        raise KeyboardInterrupt
    first = read_run_file(tmp_path)
    assert not first.finished and first.ended is not None
    with keep_run_file(tmp_path, RUN):
        pass
    second = read_run_file(tmp_path)
    assert second.finished and second.started == first.started
    assert second.seconds >= first.seconds > 0
    assert second.objective == RUN.objective and second.settings == RUN.settings
    assert {"python", "torch", "optuna", "numpy", "nas-search"} == set(second.versions)


def test_a_folder_without_a_run_and_one_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a run"):
        read_run_file(tmp_path)
    check_run_folder(tmp_path, "search")
    (tmp_path / "trials").mkdir()
    with pytest.raises(BadInput, match=r"run\.json does not exist: the command of the run writes"):
        read_run_file(tmp_path)
    check_run_folder(tmp_path, "search")
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "config": {}}))
    with pytest.raises(BadInput, match="written by an earlier version"):
        read_run_file(tmp_path)


def test_a_run_of_another_verb_is_refused(tmp_path: Path) -> None:
    with keep_run_file(tmp_path, RUN):
        pass
    check_run_folder(tmp_path, "sweep")
    with pytest.raises(BadInput, match="holds a run of `nas sweep`"):
        check_run_folder(tmp_path, "search")
