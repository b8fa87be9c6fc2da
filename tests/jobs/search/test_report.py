"""Every run gets a complete report, and TensorBoard reads its events."""

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from kernels.cell.zoo import ZOO
from nas.core.job import Objective
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.figures import course
from nas.jobs.search.report import search_report
from nas.jobs.search.summary import SearchSummary
from nas.jobs.search.table import survivors_table
from nas.loop.candidate import Candidate, Rung
from nas.loop.progress import Progress
from nas.loop.trackers.tensorboard import TensorBoard
from nas.loop.trackers.tracker import Tracked
from nas.loop.trackers.tracking import Tracking
from nas.reporting.drawing import positions
from nas.reporting.report import write_report
from search_spaces.rnn_cell.graph import graph
from search_spaces.rnn_cell.recipe import read_recipe

LOSS = Objective("validation loss", "nats")
SCORE = Objective("hidden-covariance", higher_is_better=True)
RUNGS = (Rung(50, 2.5, 2.5, 12.2, 2.9, 1.0, "a"), Rung(100, 2.1, 2.1, 8.2, 2.3, 1.0, "b"))


def candidates() -> list[Candidate]:
    cells = [read_recipe(recipe) for recipe in list(ZOO.values())[:9]]
    scored = [
        Candidate(i, cell, 1000 + i, 2000, {"hidden-covariance-1": -(10.0**i)}, seconds=0.1)
        for i, cell in enumerate(cells)
    ]
    trained = Candidate(20, cells[3], 999, 10, {"hidden-covariance-1": -5.0}, rungs=RUNGS)
    shorter = Candidate(21, cells[0], 998, 10, {"hidden-covariance-1": -6.0}, rungs=RUNGS[:1])
    failed = Candidate(22, cells[1], failed="train: the loss is <nan> at step 3")
    return [*scored, trained, shorter, failed]


def summary(known: list[Candidate], space: str = "rnn-cell") -> SearchSummary:
    return SearchSummary(
        folder=Path("a<b"),
        config=SearchConfig(space={"name": space}, controller={"name": "evolution"}),
        metric="perplexity",
        higher_is_better=False,
        objective=LOSS,
        scores={"hidden-covariance": True},
        candidates=tuple(known),
        seconds=9.0,
        finished=True,
        command="nas",
    )


@pytest.mark.parametrize(
    "known",
    [candidates(), [], candidates()[:1], candidates()[-1:], candidates()[-3:-1]],
    ids=["many", "none", "one screened", "one failed", "only trained"],
)
def test_the_page_is_complete_and_loads_nothing(tmp_path: Path, known: list[Candidate]) -> None:
    page = write_report(search_report(summary(known)), tmp_path).read_text()
    assert not re.search(r"""(src|href)=["'](http|//)""", page)
    assert "a&lt;b" in page and "<b:" not in page
    assert page.count("<svg") == 3 + min(3, sum(bool(c.rungs) for c in known))
    for c in known:
        assert c.digest in page
    if any(c.failed for c in known):
        assert r"the loss is \u003cnan> at step 3" in page
    for name in ("search", "training", "score-against-loss"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_equal_runs_give_identical_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(search_report(summary(candidates())), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_space_without_graphs_has_a_report_too(tmp_path: Path) -> None:
    found = search_report(summary(candidates(), space="tests.toys:Perceptrons"))
    page = write_report(found, tmp_path).read_text()
    assert page.count("<svg") == 3


def test_the_table_fits_a_terminal_and_starts_with_the_longest_trained() -> None:
    lines = survivors_table(summary(candidates())).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[3].split()[0] == "20" and lines[4].split()[0] == "21"


@pytest.mark.parametrize("name", ZOO)
def test_a_drawing_places_every_node_apart_and_right_of_its_inputs(name: str) -> None:
    drawn = graph(read_recipe(ZOO[name]))
    places = positions(drawn)
    assert len(set(places.values())) == len(drawn)
    assert all(places[a][0] < places[b][0] for a, b in drawn.edges)


def test_tensorboard_reads_curves_and_hyperparameters(tmp_path: Path) -> None:
    run = Tracked(tmp_path, "search", LOSS, "perplexity")
    tracker = Tracking(run, SCORE, [TensorBoard(run)])
    first, second = candidates()[9], candidates()[10]
    assert first.number == 20
    tracker.update(second)
    tracker.update(Candidate(20, first.architecture, 999, 10, first.scores, rungs=RUNGS[:1]))
    tracker.update(first)
    tracker.picture(b"\x89PNG")
    tracker.__exit__(None)
    one = EventAccumulator(str(tmp_path / "tb" / "candidate-0020")).Reload()
    assert [(e.step, round(e.value, 3)) for e in one.Scalars("validation/perplexity")] == [
        (50, 12.2),
        (100, 8.2),
    ]
    assert [e.step for e in one.Scalars("train/loss")] == [50, 100]
    content = one.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["parameters"].number_value == 999
    assert hparams["hidden-covariance-1"].number_value == -5
    assert hparams["digest"].string_value == first.digest
    search = EventAccumulator(str(tmp_path / "tb" / "search")).Reload()
    assert [e.value for e in search.Scalars("best/hidden-covariance")] == [-6, -5]
    assert search.Scalars("best/validation loss")[-1].value == pytest.approx(2.1)
    assert search.Images("best/architecture")[0].encoded_image_string == b"\x89PNG"


def test_a_candidate_that_fails_later_is_never_the_best_so_far(tmp_path: Path) -> None:
    """It can have the highest score of all, for example a gradient norm of 1e12."""
    run = Tracked(tmp_path, "search", LOSS, "perplexity")
    board = Tracking(run, SCORE, [TensorBoard(run)])
    progress = Progress(3, 3, "perplexity", LOSS, Stream())
    good, other = candidates()[9], candidates()[10]
    absurd = Candidate(22, good.architecture, 9, 9, {"hidden-covariance-1": 1e12}, rungs=RUNGS)
    failed = absurd.failing("train: the loss is nan at step 3")
    for candidate in (good, absurd, failed, other):
        board.update(candidate)
        progress.update(candidate)
    board.__exit__(None)
    search = EventAccumulator(str(tmp_path / "tb" / "search")).Reload()
    assert [e.value for e in search.Scalars("best/hidden-covariance")][-1] == -5
    assert progress.facts()["best"] == "perplexity 8.2 (#20)"
    (axes,) = course(summary([good, failed, other])).axes
    (best,) = axes.get_lines()
    assert set(best.get_ydata()) == {-5.0}
    assert axes.get_ylim()[1] < 1e12


class Stream:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> None:
        self.lines += [text] if text.strip() else []

    def flush(self) -> None: ...


def test_progress_prints_what_is_done_and_left_every_ten_seconds() -> None:
    now, stream = [0.0], Stream()
    with Progress(20, 3, "perplexity", LOSS, stream, lambda: now[0]) as progress:
        for second in range(1, 25):
            now[0] = float(second)
            if second <= 8:
                progress.update(candidates()[second])
            progress.tick(2)
    assert len(stream.lines) == 3
    assert stream.lines[0] == (
        "screened 8/20, trained 0/3 rungs, failed 0, in flight 2, best none trained yet, "
        "time 10 s, left about 15 s"
    )


def test_progress_names_the_time_limit_once_when_no_result_arrives() -> None:
    now, stream = [0.0], Stream()
    with Progress(20, 3, "perplexity", LOSS, stream, lambda: now[0]) as progress:
        for second in range(200):
            now[0] = float(second)
            if second in (8, 20):  # the longest wait is 12 s
                progress.update(candidates()[second % 8])
            progress.tick(2)
    hints = [line for line in stream.lines if "execution.time_limit" in line]
    assert len(hints) == 1 and "no result for 121 s" in hints[0]
