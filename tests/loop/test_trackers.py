"""Each tracker's own reader finds what a run sent, once, also after a resumed run."""

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nas.core.errors import BadInput
from nas.core.job import Objective
from nas.loop.candidate import Candidate, Rung
from nas.loop.trackers import tracking
from nas.loop.trackers.tracker import Tracked
from nas.loop.trackers.tracking import TRACKERS, Remembering, Tracking, check_trackers
from search_spaces.architecture import Architecture

LOSS = Objective("validation loss", "nats")
SCORE = Objective("gradient-norm", higher_is_better=True)
RUNGS = (Rung(50, 2.5, 2.5, 12.2, 2.9, 1.0, "a"), Rung(100, 2.1, 2.1, 8.2, 2.3, 1.0, "b"))


@pytest.fixture
def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "png")
    return file.getvalue()


def candidate(number: int, score: float, rungs: tuple[Rung, ...] = ()) -> Candidate:
    architecture = Architecture("cells", (number,))
    return Candidate(number, architecture, 999, 10, {"gradient-norm": score}, rungs=rungs)


def send(name: str, folder: Path, png: bytes) -> None:
    """Send a run that was interrupted after the first rung and resumed, as a driver does."""
    run = Tracked(folder, "search", LOSS, "perplexity", {"seed": 3, "task.name": "reber"})
    objectives = {LOSS.name: LOSS, SCORE.name: SCORE}
    with Tracking(run, SCORE, [Remembering(name, run, objectives)]) as first:
        first.update(candidate(0, 5.0))
        first.update(candidate(1, 7.0))
        first.update(candidate(1, 7.0, RUNGS[:1]))
    with Tracking(run, SCORE, [Remembering(name, run, objectives)]) as again:
        again.update(candidate(0, 5.0))
        again.update(candidate(1, 7.0, RUNGS[:1]))
        again.update(candidate(1, 7.0, RUNGS))
        again.update(candidate(2, 9.0))
        again.picture(png)


def test_mlflow_reads_a_run_with_one_below_it_per_candidate(
    tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    send("mlflow", tmp_path / "run", png)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("nas")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"run", "candidate-0001"}
    search, trained = runs["run"], runs["candidate-0001"]
    assert search.info.status == "FINISHED" and search.data.params["task.name"] == "reber"
    assert trained.data.tags["mlflow.parentRunId"] == search.info.run_id
    assert trained.data.params["parameters"] == "999"
    points = client.get_metric_history(trained.info.run_id, "validation/perplexity")
    assert [(point.step, point.value) for point in points] == [(50, 12.2), (100, 8.2)]
    bests = client.get_metric_history(search.info.run_id, "best/gradient-norm")
    assert [(point.step, point.value) for point in bests] == [(0, 5.0), (1, 7.0), (2, 9.0)]
    assert [file.path for file in client.list_artifacts(search.info.run_id)] == ["architecture.png"]


def test_trackio_reads_the_curves_of_a_resumed_run(
    tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    send("trackio", tmp_path / "run", png)
    name = json.loads((tmp_path / "run" / "trackers" / "trackio.json").read_text())["id"]
    (run,) = [run for run in trackio.Api().runs("nas") if run.name == name]
    assert run.config["task.name"] == "reber"
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs("nas", name, run_id=run.id)
    assert curve(logs, "candidate-0001/validation/perplexity") == [(50, 12.2), (100, 8.2)]
    assert curve(logs, "best/gradient-norm") == [(0, 5.0), (1, 7.0), (2, 9.0)]


def test_weights_and_biases_offline_files_hold_the_curves(
    tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    send("wandb", tmp_path / "run", png)
    files = sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2  # one per driver, both of one run
    records = [record for file in files for record in wandb_records(file)]
    assert len({record.run.run_id for record in records if record.HasField("run")}) == 1
    logs = [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    steps = [
        (log["candidate-0001/step"], log["candidate-0001/validation/perplexity"])
        for log in logs
        if "candidate-0001/step" in log
    ]
    assert steps == [(50, 12.2), (100, 8.2)]
    bests = [
        (log["best/step"], log["best/gradient-norm"]) for log in logs if "best/gradient-norm" in log
    ]
    assert bests == [(0, 5.0), (1, 7.0), (2, 9.0)]


def test_a_tracker_that_fails_costs_one_line_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(TRACKERS, "broken", "tests.loop.test_trackers:Broken")
    run = Tracked(tmp_path / "run", "search", LOSS, "perplexity")
    objectives = {LOSS.name: LOSS, SCORE.name: SCORE}
    with Tracking(run, SCORE, [Remembering("broken", run, objectives)]) as sent:
        sent.update(candidate(0, 5.0))
        sent.update(candidate(1, 7.0))
    assert capsys.readouterr().err == "nas: broken receives nothing more: no such server\n"


def test_a_tracker_that_cannot_start_ends_the_command_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRACKERS, "broken", "tests.loop.test_trackers:Missing")
    run = Tracked(tmp_path / "run", "search", LOSS, "perplexity")
    with pytest.raises(BadInput, match="--track broken cannot start"):
        Remembering("broken", run, {})


@pytest.mark.parametrize("damage", ['{"rungs": {', "[]", '{"rungs": 3}', "\0"])
def test_a_damaged_record_of_a_tracker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setitem(TRACKERS, "broken", "tests.loop.test_trackers:Broken")
    run = Tracked(tmp_path / "run", "search", LOSS, "perplexity")
    (run.folder / "trackers").mkdir(parents=True)
    (run.folder / "trackers" / "broken.json").write_text(damage)
    with pytest.raises(BadInput, match=r"trackers/broken\.json.*: delete it"):
        Remembering("broken", run, {})


def test_a_tracker_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r'needs mlflow: pip install "\.\[mlflow\]"'):
        check_trackers(["mlflow"])
    with pytest.raises(BadInput, match='unknown tracker "aim"; available: mlflow, wandb, trackio'):
        check_trackers(["aim"])


class Broken:
    """A tracker whose server has gone."""

    def __init__(self, run: Tracked, id: str | None) -> None:
        self.id = "1"

    def best(self, name: str, value: float, step: int) -> None:
        raise ConnectionError("no such server")


def curve(logs: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return sorted((log["step"], log[name]) for log in logs if name in log)


def wandb_records(file: Path) -> Iterator[Any]:
    """Yield the records of a file of W&B: LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = file.read_bytes(), 7, b""  # after the file's own header
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield Record.FromString(whole)
            whole = b""
