"""Checks from the syntax trees which module imports which."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("kernels", "search_spaces", "policies", "compress", "nas")
ALLOWED = {
    "kernels": {"kernels", "torch", "triton", "numpy"},
    "search_spaces": {"search_spaces", "kernels", "torch", "numpy", "networkx"},
    "compress": {"compress", "search_spaces", "kernels", "torch", "numpy"},
    "policies": {
        "policies",
        "optuna",
        "numpy",
        "torch",
        "search_spaces.decisions",
        "search_spaces.options",
    },
}

# the parts of nas/, lowest first; each may import only those before it
ORDER = (
    *("core", "execution", "loop", "training", "tasks", "scores", "models", "reporting"),
    *("jobs/search", "jobs/compress", "jobs/sweep", "jobs/adapt", "jobs"),
    *("testing", "bench", "api", "cli"),
)
JOBS = {part for part in ORDER if part.startswith("jobs/")}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports; "" for a relative import, which is never allowed."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else node.module or ""


def names(path: Path) -> Iterator[str]:
    """Yield every imported name: `a.b` for `from a import b` and for `import a.b`."""
    yield from imports(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def modules() -> dict[str, Path]:
    """Return our modules by full name."""
    found = {}
    for path in (path for package in OURS for path in files(package)):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_packages_below_it(package: str) -> None:
    for path in files(package):
        for module in imports(path):
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names:
                assert top in ALLOWED[package] or module in ALLOWED[package], (path, module)


def part_of(module: str) -> str | None:
    """Return the part of nas/ that a module is in; None for `nas` itself."""
    _, *names = module.split(".")
    if names[:1] == ["jobs"] and f"jobs/{names[1]}" in JOBS:
        return f"jobs/{names[1]}"
    return names[0] if names else None


def arrows_up() -> set[tuple[str, str]]:
    """Return the imports (file, module) from a part above or from another job."""
    wrong = set()
    for path in files("nas"):
        own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if own not in ORDER:
            continue
        for module in (name for name in imports(path) if name.startswith("nas.")):
            other = part_of(module)
            assert other in ORDER, (path, module)
            beside = {own, other} <= JOBS and own != other
            if beside or ORDER.index(other) > ORDER.index(own):
                wrong.add((path.relative_to(ROOT).as_posix(), module))
    return wrong


def test_nothing_in_nas_imports_from_above() -> None:
    assert arrows_up() == set()


def test_imports_from_above_and_from_another_job_are_found(monkeypatch, tmp_path) -> None:
    for name, text in {
        "core/files.py": "from nas.loop.driver import Driver",
        "jobs/sweep/run.py": "from nas.jobs.compress.run import run_compress",
        "loop/driver.py": "from nas.core.files import write_atomically",
    }.items():
        (tmp_path / "nas" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nas" / name).write_text(text)
    monkeypatch.setattr("tests.test_layering.ROOT", tmp_path)
    assert arrows_up() == {
        ("nas/core/files.py", "nas.loop.driver"),
        ("nas/jobs/sweep/run.py", "nas.jobs.compress.run"),
    }


def test_there_are_no_circular_imports() -> None:
    """Imports inside functions count too: they may save time, but not hide a circle."""
    ours = modules()
    read = {name: set(names(path)) & set(ours) - {name} for name, path in ours.items()}
    read["nas"] = set()  # its verbs are imported when they are first used
    try:
        TopologicalSorter(read).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' ← '.join(error.args[1])}")


def test_only_the_ray_executor_imports_ray() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in files(package)
        if any(module.split(".")[0] == "ray" for module in imports(path))
    }
    assert importers == {"nas/execution/ray.py"}


def test_only_the_record_imports_optuna_storages() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in files(package)
        if any(f"{name}.".startswith("optuna.storages.") for name in names(path))
    }
    assert importers == {
        "nas/loop/database.py",
        "nas/loop/journal.py",
        "nas/loop/journal_file.py",
        "nas/loop/run_folder.py",
    }


def test_kernels_can_share_its_name_with_another_package() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_help_imports_neither_torch_nor_ray() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "nas", "--help"]
    ended = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "ray", "optuna", "numpy"}
