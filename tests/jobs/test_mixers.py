"""Searches for sequence mixers and training of known ones through the real command line."""

import json

import pytest

from tests.jobs.command import nas

TASK = ("--task", "n-parity", "--set", "task.largest=2", "--set", "task.batch=8")
SMALL = ("--set", "space.widths=[8]", "--set", "training.steps=3")
NO_COMPILER = {"NAS_KERNELS": "reference"}


def test_a_search_minimises_what_a_step_carries_and_takes(tmp_path):
    space = ("--space", "sequence-mixer", "--set", "space.state=2048", *SMALL)
    objectives = ("--objectives", "loss,state_bytes,step_latency", "--score", "none")
    limits = ("--candidates", 4, "--survivors", 1, "--executor", "serial", "--controller", "tpe")
    run = tmp_path / "run"
    done = nas("search", *space, *TASK, *objectives, *limits, "--run", run, "--json", **NO_COMPILER)
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout)["pareto_front"]:
        assert 0 < found["state_bytes"] <= 2048
        assert 0 < found["step_latency"] < 1
    result = json.loads((run / "trials" / "0000" / "result.json").read_text())
    assert result["measures"]["width"] == 8
    assert "state_bytes" in nas("report", run).stdout


def test_a_known_mixer_is_trained_by_its_name(tmp_path):
    sizes = ("--set", "model.hidden=8", "--set", "model.layers=1", "--set", "training.steps=2")
    done = nas("train", "fsmn", *TASK, *sizes, "--to", tmp_path / "to", "--json")
    assert done.returncode == 0, done.stderr
    described = json.loads((tmp_path / "to" / "architecture.json").read_text())
    assert described["found_as"] == "sequence-mixer"
    assert described["takes"]["model.pt2"].startswith("any")


def test_names_that_nobody_knows_list_those_that_are_known():
    done = nas("train", "megamixer", *TASK)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "gated-deltanet" in done.stderr and "lstm" in done.stderr
    listed = json.loads(nas("ls", "--json").stdout)
    assert "deltaproduct" in listed["mixers"] and "gru" in listed["cells"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("space.state=0", "state must be a whole number of at least 1"),
        ("space.mixings=['loop']", "unknown mixing loop"),
        ("space.images=true", "for tasks of images: remove it"),
    ],
)
def test_bad_options_are_refused_in_one_line(tmp_path, setting, message):
    space = ("--space", "sequence-mixer", "--set", setting, "--run", tmp_path / "run")
    done = nas("search", *space, *TASK)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert not (tmp_path / "run").exists()
