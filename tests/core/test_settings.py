"""Settings: where they come from, which are refused, and which identify a search."""

from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.core.settings import read_config, read_toml
from nas.jobs.search.config import SearchConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.cooling=perhaps", "training.cooling: must be true or false, not 'perhaps'"),
        ("training.stepz=3", "training.stepz: unknown key; choose from clip, cooling, device"),
        ("screen.hiden=3", "screen.hiden: unknown key; choose from activation_penalty"),
        ("scores=5", "scores: Input should be a valid tuple, not 5"),
        ("warm_start=5", "warm_start: Input should be a valid dictionary"),
        ("objectives=5", "objectives: Input should be a valid tuple, not 5"),
        ("speed=3", "speed: unknown key; choose from candidates, controller"),
        ("training.steps=0", "training.steps: Input should be greater than or equal to 1, not 0"),
        ("model.dropout=1", "model.dropout: Input should be less than 1, not 1"),
        ("execution.executor=slurm", "execution.executor: Input should be 'ray' or 'serial'"),
        ("space=5", "space: Input should be a valid dictionary"),
        ("survivors=100", "survivors (100) must not exceed candidates (64)"),
        ("candidates", '--set candidates: write it as key=value, as in "training.steps=300"'),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        read_config(SearchConfig, None, [setting], {})
    assert message in str(error.value)


def test_an_unknown_key_of_an_optional_section_is_named() -> None:
    with pytest.raises(
        BadInput, match=r"warm_start\.size: unknown key; choose from best, pool, score"
    ):
        read_config(SearchConfig, None, ["warm_start.score=synflow", "warm_start.size=3"], {})
    with pytest.raises(BadInput, match=r"scores\.0: Input should be a valid string, not 5"):
        read_config(SearchConfig, None, ["warm_start.score=5"], {})


def test_scores_for_the_warm_start_and_the_objectives_are_added() -> None:
    """The score of a warm start comes first and is the only one by default; latency is added."""
    warm = {"warm_start.score": "synflow"}
    assert read_config(SearchConfig, None, [], warm).scores == ("synflow",)
    assert read_config(SearchConfig, None, ['scores=["fisher"]'], warm).scores == (
        "synflow",
        "fisher",
    )
    several = read_config(SearchConfig, None, [], {"objectives": ("loss", "latency")})
    assert several.scores == (*SearchConfig().scores, "latency")
    assert SearchConfig().optimised == ()
    assert (
        read_config(SearchConfig, None, [], warm).optimised
        == read_config(SearchConfig, None, ["scores=[]"], {}).optimised
    )
    assert several.optimised == ("loss", "latency")


def test_options_can_be_set_without_repeating_the_default_name() -> None:
    config = read_config(SearchConfig, None, ["space.budgets=[7]", "controller.population=9"], {})
    assert (config.space.name, config.space.options) == ("rnn-cell", {"budgets": [7]})
    assert (config.controller.name, config.controller.options) == ("random", {"population": 9})


def test_a_flag_sets_the_name_and_set_its_options() -> None:
    config = read_config(SearchConfig, None, ["controller.startup=3"], {"controller.name": "tpe"})
    assert (config.controller.name, config.controller.options) == ("tpe", {"startup": 3})


def test_set_adds_options_to_a_name_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('controller = "tpe"\n')
    config = read_config(SearchConfig, file, ["controller.startup=3"], {})
    assert (config.controller.name, config.controller.options) == ("tpe", {"startup": 3})


def test_values_are_toml_or_otherwise_text() -> None:
    settings = ["task.name=python-text", 'run="a b"', "task.length=7", "task.wide=true"]
    config = read_config(SearchConfig, None, settings, {})
    assert config.task.name == "python-text"
    assert config.run == Path("a b")
    assert config.task.options == {"length": 7, "wide": True}


def test_a_missing_flag_changes_nothing() -> None:
    assert read_config(SearchConfig, None, [], {"candidates": None}) == SearchConfig()


def test_settings_that_change_no_result_do_not_identify_a_search() -> None:
    plain = SearchConfig().identity()
    for same in ("execution.workers=9", "candidates=99", "survivors=9", "run=x", "storage=y"):
        assert read_config(SearchConfig, None, [same], {}).identity() == plain, same
    for other in ("seed=1", "training.steps=9", "model.hidden=9", "space.budgets=[7]"):
        changed = read_config(SearchConfig, None, [other], {}).identity()
        assert changed[other.split("=")[0]] != plain.get(other.split("=")[0])


def test_files_that_are_not_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml does not exist"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"bad\.toml cannot be read .byte 0 is not UTF-8"):
        read_toml(tmp_path / "bad.toml")
    with pytest.raises(BadInput, match="is a folder"):
        read_toml(tmp_path)
