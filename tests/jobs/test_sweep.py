"""`nas sweep` through the real command line, and what it refuses."""

import csv
import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
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
    "programs": False,
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


def test_the_grid_is_complete_and_its_rows_are_measured(swept: tuple[Path, dict]) -> None:
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
    assert len(facts["knee"]) == 8 and not facts["faster"]
    with (run / "report" / "rows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert (run / "report" / "sweep.svg").read_text().count("recover") >= 1


def test_a_finished_sweep_is_reported_again(swept: tuple[Path, dict]) -> None:
    run, facts = swept
    assert json.loads(nas("report", run, "--json").stdout) == facts
    printed = nas("report", run).stdout
    page = (run / "report" / "report.html").read_text()
    assert printed.count("knee") == page.count("knee:") == 8
    data = json.loads(re.findall(r'class="explorer">(.*?)</script>', page, re.DOTALL)[0])
    assert len(data["numbers"]) == 16 and page.count("<svg") == 1


def test_every_pruned_network_reloads_with_its_recorded_sparsity(swept) -> None:
    run, facts = swept
    for row in facts["rows"]:
        folder = run / "pruned" / f"{row['number']:04d}"
        model, stated = load_model(folder), json.loads((folder / "architecture.json").read_text())
        assert counted_sparsity(model, row["what"]) == row["sparsity"] == stated["sparsity"]


def test_an_export_needs_the_number_of_a_row(swept, tmp_path: Path) -> None:
    run, _ = swept
    said = api.export(run, tmp_path / "third", 3)
    programs = ["model.pt2", "model.onnx"]
    assert said["files"] == ["architecture.json", "model.safetensors", *programs]
    assert set(said["takes"].values()) == {"any number of sequences of any length"}
    assert counted_sparsity(load_model(tmp_path / "third"), "both") > 0
    with pytest.raises(BadInput, match="choose a row from 0 to 15 with --candidate"):
        api.export(run, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_channels_are_removed_and_the_network_is_smaller(tmp_path: Path) -> None:
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
    with pytest.raises(BadInput, match="needs magnitude in --methods"):
        api.sweep(**given, methods=("lamp",), run=tmp_path / "none")


def test_pruned_networks_are_measured_in_int8_where_asked(tmp_path: Path) -> None:
    given = {"model": "resnet8", "task": {"name": "digits"}, "execution": {"executor": "serial"}}
    epochs = {"train_epochs": 1, "recover_epochs": 0, "epoch_steps": 40, "int8": True}
    epochs["programs"] = False
    summary = api.sweep(**given, **epochs, levels=(0.5,), what=("channels",), run=tmp_path / "run")
    (row,) = summary.rows
    assert row.failed is None
    assert row.milliseconds_int8 is not None and row.milliseconds_int8 > 0
    assert row.metric_int8 == pytest.approx(row.metric_after, abs=0.1)
    said = sweep_table(summary)
    assert "ms int8" in said and f"{row.metric_int8:.4f}" in said
    asked = replace(summary, rows=(replace(row, metric_int8=None),))
    assert "int8" not in sweep_table(asked)


def test_compiled_cells_are_measured_in_int8(tmp_path: Path) -> None:
    given = {**SMALL, "model": "reber-gru", "int8": True, "recover_epochs": 0}
    (row,) = api.sweep(**given, levels=(0.5,), what="h2h", run=tmp_path / "run").rows
    assert row.failed is None and row.milliseconds_int8
    assert row.metric_int8 == pytest.approx(row.metric_after, abs=0.05)


def test_two_of_four_and_blocks_are_removed_exactly(tmp_path: Path) -> None:
    given = {**SMALL, "size": {"embedding": 4, "hidden": 8, "layers": 1}, "model": "reber-gru"}
    for scope, groups in (("4", (-1, 4)), ("8x1", None)):
        run = tmp_path / scope
        (row,) = api.sweep(**given, levels=(0.5,), what="h2h", scope=scope, run=run).rows
        left = load_model(run / "pruned" / f"{row.number:04d}").layers[0].on_h != 0
        counts = left.unflatten(-1, groups).sum(-1) if groups else left.sum(-2)
        assert row.sparsity == 0.5
        assert set(counts.unique().tolist()) == ({2} if groups else {0, 8})


class Died(Exception):
    """Raised by a watcher to end a driver early."""


@dataclass
class DiesAfter:
    results: int

    def update(self, candidate: Candidate) -> None:
        self.results -= 1
        if self.results == 0:
            raise Died

    def tick(self, in_flight: int) -> None: ...


def test_an_interrupted_sweep_is_completed_with_the_same_rows(tmp_path: Path) -> None:
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
    with pytest.raises(BadInput, match="recover_epochs was 2 and is now 3"):
        api.sweep(**{**given, "recover_epochs": 3}, run=tmp_path / "cut")


def test_a_checkpoint_is_swept_and_missing_inputs_are_named(swept, tmp_path: Path) -> None:
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
        ({"task": {"name": ""}}, "pass --task NAME"),
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
        ({"levels": "0.5,1.2"}, "levels: 1.2 is not a share"),
        ({"levels": "0.9:0.1:0.1"}, "is empty"),
        ({"levels": "half"}, 'cannot read "half"'),
        ({"ap": "0.02,-1"}, "ap: -1 is not a share"),
        ({"levels": (0.1,), "ap": (0.2,)}, "ap 0.2 must not exceed the highest level, 0.1"),
        ({"methods": "magnitude,luck"}, 'unknown method "luck"; choose magnitude'),
        ({"scope": "half"}, 'unknown scope "half"; choose global'),
        (
            {"scope": "4", "levels": (0.3,)},
            "--scope 4 allows only the levels 0.25, 0.5, 0.75, not 0.3",
        ),
        ({"scope": "2x2", "ap": (0, 0.1)}, "ap removes single weights, scope 2x2 a pattern"),
        ({"what": "gates"}, 'unknown what "gates"; choose i2h'),
        ({"cycles": 2}, "one-shot pruning has 1 cycle"),
        ({"schedule": "slow"}, 'unknown schedule "slow"'),
        ({"model": "reber-brain"}, 'unknown model "reber-brain"'),
        ({"model": "lstm"}, "pass --task NAME"),
        ({"model": "resnet8", "task": "images"}, "needs --data"),
        ({"model": "resnet8", "task": "digits", "what": "h2h"}, "resnet8, --what h2h: the model"),
        (
            {"model": "resnet8", "task": "digits", "levels": (1.0,)},
            "would remove every weight of resnet8",
        ),
        (
            {"model": "gru-classifier", "task": "n-parity"},
            "gru-classifier does not fit task",
        ),
        ({"train_epochs": 0}, "reber-gru has no weights"),
        ({"task": {"name": "", "strings": 120, "colour": 1}}, "has no option colour"),
        ({"traning": {}}, "traning: unknown key"),
    ],
)
def test_bad_settings_of_a_sweep_are_refused_before_anything_is_written(
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


def test_pruning_every_weight_of_a_layer_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = resnet8(channels=1)
    with torch.no_grad():
        model.linear.weight.mul_(1e-6)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    settings = {**SMALL, "task": "digits", "train_epochs": None, "recover_epochs": 0}
    with pytest.raises(
        BadInput, match=r"level 0\.5: every weight of layer network\.linear\.weight"
    ):
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
    summary = SweepSummary(Path("s"), "m", "accuracy", True, 0.01, tuple(rows), 1.0)
    assert [knee["sentence"] for knee in knees(summary)] == [
        "knee: lamp, h2h: 70% costs 0.5 points"
    ]
    none = replace(summary, tolerance=-1.0)
    assert knees(none)[0]["sentence"] == "knee: lamp, h2h: no level recovers"


@pytest.mark.parametrize(
    ("dense", "sparse", "verdict"),
    [
        ((2.0, 2.1), 1.0, "the pruned networks are faster"),
        ((2.0, 2.1), 2.0, "no gain measured"),
        ((1.6, 23.0), 1.0, "undecided: timings of the same dense network differ by 1338%"),
    ],
)
def test_the_verdict_on_speed_is_withheld_where_timings_disagree(
    dense: tuple[float, float], sparse: float, verdict: str
) -> None:
    facts = {name: None for name in (field.name for field in fields(Row))}
    facts |= {"method": "magnitude", "what": "both", "ap": 0.0, "level": 0.5, "metric_dense": 0.9}
    rows = [
        Row(
            **{
                **facts,
                "metric_after": 0.9,
                "milliseconds_dense": taken,
                "milliseconds_sparse": sparse,
            }
        )
        for taken in dense
    ]
    summary = SweepSummary(Path("s"), "m", "accuracy", True, 0.01, tuple(rows), 1.0)
    table = sweep_table(summary)
    assert verdict in table
    assert f"{np.median(dense):.2f}±{(dense[1] - dense[0]) / 2:.2f}" in table


def test_cycles_reach_the_level_and_rewinding_restores_the_first_weights(
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


@pytest.mark.parametrize(("name", "timed"), [("Flat", True), ("Packed", True), ("Own", False)])
def test_a_users_lstm_is_swept_and_timed_where_it_runs_on_compiled_cells(
    tmp_path: Path, name: str, timed: bool
) -> None:
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(60, 5, 3)).astype(np.float32), "y": np.arange(60) % 2}
    np.savez(tmp_path / "data.npz", **data, length=rng.integers(1, 6, 60))
    task = {"name": "sequences", "data": str(tmp_path / "data.npz"), "batch": 8}
    given = {**SMALL, "task": task, "levels": (0.5,), "recover_epochs": 1, "what": ("both",)}
    summary = api.sweep(**given, model=f"tests.jobs.own_lstms:{name}", run=tmp_path / "run")
    (row,) = summary.rows
    assert row.failed is None and row.metric_after is not None
    assert row.milliseconds_dense is not None
    assert (row.milliseconds_sparse is not None) == timed
    head, line = (
        next(line for line in sweep_table(summary).splitlines() if word in line).split()
        for word in ("ms sparse", "magnitude  both")
    )
    assert head[-1] == "sparse" and (line[-1] != "–") == timed
