"""`nas adapt` through the real command line: a whole run, a killed run, bad input."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.jobs.command import nas, start, wait_for

SMALL = [
    *("--samples", 6, "--simulations", 12, "--menu", 3, "--executor", "serial", "--json"),
    *("--set", "decoder.steps=40", "--set", "group=2", "--set", "others=60"),
    *("--set", "heal_steps=5", "--set", "generate=1"),
    *("--set", "task.operations=4", "--set", "task.batch=64"),
]


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> tuple[Path, dict]:
    run = tmp_path_factory.mktemp("adaptations") / "run"
    ended = nas("adapt", *SMALL, "--run", run, fresh=True)
    assert ended.returncode == 0, ended.stderr
    return run, json.loads(ended.stdout)


def test_a_whole_run_reports_chains_a_router_and_healing(adapted: tuple[Path, dict]) -> None:
    run, facts = adapted
    assert facts["samples"] == 6 and facts["failed"] == []
    assert 0 <= facts["full_accuracy"] <= 1
    assert facts["layer_calls_naive"] > facts["layer_calls"] > 0
    shares = facts["by_difficulty"].values()
    assert sum(group["samples"] for group in shares) == 6
    static, router = facts["static"], facts["router"]
    assert 0 <= static["pass_at_1"] <= 1 and static["layer_calls"] == len(static["chain"])
    held_out = facts["held_out"]
    for name in ("full", "static"):  # in text, "+4" counts as 4 too
        assert held_out[f"{name}-text"]["pass_at_1"] >= held_out[name]["pass_at_1"]
    assert held_out["full"]["pass_at_1"] == static["full_pass_at_1"]
    assert held_out["full"]["layer_calls"] == 8 >= held_out["exit"]["layer_calls"]
    assert held_out["majority"]["layer_calls"] is None
    assert all(one["n"] == 30 and one["standard_error"] < 0.1 for one in held_out.values())
    assert set(held_out["half"]["by_difficulty"]) == {"1", "2", "3", "4"}
    assert 1 <= len(router["menu"]) <= 3 and router["layer_calls"] > 0
    assert held_out["healed-full"]["layer_calls"] == len(facts["half"]) <= 4
    assert held_out["half"]["tokens_per_second"] > 0 <= held_out["half"]["by_chance"]
    assert (run / "report" / "adapt.svg").read_text().count("difficulty") >= 1
    for name in ("static/config.json", "healed-full/model.safetensors", "router.safetensors"):
        assert (run / name).stat().st_size > 100


def test_a_finished_run_prints_the_same_again(adapted: tuple[Path, dict]) -> None:
    run, facts = adapted
    again = json.loads(nas("adapt", *SMALL, "--run", run).stdout)
    assert {**again, "seconds": 0} == {**facts, "seconds": 0}


def test_a_killed_run_continues_to_the_same_result(
    adapted: tuple[Path, dict], tmp_path: Path
) -> None:
    """It is killed in its search, then while it heals; finished stages are not run again."""
    run = tmp_path / "run"
    for moment in (
        lambda _: list(run.glob("trials/*/result.json")),
        lambda driver: "healing, full …" in driver.complaints(),
    ):
        driver = start("adapt", *SMALL, "--run", run)
        wait_for(driver, partial(moment, driver))
        driver.kill()
        driver.communicate()
    ended = nas("adapt", *SMALL, "--run", run)
    assert ended.returncode == 0, ended.stderr
    assert without_times(json.loads(ended.stdout), run) == without_times(adapted[1], adapted[0])
    stages = [line.removesuffix(" …") for line in ended.stderr.splitlines() if line.endswith("…")]
    assert stages == ["healing, full", "export", "router"]


def without_times(facts: dict, run: Path) -> dict:
    """Return facts without seconds, speeds and the run's path."""
    written = {"tokens_per_second": 0}
    held_out = {key: {**one, **written} for key, one in facts["held_out"].items()}
    found = {**facts, "seconds": 0, "held_out": held_out}
    return json.loads(json.dumps(found).replace(str(run), "RUN"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nowhere/at-all.bin"), "is missing: put both there"),
        (("--model", "nowhere/at-all"), "cannot be loaded"),
        (("--samples", 10_000), "too few for 10000 samples"),
        (("--actions", "skip,fly"), "actions"),
        (("--search", "removal", "--actions", "repeat"), "needs --actions skip"),
        (("--memory", 1e9), "this machine has"),
        (("--memory", 0.001), "cannot hold four hidden states"),
        (("--items", "none.jsonl"), "none.jsonl does not exist"),
        (("--device", "cuda:99"), 'this machine has no device "cuda:99"'),
        (("--device", "spread"), "--device spread needs a transformers model"),
        (("--dtype", "float8"), "dtype"),
        (("--harness", "nothing"), "--harness needs a transformers model"),
        (("--set", "task.name=n-parity"), "has no option operations"),
    ],
)
def test_bad_input_gives_one_line_and_writes_nothing(
    tmp_path: Path, arguments: tuple, message: str
) -> None:
    run = tmp_path / "run"
    ended = nas("adapt", *SMALL, *arguments, "--run", run)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert message in line
    assert not run.exists()
