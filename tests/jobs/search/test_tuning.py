"""Settings that a search tunes: how they are written, and that candidates train with them."""

import json
from pathlib import Path

import pytest

from nas import api
from nas.core.errors import BadInput, NasError
from nas.core.settings import read_config
from nas.jobs.search.config import SECTIONS, SearchConfig
from nas.jobs.search.setup import search_job
from nas.jobs.search.tuning import TunedSpace, read_tuned, settings_of
from nas.models.architecture_files import read_architecture
from nas.reporting.report import read_report
from nas.testing import check_space
from search_spaces.architecture import Architecture
from search_spaces.options import Interval
from tests.toys import Perceptrons, Quadrants

RATE = "training.learning_rate"
TUNE = (f"{RATE}=1e-4:1e-1:log,prior=3e-3", "model.hidden=4:9")
SMALL = {
    "space": "tests.toys:Perceptrons",
    "task": "tests.toys:Quadrants",
    "scores": [],
    "candidates": 8,
    "survivors": 2,
    "training": {"steps": 2, "rungs": 1},
    "execution": {"executor": "serial"},
}


def test_a_setting_is_read_with_range_scale_and_prior() -> None:
    rate = read_tuned(f"{RATE}=1e-4:1e-1:log,prior=3e-3,strength=0.8", SECTIONS)
    assert (rate.values, rate.prior, rate.strength) == (Interval(1e-4, 1e-1, True), 3e-3, 0.8)
    assert read_tuned("model.hidden=16:64", SECTIONS).whole


@pytest.mark.parametrize(
    ("tune", "words"),
    [
        ("training.speed=1:2", '"training.speed" cannot be tuned: choose from training.learning_'),
        ("training.steps=1:2", '"training.steps" cannot be tuned'),
        (f"{RATE}=1", "write it as NAME=LOW:HIGH"),
        (f"{RATE}=1e-3:1e-2:linear", "write it as NAME=LOW:HIGH"),
        (f"{RATE}=1e-3:1e-2,high=3", "write it as NAME=LOW:HIGH"),
        (f"{RATE}=1e-2:1e-3", "low must be at most high"),
        (f"{RATE}=-1:1", "greater than 0"),
        (f"{RATE}=1e-3:1e-2,prior=1", "the prior must lie between 0.001 and 0.01"),
        (f"{RATE}=1e-3:1e-2,prior=2e-3,strength=2", "strength of a prior is 0 to 1"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(tune: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_config(SearchConfig, None, (), {"tune": [tune], "scores": ["none"]})
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_what_scores_guide_cannot_be_tuned_and_unknown_limits_are_refused() -> None:
    with pytest.raises(BadInput, match="tune needs a search guided by losses"):
        read_config(SearchConfig, None, (), {"tune": TUNE})
    with pytest.raises(BadInput, match="must not repeat"):
        read_config(SearchConfig, None, (), {"tune": [TUNE[0]] * 2, "scores": ["none"]})
    with pytest.raises(BadInput, match='unknown "width"; choose from parameters, flops'):
        read_config(SearchConfig, None, (), {"where": "width<=3"})


def test_a_limit_on_latency_measures_it_without_letting_it_guide() -> None:
    limited = read_config(SearchConfig, None, (), {"where": "latency<=2ms", "scores": ["none"]})
    assert limited.scores == ("latency",) and limited.optimised == ("loss",)
    again = SearchConfig.model_validate(limited.model_dump(mode="json"))
    assert again == limited
    assert not {"tune", "where"} & set(SearchConfig().identity())


def test_a_tuned_space_keeps_the_contract() -> None:
    tuned = tuple(read_tuned(text, SECTIONS) for text in TUNE)
    check_space(TunedSpace(Perceptrons(), tuned), Quadrants.shape)


def test_settings_are_part_of_an_architecture() -> None:
    plain, tuned = Architecture("toy", (1,)), Architecture("toy", (1,), ((RATE, 0.01),))
    assert Architecture.from_json(tuned.to_json()) == tuned
    assert tuned.digest() != plain.digest() and "settings" not in plain.to_json()
    assert settings_of(tuned, SECTIONS)["training"] == {"learning_rate": 0.01}
    for wrong, words in ((("nope", 1), 'sets "nope"'), ((RATE, -1), "greater than 0")):
        with pytest.raises(BadInput, match=words):
            settings_of(Architecture("toy", (1,), (wrong,)), SECTIONS)
    with pytest.raises(ValueError, match="settings must be"):
        Architecture.from_data({"space": "toy", "spec": [], "settings": {RATE: "fast"}})


def test_a_job_trains_with_the_settings_of_its_candidate() -> None:
    job = search_job(read_config(SearchConfig, None, (), SMALL))
    tuned = job.tuned(Architecture("perceptrons", (4,), ((RATE, 0.05), ("model.hidden", 7))))
    assert tuned.training.learning_rate == 0.05 and tuned.training.clip == job.training.clip
    assert tuned.train_size.hidden == tuned.screen_size.hidden == 7
    slow, fast = (
        job.train(0, Architecture("perceptrons", (4,), ((RATE, rate),)), 2, None)
        for rate in (1e-5, 0.1)
    )
    assert slow.validation.loss != fast.validation.loss


def test_a_search_tunes_limits_and_reports(tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = api.search(**SMALL, tune=TUNE[0], where="parameters<=100", run=run)
    missing = [c for c in found.candidates if found.missed(c)]
    assert 0 < len(missing) < 8 and not any(c.rungs for c in missing)
    assert all(c.rungs for c in found.candidates if c not in missing)
    rates = [dict(c.architecture.settings)[RATE] for c in found.candidates]
    assert rates[0] == 3e-3 and len(set(rates)) == 8
    head, *rows = (run / "report" / "candidates.csv").read_text().splitlines()
    misses = ["parameters<=100" in row for row in rows]
    assert "learning_rate" in head and misses == sorted(misses) and sum(misses) == len(missing)
    printed, facts = read_report(run / "report")
    assert f"{len(missing)} infeasible" in printed and "learning_rate" in printed
    best = found.best[0]
    assert facts["survivors"][0]["settings"] == dict(best.architecture.settings)

    file = tmp_path / "best.json"
    file.write_text(best.architecture.to_json())
    config = read_config(SearchConfig, None, (), SMALL)
    assert (
        api.train(read_architecture(str(file)), config)[RATE]
        == dict(best.architecture.settings)[RATE]
    )
    assert json.loads((run / "run.json").read_text())["settings"]["tune"] == [TUNE[0]]


def test_a_search_without_a_feasible_candidate_says_so(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"8 of 8 miss a constraint of parameters<=1: loosen"):
        api.search(**SMALL, where=["parameters<=1"], run=tmp_path / "run")
