"""Packages for OptunaHub: complete in themselves, and samplers of plain Optuna studies."""

import re
from pathlib import Path
from types import ModuleType

import optuna
import pytest

from policies.hub import PACKAGES, Package, write_packages

optunahub = pytest.importorskip("optunahub", reason="optunahub is not installed: see the dev extra")
EVERY_PACKAGE = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    write_packages(folder)
    return folder / "package"


def loaded(package: Package, registry: Path) -> ModuleType:
    name = f"samplers/{package.name}"
    return optunahub.load_local_module(name, registry_root=str(registry))


def objective(trial: optuna.Trial) -> float:
    layers = trial.suggest_int("layers", 1, 3)
    units = [trial.suggest_categorical(f"units_{i}", (16, 32, 64)) for i in range(layers)]
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    share = trial.suggest_float("share", 0, 0.5, step=0.1)
    trial.suggest_float("settled", 2.0, 2.0)
    if layers == 3 and units[0] == 16:
        raise optuna.TrialPruned
    return abs(sum(units) - 96) / 96 + rate + abs(share - 0.3)


@EVERY_PACKAGE
def test_it_drives_a_plain_study_with_its_own_modules(package: Package, registry: Path) -> None:
    sampler = getattr(loaded(package, registry), package.sampler)(seed=0)
    assert type(sampler.policy).__module__.startswith("optunahub_registry.")
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=50)
    assert study.best_value < 0.3
    again = optuna.create_study(sampler=getattr(loaded(package, registry), package.sampler)(seed=0))
    again.optimize(objective, n_trials=12)
    assert [t.params for t in again.trials] == [t.params for t in study.trials[:12]]


@EVERY_PACKAGE
def test_it_has_the_files_of_the_registry(package: Package, registry: Path, monkeypatch) -> None:
    folder = registry / "samplers" / package.name
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    keys = re.findall(r"^(\w+): \S", front, re.MULTILINE)
    assert keys == ["author", "title", "description", "tags", "optuna_versions", "license"]
    assert "Apache License" in (folder / "LICENSE").read_text()
    example = (folder / "example.py").read_text()
    assert example in text
    monkeypatch.setattr(optunahub, "load_module", lambda _: loaded(package, registry))
    exec(compile(example.replace("n_trials=50", "n_trials=3"), "example.py", "exec"), {})


def test_no_package_imports_the_project(registry: Path) -> None:
    for file in registry.rglob("*.py"):
        assert not re.search(r"\b(policies|search_spaces|nas)\.\w", file.read_text()), file
