"""`nas sweep` through the real command line, and what it refuses."""

import csv
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file

from compress.pruning.masks import counted_sparsity
from nas import api
from nas.core.errors import BadInput
from nas.jobs.sweep.report import sweep_table
from nas.jobs.sweep.rows import Row, SweepSummary, knees
from nas.loop.candidate import Candidate
from nas.models.cifar_resnet import resnet8
from nas.models.model_files import load_model
from tests.jobs.command import nas

SMALL = {
    "size": {"embedding": 4, "hidden": 6, "layers": 1},
    "task": {"name": "", "strings": 120},
    "epoch_steps": 3,
    "train_epochs": 1,
    "recover_epochs": 2,
    "execution": {"executor": "serial"},
}
FLAGS = [
    *("--set", "size.embedding=4", "--set", "size.hidden=6", "--set", "size.layers=1"),
    *("--set", "task.strings=120", "--epoch-steps", 3, "--train-epochs", 1, "--recover-epochs", 2),
    *("--executor", "serial", "--model", "reber-gru", "--levels", "0.4:0.8:0.4", "--seeds", 1),
    *("--methods", "magnitude,gradient", "--what", "i2h,h2h", "--ap", "0,0.05", "--json"),
]


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[Path, dict]:
    run = tmp_path_factory.mktemp("sweeps") / "run"
    ended = nas("sweep", *FLAGS, "--run", run, fresh=True)
    assert ended.returncode == 0, ended.stderr
    return run, json.loads(ended.stdout)


def test_the_grid_is_whole_and_its_rows_are_measured(swept: tuple[Path, dict]) -> None:
    run, facts = swept
    rows = facts["rows"]
    asked = {(r["method"], r["what"], r["ap"], r["level"], r["seed"]) for r in rows}
    assert len(rows) == len(asked) == 2 * 2 * 2 * 2
    for row in rows:
        assert row["failed"] is None
        weights = 3 * 6 * (4 if row["what"] == "i2h" else 6)
        assert row["sparsity"] == round(row["level"] * weights) / weights
        assert 0 <= row["metric_before"] <= 1 and 0 <= row["metric_after"] <= 1
        assert row["recovery_epochs"] in (None, 0, 1, 2)
        assert row["milliseconds_dense"] > 0 and row["milliseconds_sparse"] > 0
        assert row["dead"] == pytest.approx(row["dead_static"] + row["dead_dynamic"])
    assert len(facts["knee"]) == 8 and facts["faster"] is False
    with (run / "report" / "rows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert (run / "report" / "sweep.svg").read_text().count("recover") >= 1


def test_what_a_sweep_ended_in_is_said_again(swept: tuple[Path, dict]) -> None:
    run, facts = swept
    assert json.loads(nas("report", run, "--json").stdout) == facts
    said = nas("report", run).stdout
    page = (run / "report" / "report.html").read_text()
    assert said.count("knee") == page.count("knee:") == 8
    assert page.count("<tr>") == 17 and page.count("<svg") == 1


def test_every_pruned_network_reloads_with_the_sparsity_that_is_stated(swept) -> None:
    run, facts = swept
    for row in facts["rows"]:
        folder = run / "pruned" / f"{row['number']:04d}"
        model, stated = load_model(folder), json.loads((folder / "architecture.json").read_text())
        assert counted_sparsity(model, row["what"]) == row["sparsity"] == stated["sparsity"]


def test_a_row_is_exported_and_must_be_named(swept, tmp_path: Path) -> None:
    run, _ = swept
    said = api.export(run, tmp_path / "third", 3)
    programs = ["model.pt2", "model.onnx"]
    assert said["files"] == ["architecture.json", "model.safetensors", *programs]
    assert set(said["takes"].values()) == {"any number of sequences of any length"}
    assert counted_sparsity(load_model(tmp_path / "third"), "both") > 0
    with pytest.raises(BadInput, match="name a row by --candidate, 0 to 15"):
        api.export(run, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_channels_are_taken_out_and_the_network_is_smaller(tmp_path: Path) -> None:
    given = {**SMALL, "model": "reber-gru", "levels": (0.5,), "what": ("channels", "both")}
    summary = api.sweep(**given, methods=("magnitude", "lamp"), run=tmp_path / "run")
    rows = {(row.what, row.method): row for row in summary.rows}
    assert rows.keys() == {("channels", "magnitude"), ("both", "magnitude"), ("both", "lamp")}
    folder = tmp_path / "run" / "pruned" / f"{rows['channels', 'magnitude'].number:04d}"
    model, told = load_model(folder), json.loads((folder / "architecture.json").read_text())
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert model.layers[0].hidden_size == 3 and told["parameters"] == counted
    said = api.export(tmp_path / "run", tmp_path / "to", rows["channels", "magnitude"].number)
    assert {"model.safetensors", "model.pt2", "model.onnx"} <= set(said["files"])
    assert rows["channels", "magnitude"].failed is None
    with pytest.raises(BadInput, match="go by their norms alone"):
        api.sweep(**given, methods=("lamp",), run=tmp_path / "none")


def test_two_of_four_and_blocks_are_left_as_asked(tmp_path: Path) -> None:
    given = {**SMALL, "size": {"embedding": 4, "hidden": 8, "layers": 1}, "model": "reber-gru"}
    for scope, groups in (("4", (-1, 4)), ("8x1", None)):
        run = tmp_path / scope
        (row,) = api.sweep(**given, levels=(0.5,), what="h2h", scope=scope, run=run).rows
        left = load_model(run / "pruned" / f"{row.number:04d}").layers[0].on_h != 0
        counts = left.unflatten(-1, groups).sum(-1) if groups else left.sum(-2)
        assert row.sparsity == 0.5
        assert set(counts.unique().tolist()) == ({2} if groups else {0, 8})


class Died(Exception):
    """What a watcher raises to end a driver in the middle."""


@dataclass
class DiesAfter:
    results: int

    def update(self, candidate: Candidate) -> None:
        self.results -= 1
        if self.results == 0:
            raise Died

    def tick(self, in_flight: int) -> None: ...


def test_a_run_that_was_cut_off_is_completed_with_the_same_rows(tmp_path: Path) -> None:
    given = {**SMALL, "model": "reber-tanh", "levels": (0.4, 0.8), "ap": (0, 0.05), "seeds": 2}
    whole = api.sweep(**given, run=tmp_path / "whole")
    for results in (3, 10):
        with pytest.raises(Died):
            api.sweep(**given, run=tmp_path / "cut", watchers=[DiesAfter(results)])
    resumed = api.sweep(**given, run=tmp_path / "cut")
    timeless = dict.fromkeys(("milliseconds_dense", "milliseconds_sparse"), 0.0)
    rows = [tuple(replace(row, **timeless) for row in s.rows) for s in (whole, resumed)]
    assert rows[0] == rows[1] and len(rows[0]) == 8
    again = api.sweep(**given, run=tmp_path / "cut", watchers=[DiesAfter(17)])
    assert again.rows == resumed.rows
    with pytest.raises(BadInput, match="recover_epochs was 2 and is 3"):
        api.sweep(**{**given, "recover_epochs": 3}, run=tmp_path / "cut")


def test_a_checkpoint_is_swept_and_what_it_lacks_is_said(swept, tmp_path: Path) -> None:
    folder = swept[0] / "pruned" / "0000"
    task = {"name": "reber", "strings": 120}
    given = {**SMALL, "model": str(folder), "task": task, "train_epochs": None}
    given = {**given, "levels": (0.9,), "recover_epochs": 0}
    summary = api.sweep(**given, run=tmp_path / "run")
    (row,) = summary.rows
    assert row.what == "both" and row.metric_after == row.metric_before
    assert "±" in sweep_table(summary)
    refused = [
        ({"methods": ("movement",)}, "method movement needs the weights before training"),
        ({"ap": (0.02,)}, "ap needs the weights before training"),
        ({"task": {"name": ""}}, "give it with --task"),
        ({"task": {"name": "digits"}}, "was made for 128 inputs"),
        ({"rewind": True}, "rewind needs the weights before training"),
        ({"weights": tmp_path / "none.th"}, "none.th"),
    ]
    for changes, message in refused:
        with pytest.raises(BadInput, match=message):
            api.sweep(**{**given, "run": tmp_path / "other", **changes})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": "0.5,1.2"}, "levels: 1.2 is no share"),
        ({"levels": "0.9:0.1:0.1"}, "is empty"),
        ({"levels": "half"}, "half is no list"),
        ({"ap": "0.02,-1"}, "ap: -1 is no share"),
        ({"levels": (0.1,), "ap": (0.2,)}, "ap 0.2 is more than the level 0.1"),
        ({"methods": "magnitude,luck"}, 'no method "luck": there are magnitude'),
        ({"scope": "half"}, 'unknown scope "half"; choose global'),
        (
            {"scope": "4", "levels": (0.3,)},
            "of 4 neighbours 0.3 is no number: levels are 0.25, 0.5",
        ),
        ({"scope": "2x2", "ap": (0, 0.1)}, "ap takes single weights, scope 2x2 a pattern"),
        ({"what": "gates"}, 'no what "gates": there are i2h'),
        ({"cycles": 2}, "one-shot pruning has one cycle"),
        ({"schedule": "slow"}, 'no schedule "slow"'),
        ({"model": "reber-brain"}, 'no model "reber-brain"'),
        ({"model": "lstm"}, "give it with --task"),
        ({"model": "resnet8", "task": "images"}, "needs --data"),
        ({"model": "resnet8", "task": "digits", "what": "h2h"}, "resnet8, --what h2h: the model"),
        ({"model": "resnet8", "task": "digits", "levels": (1.0,)}, "leaves no layer of resnet8"),
        (
            {"model": "gru-classifier", "task": "n-parity"},
            "gru-classifier cannot read what",
        ),
        ({"train_epochs": 0}, "reber-gru has no weights"),
        ({"task": {"name": "", "strings": 120, "colour": 1}}, "takes no colour"),
        ({"traning": {}}, "traning: unknown key"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict, message: str
) -> None:
    run = tmp_path / "run"
    with pytest.raises(BadInput, match=message):
        api.sweep(**{"model": "reber-gru", **SMALL, "run": run, **changes})
    assert not run.exists()


def test_weights_of_another_shape_are_refused_by_the_command(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_file(resnet8(classes=3).state_dict(), weights)
    model = ["--model", "resnet8", "--task", "digits", "--weights", weights]
    ended = nas("sweep", *model, "--executor", "serial", "--run", tmp_path / "run")
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and "w.safetensors" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_layer_that_is_pruned_away_whole_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = resnet8(channels=1)
    with torch.no_grad():
        model.linear.weight.mul_(1e-6)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    settings = {**SMALL, "task": "digits", "train_epochs": None, "recover_epochs": 0}
    with pytest.raises(BadInput, match=r"level 0\.5: layer network\.linear\.weight is pruned"):
        api.sweep(
            **settings,
            model="resnet8",
            weights=tmp_path / "w.safetensors",
            levels=(0.001, 0.5),
            run=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_the_knee_is_the_highest_level_that_recovers() -> None:
    facts = {name: None for name in (field.name for field in fields(Row))}
    row = Row(**{**facts, "method": "lamp", "what": "h2h", "ap": 0.0, "metric_dense": 0.9})
    after = {0.5: (0.9, 0.9), 0.7: (0.885, 0.905), 0.8: (0.88, 0.88)}
    rows = [
        replace(row, number=0, level=level, seed=seed, metric_after=metric)
        for level, metrics in after.items()
        for seed, metric in enumerate(metrics)
    ]
    summary = SweepSummary("s", "m", "accuracy", True, 0.01, tuple(rows), 1.0)
    assert [knee["sentence"] for knee in knees(summary)] == [
        "knee: lamp, h2h: 70% costs 0.5 points"
    ]
    none = replace(summary, tolerance=-1.0)
    assert knees(none)[0]["sentence"] == "knee: lamp, h2h: no level recovers"


def test_cycles_reach_the_level_and_rewinding_gives_survivors_their_first_weights(
    tmp_path: Path,
) -> None:
    cycles = {"schedule": "iterative", "cycles": 3, "rewind": True, "recover_epochs": 0}
    given = {**SMALL, **cycles, "model": "reber-gru", "levels": (0.7,), "ap": (0.02,)}
    (row,) = api.sweep(**given, run=tmp_path).rows
    assert row.failed is None and row.sparsity == pytest.approx(0.7, abs=0.01)
    base = load((tmp_path / "base" / "seed-0.safetensors").read_bytes())
    pruned = load_model(tmp_path / "pruned" / "0000").state_dict()
    for name, weight in pruned.items():
        kept = weight != 0
        assert torch.equal(weight[kept], base[f"start.{name}"][kept])
    assert not torch.equal(base["weights.layers.0.on_h"], base["start.layers.0.on_h"])
