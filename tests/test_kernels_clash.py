"""Our package `kernels` and Hugging Face's of the same name can both be installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("nas", "search_spaces", "policies", "kernels")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return a folder on the path with a stand-in for their package."""
    package = tmp_path / "theirs" / "kernels"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("get_kernel = len\n")
    return package.parent


def python(folder: Path, *arguments: str, path: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )


def test_installed_into_one_folder_both_packages_work(theirs: Path, tmp_path: Path) -> None:
    for name in OURS:
        shutil.copytree(ROOT / name, theirs / name, dirs_exist_ok=True)
    both = "import kernels, kernels.cell.spec; print(kernels.get_kernel is len)"
    ended = python(tmp_path, "-c", both, path=theirs)
    assert ended.stdout == "True\n", ended.stderr
    assert python(tmp_path, "-m", "nas", "ls", path=theirs).returncode == 0


# A checkout that is only on the path; an editable install would find our package by itself.
IN_A_CHECKOUT = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")]
sys.path[:] = [p for p in sys.path if "__editable__" not in p]
import nas, kernels, kernels.cell.spec
print(kernels.get_kernel is len, kernels.cell.spec.__file__)
"""


def test_in_a_checkout_both_packages_work(theirs: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(theirs), str(ROOT)])
    ended = python(tmp_path, "-c", IN_A_CHECKOUT, path=Path(path))
    ours = ROOT / "kernels" / "cell" / "spec.py"
    assert ended.stdout == f"True {ours}\n", ended.stderr
