"""Every policy through the real command."""

import pytest

from tests.jobs.command import TOY, nas, results


@pytest.mark.parametrize("name", ["local-search", "mcts", "policy-gradient"])
def test_a_search_with_it_ends_well(name: str, tmp_path) -> None:
    command = ("search", *TOY, "--controller", name, "--survivors", 1, "--executor", "serial")
    done = nas(*command, "--candidates", 12, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path / "run")) == 12
