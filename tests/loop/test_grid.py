"""A grid proposes every architecture once, in order, even if it is interrupted."""

from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.core.job import Objective
from nas.loop.grid import Grid
from nas.loop.run_folder import RunFolder
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.space import SearchSpace
from tests.toys import Perceptrons


class Pairs(Perceptrons):
    name = "pairs"

    def decide(self, decisions):
        a, b = decisions.choose("a", (0.1, 0.2)), decisions.integer("b", 0, 2)
        if (a, b) == (0.1, 2):
            raise InvalidArchitecture("left out")
        return Architecture(self.name, (a, b))


PAIRS: SearchSpace = Pairs()
ALL = [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1), (0.2, 2)]


def test_everything_valid_is_proposed_once_in_order() -> None:
    grid = Grid(PAIRS)
    assert grid.size == 5
    proposals = [grid.propose(PAIRS) for _ in range(5)]
    assert [proposal.architecture.spec for proposal in proposals] == ALL
    assert [tuple(proposal.params.values()) for proposal in proposals] == ALL
    with pytest.raises(BadInput, match="all 5 architectures of pairs"):
        grid.propose(PAIRS)


def test_recorded_architectures_are_not_proposed_again(tmp_path: Path) -> None:
    first = Grid(PAIRS)
    with RunFolder.open(tmp_path / "run", {}, [Objective("loss")]) as run:
        for _ in range(3):
            run.add(first.propose(PAIRS))
    resumed = Grid(PAIRS)
    with RunFolder.open(tmp_path / "run", {}, [Objective("loss")]) as run:
        for trial in run.trials():
            resumed.remember(trial, None, False)
    assert [resumed.propose(PAIRS).architecture.spec for _ in range(2)] == ALL[3:]
    assert resumed.size == 5
