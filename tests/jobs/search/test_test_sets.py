"""The metric on a task's test sets is recorded, shown by searches, and returned by `train`."""

import json
from pathlib import Path

import pytest

from nas import api
from nas.core.settings import read_config
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.report import search_report
from nas.jobs.search.setup import search_job
from nas.jobs.search.summary import SearchSummary, read_search
from nas.loop.candidate import checkpoint_of
from nas.models.architecture_files import read_architecture
from nas.training import evaluate_sets, restore

SETTINGS = {
    "task": {"name": "state-tracking", "group": "Z2", "longest": 4, "times": [1, 3]},
    "model": {"embedding": 4, "hidden": 4, "layers": 1},
    "training": {"steps": 6, "rungs": 2, "device": "cpu"},
    "execution": {"executor": "serial", "kernels": "reference"},
    "scores": ["parameters"],
    "candidates": 2,
    "survivors": 2,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchSummary:
    return api.search(run=tmp_path_factory.mktemp("search") / "run", **SETTINGS)


def test_a_search_records_and_shows_every_test_set(found: SearchSummary) -> None:
    report = search_report(found)
    head, *rows = found_rows(report.text)
    assert head[-3:] == ["accuracy", "1x", "3x"] and len(rows) == 2
    for survivor, row in zip(report.facts["survivors"], rows, strict=True):
        assert list(survivor["test_sets"]) == ["1x", "3x"]
        shown = [f"{value:.3g}" for value in survivor["test_sets"].values()]
        assert row[-2:] == shown
    page = (found.folder / "report" / "report.html").read_text()
    assert '"test set 1x"' in page and '"test set 3x"' in page
    table = (found.folder / "report" / "survivors.csv").read_text().splitlines()
    assert table[0].endswith("accuracy,1x,3x")


def found_rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[2:]]


def test_what_is_recorded_is_the_metric_of_the_trained_network(found: SearchSummary) -> None:
    job, best = search_job(found.config), found.best[0]
    model = job.build(best.architecture, job.train_size, 0)
    restore(checkpoint_of(found.folder, best).read_bytes(), model)
    assert found.on_test_sets(best) == pytest.approx(evaluate_sets(model, job.task))


def test_a_run_without_recorded_test_sets_is_still_reported(
    found: SearchSummary, tmp_path: Path
) -> None:
    """Runs of earlier versions have none."""
    about = json.loads((found.folder / "run.json").read_text())
    for candidate in (found.folder / "trials").glob("*/result.json"):
        record = json.loads(candidate.read_text())
        folder = tmp_path / "trials" / candidate.parent.name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({**record, "measures": {}}))
    (tmp_path / "run.json").write_text(json.dumps(about))
    _, *rows = found_rows(search_report(read_search(tmp_path)).text)
    assert all(row[-2:] == ["–", "–"] for row in rows)
    del about["details"]["test_sets"]
    (tmp_path / "run.json").write_text(json.dumps(about))
    assert found_rows(search_report(read_search(tmp_path)).text)[0][-1] == "accuracy"


def test_train_returns_the_metric_on_every_test_set() -> None:
    config = read_config(SearchConfig, None, (), {k: v for k, v in SETTINGS.items() if k != "run"})
    facts = api.train(read_architecture("rnn-tanh"), config)
    assert list(facts)[-4:] == ["test_loss", "test_1x", "test_3x", "seconds"]
    assert 0 <= facts["test_1x"] <= 1 and 0 <= facts["test_3x"] <= 1
