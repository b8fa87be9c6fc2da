"""Our packages are found even if the user's folder has packages of the same names.

A stand-in installation has nas's finder and four small packages; the user's folder comes first.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.core.own_packages import NAMES

NAS = Path(__file__).parents[1] / "nas"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Make nas and packages with one module each; kernels has no `__init__.py`."""
    house = tmp_path / "house"
    (house / "nas" / "core").mkdir(parents=True)
    for file in ("__init__.py", "core/__init__.py", "core/own_packages.py"):
        shutil.copy(NAS / file, house / "nas" / file)
    for name in NAMES:
        write(house / name / "engine.py", "WHOSE = 'ours'")
        if name != "kernels":
            write(house / name / "__init__.py", "")
    return house


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


def run(code: str, *path: Path) -> subprocess.CompletedProcess:
    begin = f"import sys; sys.path[:0] = {[str(folder) for folder in path]}\n"
    command = [sys.executable, "-I", "-S", "-c", begin + code]
    return subprocess.run(command, capture_output=True, text=True)


def printed(code: str, *path: Path) -> str:
    ended = run(code, *path)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("init", [True, False], ids=["with __init__", "without"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", ["nas", "theirs"])
def test_both_packages_can_be_imported(
    name: str, init: bool, first: str, house: Path, user: Path
) -> None:
    write(user / name / "mine.py", "WHOSE = 'theirs'")
    if init:
        write(user / name / "__init__.py", "VALUE = 1")
    imports = f"import nas, {name}.engine" if first == "nas" else f"import {name}, nas"
    code = f"{imports}\nimport {name}.engine as e, {name}.mine as m; print(e.WHOSE, m.WHOSE)"
    assert printed(code, user, house) == "ours theirs"


def test_a_folder_put_on_the_path_later_counts_too(house: Path, user: Path) -> None:
    write(user / "compress" / "mine.py", "WHOSE = 'theirs'")
    code = f"import nas, compress; sys.path.append({str(user)!r}); import compress.mine"
    printed(code, house)


@pytest.mark.parametrize("name", NAMES)
def test_a_users_script_of_the_same_name_is_not_run(name: str, house: Path, user: Path) -> None:
    write(user / f"{name}.py", "print('run')")
    code = f"import nas, {name}.engine; print({name}.engine.WHOSE)"
    assert printed(code, user, house) == "ours"


def test_the_other_package_called_kernels_keeps_its_own_names(house: Path, user: Path) -> None:
    write(user / "kernels" / "__init__.py", "from .layer import get_kernel")
    write(user / "kernels" / "layer.py", "get_kernel = len")
    code = "import nas, kernels.engine; print(kernels.engine.WHOSE, kernels.get_kernel is len)"
    assert printed(code, user, house) == "ours True"
    assert printed(code, house, user) == "ours True"


def refusal(code: str, *path: Path) -> str:
    ended = run(code, *path)
    assert ended.returncode == 1
    return ended.stderr.strip().splitlines()[-1]


def test_a_users_script_imported_before_nas_is_named(house: Path, user: Path) -> None:
    write(user / "compress.py", "")
    message = refusal("import compress, nas", user, house)
    assert message.startswith("ImportError: another module named compress was imported before nas")
    assert f"rename {user / 'compress.py'}" in message


def test_a_users_submodule_imported_before_nas_is_named(house: Path, user: Path) -> None:
    write(user / "compress" / "__init__.py", "")
    write(user / "compress" / "engine.py", "")
    message = refusal("import compress.engine, nas", user, house)
    assert f"rename {user / 'compress' / 'engine.py'}" in message


def test_ours_may_be_imported_before_nas(house: Path) -> None:
    imports = ", ".join(f"{name}.engine" for name in NAMES)
    assert printed(f"import {imports}, nas; print(compress.engine.WHOSE)", house) == "ours"


def test_other_modules_are_left_to_other_finders(house: Path, user: Path) -> None:
    write(user / "nas_of_mine.py", "")
    write(user / "mine" / "compress.py", "WHOSE = 'theirs'")
    code = "import nas, nas_of_mine, mine.compress; print(mine.compress.WHOSE)"
    assert printed(code, user, house) == "theirs"
