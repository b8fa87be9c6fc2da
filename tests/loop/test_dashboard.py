"""optuna-dashboard, through its own server, shows every candidate of a run's journal."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas import api

optuna_dashboard = pytest.importorskip(
    "optuna_dashboard", reason="optuna-dashboard is not installed"
)


def get(app: Any, path: str, query: str = "") -> Any:
    """Return the JSON that the dashboard's WSGI application answers."""
    codes: list[str] = []
    environment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    body = b"".join(app(environment, lambda code, *_: codes.append(code)))
    assert codes == ["200 OK"], (codes, body)
    return json.loads(body)


def test_history_and_parallel_coordinates_have_all_candidates(tmp_path: Path) -> None:
    run = api.search(
        space="tests.toys:Perceptrons",
        scores=["tests.toys:FirstWeight"],
        task="tests.toys:Quadrants",
        candidates=12,
        survivors=2,
        training={"steps": 20, "rungs": 1},
        execution={"executor": "serial"},
        run=str(tmp_path / "run"),
    )
    journal = JournalFileBackend(str(tmp_path / "run" / "study.journal"))
    app = optuna_dashboard.wsgi(JournalStorage(journal))
    (study,) = get(app, "/api/studies")["study_summaries"]
    shown = get(app, f"/api/studies/{study['study_id']}", "after=0")
    trials = {trial["number"]: trial for trial in shown["trials"]}
    assert set(trials) == {c.number for c in run.candidates} and len(trials) == 12
    for candidate in run.candidates:  # the history plots the values of complete trials
        trial = trials[candidate.number]
        assert trial["state"] == "Complete"
        assert trial["values"] == [pytest.approx(next(iter(candidate.scores.values())))]
        params = {
            p["name"]: json.loads(json.dumps(p["param_external_value"])) for p in trial["params"]
        }
        assert set(params) == set(candidate.decisions)
    axes = {axis["name"] for axis in shown["union_search_space"]}
    assert axes == {name for c in run.candidates for name in c.decisions}
    every = {axis["name"] for axis in shown["intersection_search_space"]}
    assert every == {"layers", "layer_0/width"}  # axes that all candidates have a place on
