"""Settings: where they come from, what is refused, what makes two searches the same."""

from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.core.settings import read_config, read_toml
from nas.jobs.search.config import SearchConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.stepz=3", "training.stepz: unknown key; there are clip, device"),
        ("screen.hiden=3", "screen.hiden: unknown key; there are activation_penalty"),
        ("scores=5", "scores: Input should be a valid tuple, not 5"),
        ("warm_start=5", "warm_start: Input should be a valid dictionary"),
        ("objectives=5", "objectives: Input should be a valid tuple, not 5"),
        ("speed=3", "speed: unknown key; there are candidates, controller"),
        ("training.steps=0", "training.steps: Input should be greater than or equal to 1, not 0"),
        ("model.dropout=1", "model.dropout: Input should be less than 1, not 1"),
        ("execution.executor=slurm", "execution.executor: Input should be 'ray' or 'serial'"),
        ("space=5", "space: Input should be a valid dictionary"),
        ("survivors=100", "survivors is 100, more than the 64 candidates"),
        ("candidates", '--set candidates: write it as key=value, as in "training.steps=300"'),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        read_config(SearchConfig, None, [setting], {})
    assert message in str(error.value)


def test_an_unknown_key_of_a_section_that_may_be_left_out_is_named() -> None:
    with pytest.raises(
        BadInput, match=r"warm_start\.size: unknown key; there are best, pool, score"
    ):
        read_config(SearchConfig, None, ["warm_start.score=synflow", "warm_start.size=3"], {})
    with pytest.raises(BadInput, match=r"scores\.0: Input should be a valid string, not 5"):
        read_config(SearchConfig, None, ["warm_start.score=5"], {})


def test_what_is_told_and_ranks_is_scored() -> None:
    """The score of a warm start comes first, alone unless others are named; latency is added."""
    warm = {"warm_start.score": "synflow"}
    assert read_config(SearchConfig, None, [], warm).scores == ("synflow",)
    assert read_config(SearchConfig, None, ['scores=["fisher"]'], warm).scores == (
        "synflow",
        "fisher",
    )
    several = read_config(SearchConfig, None, [], {"objectives": ("loss", "latency")})
    assert several.scores == (*SearchConfig().scores, "latency")
    assert SearchConfig().told == ()
    assert (
        read_config(SearchConfig, None, [], warm).told
        == read_config(SearchConfig, None, ["scores=[]"], {}).told
    )
    assert several.told == ("loss", "latency")


def test_options_may_be_set_without_repeating_the_default_name() -> None:
    config = read_config(SearchConfig, None, ["space.budgets=[7]", "controller.population=9"], {})
    assert (config.space.name, config.space.options) == ("rnn-cell", {"budgets": [7]})
    assert (config.controller.name, config.controller.options) == ("random", {"population": 9})


def test_a_flag_names_the_thing_and_set_gives_its_options() -> None:
    config = read_config(SearchConfig, None, ["controller.startup=3"], {"controller.name": "tpe"})
    assert (config.controller.name, config.controller.options) == ("tpe", {"startup": 3})


def test_a_name_alone_in_the_file_takes_options_from_set(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('controller = "tpe"\n')
    config = read_config(SearchConfig, file, ["controller.startup=3"], {})
    assert (config.controller.name, config.controller.options) == ("tpe", {"startup": 3})


def test_values_are_toml_and_what_is_no_toml_is_text() -> None:
    settings = ["task.name=python-text", 'run="a b"', "task.length=7", "task.wide=true"]
    config = read_config(SearchConfig, None, settings, {})
    assert config.task.name == "python-text"
    assert config.run == Path("a b")
    assert config.task.options == {"length": 7, "wide": True}


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    assert read_config(SearchConfig, None, [], {"candidates": None}) == SearchConfig()


def test_what_changes_no_result_is_no_part_of_a_search() -> None:
    plain = SearchConfig().identity()
    for same in ("execution.workers=9", "candidates=99", "survivors=9", "run=x", "storage=y"):
        assert read_config(SearchConfig, None, [same], {}).identity() == plain, same
    for other in ("seed=1", "training.steps=9", "model.hidden=9", "space.budgets=[7]"):
        changed = read_config(SearchConfig, None, [other], {}).identity()
        assert changed[other.split("=")[0]] != plain.get(other.split("=")[0])


def test_files_that_are_no_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml does not exist"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"bad\.toml cannot be read as TOML"):
        read_toml(tmp_path / "bad.toml")
    with pytest.raises(BadInput, match="cannot be read as TOML"):
        read_toml(tmp_path)
