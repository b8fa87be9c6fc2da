"""Searches to show on pages: real cells, with results that are made up."""

from pathlib import Path

import numpy as np

from nas.core.job import Objective
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.summary import SearchSummary
from nas.loop.candidate import Candidate, Rung
from search_spaces.decisions import InvalidArchitecture, at_random
from search_spaces.rnn_cell.space import RnnCellSpace

HOSTILE = (
    "</script><script>window.attacked=1</script><img src=x onerror=window.attacked=1>\u2028'\""
)
FAILURE = f"train: out of memory {HOSTILE}"


def candidates(count: int, cells: int = 30) -> list[Candidate]:
    """Return candidates of few different cells; every third is trained, every tenth has failed.

    The loss depends on the decision about the number of nodes.
    """
    rng, space, drawn = np.random.default_rng(0), RnnCellSpace(), []
    while len(drawn) < cells:
        decisions = at_random(rng)
        try:
            architecture = space.decide(decisions)
        except InvalidArchitecture:
            continue
        drawn.append((architecture, decisions.answers))
    found = []
    for number in range(count):
        architecture, answers = drawn[number % cells]
        loss = float(answers["nodes"]) / 7 + rng.uniform(0, 0.3)  # type: ignore[arg-type]
        rungs = (
            Rung(100, loss + 0.5, loss + 0.5, np.exp(loss + 0.5), loss + 0.6, 1.0, "a"),
            Rung(200, loss, loss, np.exp(loss), loss + 0.1, 1.0, "b"),
        )
        failed = number % 10 == 9
        found.append(
            Candidate(
                number,
                architecture,
                int(rng.integers(1_000, 90_000)),
                2_000,
                {"gradient-norm": float(np.exp(rng.normal(0, 3))), HOSTILE: float(number)},
                failed=FAILURE if failed else None,
                rungs=rungs if number % 3 == 0 and not failed else (),
                decisions={**answers, f"decision {HOSTILE}": HOSTILE},
                seconds=0.5,
            )
        )
    return found


def summary(known: list[Candidate]) -> SearchSummary:
    return SearchSummary(
        folder=Path(f"run {HOSTILE}".replace("/", "|")),
        config=SearchConfig(space={"name": "rnn-cell"}),  # type: ignore[arg-type]
        metric="perplexity",
        higher_is_better=False,
        objective=Objective("validation loss", "nats"),
        scores={"gradient-norm": False, HOSTILE: True},
        candidates=tuple(known),
        seconds=9.0,
        finished=True,
        command=f"nas search {HOSTILE}",
    )
