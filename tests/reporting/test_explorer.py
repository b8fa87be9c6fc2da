"""The data of an explorer, what decides, and the page around them."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from nas.jobs.search.report import search_report
from nas.reporting.candidates import Judged, candidate_explorer
from nas.reporting.explorer import Column, Explorer, Graph, Row
from nas.reporting.html import bars, document, explorer
from nas.reporting.importance import importances
from nas.reporting.report import served_page, write_report
from tests.reporting.runs import HOSTILE, candidates, summary


def small(*rows: Row, columns: tuple[Column, ...] = (Column("loss", "result", "nats", -1),)):
    names = [column.name for column in columns]
    return Explorer("Rows", "row", columns, rows, names, names, names[0], names[0], names[0])


def test_columns_keep_numbers_words_and_what_is_missing() -> None:
    rows = [
        Row(0, "a", "trained", {"loss": 1.23456789, "kind": "b", "right": True}),
        Row(1, "b", "failed", {"loss": float("nan"), "kind": "a", "right": False}, failed="why"),
        Row(2, "c", "screened", {}),
    ]
    columns = (Column("loss", "result"), Column("kind", "decision"), Column("right", "result"))
    data = json.loads(small(*rows, columns=columns).to_json())
    loss, kind, right = data["columns"]
    assert loss["values"] == [1.23457, None, None]
    assert (kind["words"], kind["codes"]) == (["a", "b"], [1, 0, -1])
    assert (right["words"], right["codes"]) == (["no", "yes"], [1, 0, -1])
    assert data["status"] == "021" and data["why"] == {"words": ["why"], "codes": [-1, 0, -1]}


def test_a_graph_is_kept_as_places_of_its_labels() -> None:
    graph = Graph((("x", "input"), ("tanh", "activation"), ("x", "input")), ((0, 1), (2, 1)))
    data = json.loads(small(Row(5, "a", "trained", {}, graph=graph)).to_json())
    nodes, edges = data["graphs"]["rows"]["0"]
    assert [data["graphs"]["labels"][node][0] for node in nodes] == ["x", "tanh", "x"]
    assert edges == [0, 1, 2, 1]


def test_a_candidate_becomes_a_row_with_its_decisions_curves_and_status() -> None:
    found = search_explorer_of(40)
    by_number = {row.number: row for row in found.rows}
    assert by_number[9].status == "failed" and by_number[9].failed
    assert by_number[1].status == "screened" and by_number[1].curve is None
    trained = by_number[3]
    assert trained.status == "trained" and trained.curve and trained.curve.steps == (100, 200)
    assert trained.values["nodes"] in (7, 14, 21)
    better = {column.name: column.better for column in found.columns}
    assert (better["validation loss"], better["gradient-norm"], better[HOSTILE]) == (-1, -1, 1)
    assert (found.x, found.y) == ("parameters", "validation loss, first rung")


def test_a_page_of_very_many_candidates_has_those_that_trained_and_some_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = search_explorer_of(40)
    monkeypatch.setattr("nas.reporting.candidates.MOST_ROWS", 20)
    found = search_explorer_of(40)
    numbers = [row.number for row in found.rows]
    assert len(numbers) == 20 and numbers == sorted(set(numbers))
    trained = [[row for row in one.rows if row.status == "trained"] for one in (everything, found)]
    assert trained[0] == trained[1]
    others = sorted(set(numbers) - {row.number for row in trained[1]})
    assert others[0] < 5 and others[-1] >= 35  # from the whole run
    assert "20 of 40 candidates" in explorer(found) and everything.note == ""


def test_the_decision_that_the_loss_depends_on_explains_it_most() -> None:
    found, n = importances(search_explorer_of(300), "validation loss")
    assert n == 90
    assert found[0].name == "nodes" and found[0].share > 0.8
    assert 0 < found[0].half_width < 0.2


def test_no_decision_explains_noise() -> None:
    rng = np.random.default_rng(0)
    names = [f"decision {i}" for i in range(20)]
    rows = [
        Row(i, "", "trained", {"loss": rng.normal(), **{n: int(rng.integers(3)) for n in names}})
        for i in range(200)
    ]
    columns = (Column("loss", "result"), *(Column(name, "decision") for name in names))
    found, _ = importances(small(*rows, columns=columns), "loss")
    assert len(found) <= 3 and all(one.share < 0.1 for one in found)


def test_few_candidates_decide_nothing() -> None:
    found, n = importances(search_explorer_of(30), "validation loss")
    assert found == [] and "Only 9 candidates" in bars(found, n, "validation loss")


def test_no_text_of_a_run_leaves_its_place_in_the_page(tmp_path: Path) -> None:
    page = write_report(search_report(summary(candidates(40))), tmp_path).read_text()
    for served in (page, served_page(search_report(summary(candidates(40))), 5)):
        assert HOSTILE not in served and "<img" not in served
        assert served.count("</script>") == 2  # the data and our own
    block = re.search(r'class="explorer">(.*?)</script>', page, re.DOTALL)
    assert block and HOSTILE in {column["name"] for column in json.loads(block[1])["columns"]}


def test_the_policy_allows_our_script_and_no_network(tmp_path: Path) -> None:
    page = document("title", [explorer(small(Row(0, "a", "trained", {"loss": 1.0})))])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert policy and script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert not re.search(r"(src|href)=", page)


@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_search_of_any_size_has_a_page(tmp_path: Path, count: int) -> None:
    page = write_report(search_report(summary(candidates(count))), tmp_path).read_text()
    assert page.count("<svg") >= 3 and "candidates" in page


def search_explorer_of(count: int) -> Explorer:
    run = summary(candidates(count, cells=count))
    judged = Judged(run.objective, run.metric, run.higher_is_better, run.scores)
    return candidate_explorer(run.candidates, judged)
