"""A search that names no scores uses those of its space; what constraints name is measured."""

from typing import Any

import numpy as np
import pytest

from nas.core.job import Screened
from nas.core.registry import BUILT_IN
from nas.jobs.search.config import FOR_OTHER_SPACES, SearchConfig
from nas.jobs.search.setup import search_job
from nas.loop.candidate import Candidate
from nas.loop.constraints import excesses
from search_spaces import genome


@pytest.mark.parametrize("space", [s for s in BUILT_IN["spaces"] if s != "layer-chain"])
def test_the_default_scores_of_a_space_rate_its_candidates(space: str) -> None:
    config = SearchConfig.model_validate(
        {"space": space, "task": "n-parity", "model": {"hidden": 8, "embedding": 8, "layers": 1}}
    )
    job = search_job(config)
    architecture, _ = genome.sample(job.space, np.random.default_rng(0))
    (screened,) = job.screen([(0, architecture)])
    assert isinstance(screened, Screened), screened
    assert screened.scores


@pytest.mark.parametrize(
    ("settings", "scores"),
    [
        ({}, ("hidden-covariance",)),
        ({"space": {"name": "mine:Space"}}, FOR_OTHER_SPACES),
        ({"space": "transformer", "scores": []}, ()),
        ({"objectives": ["loss", "latency"]}, ("hidden-covariance", "latency")),
        ({"warm_start": {"score": "fading-memory"}}, ("fading-memory",)),
    ],
)
def test_scores_that_are_not_named(settings: dict[str, Any], scores: tuple[str, ...]) -> None:
    assert SearchConfig.model_validate(settings).scores == scores


def test_what_constraints_name_is_measured_without_being_an_objective() -> None:
    config = SearchConfig.model_validate(
        {"where": ["state_bytes<=100", "step_latency<=1us"], "task": "n-parity"}
    )
    job = search_job(config)
    architecture, _ = genome.sample(job.space, np.random.default_rng(0))
    (screened,) = job.screen([(0, architecture)])
    assert isinstance(screened, Screened), screened
    candidate = Candidate(0, architecture).screened(screened)
    assert set(excesses(config.constraints, candidate)) == {"state_bytes<=100", "step_latency<=1us"}
