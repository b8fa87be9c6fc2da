"""nas installed from its wheel, in folders that hold packages with the names of ours.

The source archive is built first and the wheel from it, as a package index would get both.
The fresh environment borrows the dependencies of the one that runs the tests.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray]

ROOT = Path(__file__).parents[2]
OURS = ("compress", "kernels", "nas", "policies", "search_spaces")
CLASHES = ("compress", "kernels", "policies", "search_spaces", "tests")
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"

SEARCH = ["--task", "reber", "--candidates", "2", "--survivors", "1", "--set", "training.steps=5"]
SCRIPT = """
import nas

if __name__ == "__main__":
    run = nas.search(
        task="reber", candidates=2, survivors=1, training={"steps": 5}, run="run",
        execution={"executor": "ray", "workers": 1},
    )
    import compress.mine, kernels.mine, policies.mine, search_spaces.mine, tests.mine
    print("trained", sum(bool(candidate.rungs) for candidate in run.candidates))
"""


def run(*command: object, folder: Path) -> str:
    """What the command prints; nothing but the wheel leads it to nas."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-c", BUILD, "sdist", folder, folder=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-c", BUILD, "wheel", folder, folder=source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `nas` and `python` of an environment that has the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=environment)
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import nas; print(nas.__file__)", folder=environment)
    assert where.startswith(str(packages)), "the tests' own nas was borrowed, too"
    return environment / "bin"


@pytest.fixture(params=[True, False], ids=["with __init__", "without"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The user's folder: one package for each name that clashes."""
    for name in CLASHES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").touch()
        if request.param:
            (tmp_path / name / "__init__.py").touch()
    return tmp_path


def test_the_wheel_holds_our_packages_and_what_they_read(wheel: Path) -> None:
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {name.parts[0] for name in names} == {*OURS, info}
    assert Path(info, "licenses", "LICENSE") in names
    packaged = {name for name in names if name.parts[0] in OURS}
    here = {
        file.relative_to(ROOT)
        for package in OURS
        for file in (ROOT / package).rglob("*")
        if file.suffix in (".py", ".c", ".css", ".js", ".json", ".toml")
    }
    assert packaged == here


def test_the_command_works_in_the_folder(binaries: Path, folder: Path) -> None:
    (folder / "nas").mkdir()
    (folder / "nas" / "__init__.py").touch()
    (folder / "random.py").touch()
    on_ray = ["--executor", "ray", "--workers", "1", "--run", "run"]
    assert "1 trained" in run(binaries / "nas", "search", *SEARCH, *on_ray, folder=folder)


def test_a_script_works_in_the_folder(binaries: Path, folder: Path) -> None:
    (folder / "mine.py").write_text(SCRIPT)
    assert "trained 1" in run(binaries / "python", "mine.py", folder=folder)
