"""A run's folder, a model's folder and a TOML file are data: code that they name is not run."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas import api
from nas.core.errors import BadInput
from nas.core.trust import NotTrusted, trusting
from nas.models.model_files import load_model
from tests.jobs.command import nas

COMMANDS = ["os:system", "nas.core.files:write_atomically", "nas.core.trust:choose"]
SMALL = {
    "task": "n-parity",
    "candidates": 2,
    "survivors": 2,
    "scores": ["parameters"],
    "training": {"steps": 2, "rungs": 1},
    "execution": {"executor": "serial"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "run"
    api.search(run=folder, **SMALL)
    api.export(folder, folder / "exported")
    return folder


def changed(file: Path, change: Any, to: Path) -> Path:
    """Copy the file's folder and change what the file holds; returns the copy."""
    files = [path for path in file.parent.rglob("*") if path.is_file()]
    for path in (path for path in files if path.parent.name not in ("report", "tb")):
        copy = to / path.relative_to(file.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    data = json.loads(file.read_text())
    change(data)
    (to / file.name).write_text(json.dumps(data))
    return to


@pytest.mark.parametrize("reference", COMMANDS)
@pytest.mark.parametrize("kind", ["space", "task"])
def test_reports_and_exports_run_no_code_that_run_json_names(
    run: Path, tmp_path: Path, kind: str, reference: str
) -> None:
    target = tmp_path / "written"
    options = {"command": f"touch {target}", "path": str(target), "content": "", "references": []}

    def name_it(data: dict) -> None:
        data["settings"][kind] = {"name": reference, **options}

    foreign = changed(run / "run.json", name_it, tmp_path / "run")
    reported = nas("report", foreign, "--json")
    assert reported.returncode == 0, reported.stderr
    assert json.loads(reported.stdout)["candidates"] == 2
    exported = nas("export", foreign, "--to", tmp_path / "to")
    assert exported.returncode == 2
    assert reference in exported.stderr and "--trust" in exported.stderr
    assert exported.stderr.count("\n") == 1
    assert not target.exists() and not (tmp_path / "to").exists()


def test_an_own_space_is_drawn_only_if_it_is_trusted(run: Path, tmp_path: Path) -> None:
    def name_it(data: dict) -> None:
        data["settings"]["space"] = {"name": "tests.jobs.test_foreign_folders:drawn_space"}

    foreign = changed(run / "run.json", name_it, tmp_path / "run")
    page = foreign / "report" / "report.html"
    assert nas("report", foreign).returncode == 0
    assert "Not drawn" in page.read_text() and not (foreign / "report/architecture-1.svg").exists()
    assert nas("report", foreign, "--trust").returncode == 0
    assert "Not drawn" not in page.read_text() and (foreign / "report/architecture-1.svg").exists()


def drawn_space() -> Any:
    from search_spaces.rnn_cell.space import RnnCellSpace

    return RnnCellSpace()


def test_a_checkpoint_outside_of_the_run_is_not_read(run: Path, tmp_path: Path) -> None:
    foreign = changed(run / "run.json", lambda data: None, tmp_path / "run")
    for file in foreign.glob("trials/*/result.json"):
        data = json.loads(file.read_text())
        data["rungs"][0]["checkpoint"] = "../../secret"
        file.write_text(json.dumps(data))
    with pytest.raises(BadInput, match="outside of the run"):
        api.export(foreign, tmp_path / "to")


@pytest.mark.parametrize(
    "change",
    [
        {"found_as": "os:system"},
        {"found_as": "nas.models.space:NamedModels", "spec": ["os:getcwd"]},
    ],
)
def test_a_model_folder_runs_no_code_that_it_names(run: Path, tmp_path: Path, change: dict) -> None:
    file = run / "exported" / "architecture.json"
    folder = changed(file, lambda data: data.update(change), tmp_path / "model")
    with pytest.raises(NotTrusted, match=r"architecture\.json.*--trust"):
        load_model(folder)
    with trusting(), pytest.raises(BadInput, match="os"):
        load_model(folder)
    small = ["--task", "n-parity", "--run", tmp_path / "run", "--executor", "serial"]
    for command in (["compress", "--teacher", folder], ["sweep", "--model", folder]):
        ended = nas(*command, *small)
        assert ended.returncode == 2 and "--trust" in ended.stderr, ended.stderr
        assert not (tmp_path / "run").exists()


def test_a_toml_file_names_own_code_only_with_trust_or_the_same_name_as_a_flag(
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'space = "toys:Perceptrons"\nscores = ["toys:FirstWeight"]\ntask = "toys:Quadrants"\n'
        "candidates = 1\nsurvivors = 1\ntraining.steps = 1\n"
    )
    command = ["search", recipe, "--executor", "serial", "--run"]
    refused = nas(*command, tmp_path / "a")
    assert refused.returncode == 2 and "recipe.toml" in refused.stderr
    assert '"toys:Perceptrons"' in refused.stderr and "--trust" in refused.stderr
    assert nas(*command, tmp_path / "b", "--trust").returncode == 0
    flags = ["--space", "toys:Perceptrons", "--score", "toys:FirstWeight", "--set"]
    assert nas(*command, tmp_path / "c", *flags, "task=toys:Quadrants").returncode == 0
