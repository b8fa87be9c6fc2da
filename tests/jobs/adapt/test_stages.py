"""What the stages after a search tell on stderr."""

import pytest

from nas.jobs.adapt.healing import heal
from nas.jobs.adapt.stages import Stage, stage
from search_spaces.layer_chain.shortened import shortened
from tests.search_spaces.layer_chain.models import random_tokens, small_llama


def test_the_time_left_follows_from_the_pace_of_this_driver(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [1000.0]  # an earlier driver's hours do not count
    this = Stage("healing", lambda: now[0])
    for step in range(1, 61):
        now[0] += 0.5
        this.tick(step, 100)
    this.end()
    assert capsys.readouterr().err.splitlines() == [
        "healing …",
        "healing: 20/100, left about 40 s",
        "healing: 40/100, left about 30 s",
        "healing: 60/100, left about 20 s",
        "healing: 30 s",
    ]


def test_healing_tells_every_step() -> None:
    whole, told = small_llama(), []
    tokens = random_tokens(4, 5)
    lengths = tokens.new_full((4,), 5)
    short = shortened(whole, (0, 1))
    heal(short, whole, tokens, lengths, 3, 0, tick=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_stage_that_fails_does_not_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), stage("export"):
        raise ValueError("no")
    assert capsys.readouterr().err == "export …\n"
