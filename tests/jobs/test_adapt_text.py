"""`nas adapt --text` through the real command line."""

import json
import sysconfig
from pathlib import Path

import pytest

from tests.jobs.command import nas

SMALL = [
    *("--simulations", 4, "--executor", "serial", "--json", "--set", "heal_steps=3"),
    *("--set", "decoder.layers=3", "--set", "decoder.steps=8", "--set", "task.name=python-text"),
    *("--set", "windows=2", "--set", "window=16"),
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    source = Path(sysconfig.get_path("stdlib")) / "this.py"
    file = tmp_path / "text.txt"
    file.write_text(source.read_text() * 2)
    return file


def test_a_text_gives_chains_healed_networks_and_speeds(text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = nas("adapt", "--text", text, *SMALL, "--run", run, fresh=True)
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert set(facts["depths"]) == {"block-influence", "angular-distance", "greedy", "searched"}
    for depths in facts["depths"].values():
        assert [depth["layer_calls"] for depth in depths] == [2, 1]
        assert all(depth["perplexity"] > 1 and depth["divergence"] >= 0 for depth in depths)
    assert facts["full"]["divergence"] == pytest.approx(0, abs=1e-6)
    assert [healed["layer_calls"] for healed in facts["healed"]] == [2, 1]
    assert all(speed["read"] > 0 < speed["written"] for speed in facts["tokens_per_second"])
    for name in ("static/config.json", "healed-full/model.safetensors", "report/depths.svg"):
        assert (run / name).stat().st_size > 100
    again = json.loads(nas("adapt", "--text", text, *SMALL, "--run", run).stdout)
    assert {**again, "seconds": 0} == {**facts, "seconds": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--text", "none.txt"), "none.txt does not exist"),
        (("--text", "none.txt", "--items", "none.jsonl"), "none.jsonl does not exist"),
        (("--set", "window=100000"), "windows of 100000 tokens, but needs four"),
        (("--heal", "half"), "heal"),
    ],
)
def test_bad_input_gives_one_line_and_writes_nothing(
    text: Path, tmp_path: Path, arguments: tuple, message: str
) -> None:
    ended = nas("adapt", "--text", text, *SMALL, *arguments, "--run", tmp_path / "run")
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_adapters_are_refused_without_their_package(text: Path, tmp_path: Path) -> None:
    ended = nas("adapt", "--text", text, *SMALL, "--heal", "lora", "--run", tmp_path / "run")
    if ended.returncode:  # peft is not installed
        (line,) = ended.stderr.strip().splitlines()
        assert "--heal lora needs peft" in line and ended.returncode == 2
    else:
        assert json.loads(ended.stdout)["healed"][0]["way"] == "lora"
