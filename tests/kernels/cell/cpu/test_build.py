"""Libraries are compiled once for all processes, and again if their file is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

from kernels.cell.cpu import build as build_module
from kernels.cell.cpu.build import CannotCompile, build, clear_cache

FILE = str(build_module.__file__)
SOURCE = "int answer(void) { return 42; }"
# the file alone, as its package imports torch, which takes seconds
ASK = """
import runpy, sys
print(runpy.run_path(sys.argv[1])["build"](sys.argv[2]).answer())
"""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    return tmp_path / "cells"


def asked() -> subprocess.Popen:
    command = [sys.executable, "-c", ASK, FILE, SOURCE]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_compile_the_same_source_do_not_collide(empty_cache: Path) -> None:
    processes = [asked() for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == ["42"] * 3
    assert len(list(empty_cache.iterdir())) == 1


def test_a_second_build_compiles_nothing(empty_cache: Path) -> None:
    build(SOURCE)
    (library,) = empty_cache.iterdir()
    before = library.stat().st_mtime_ns
    assert asked().communicate()[0].strip() == "42"
    assert library.stat().st_mtime_ns == before


@pytest.mark.parametrize("harm", ["cut", "altered", "empty"])
def test_a_broken_file_is_compiled_again(harm: str, empty_cache: Path) -> None:
    assert asked().communicate()[0].strip() == "42"
    (library,) = empty_cache.iterdir()
    content = library.read_bytes()
    middle = len(content) // 2
    library.write_bytes(
        {
            "cut": content[:middle],
            "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
        }[harm]
    )
    assert asked().communicate()[0].strip() == "42"
    assert len(library.read_bytes()) == len(content)


def test_flags_of_the_environment_win_and_have_a_library_of_their_own(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "int answer(void) { return ANSWER; }"
    for answer in (6, 7):
        monkeypatch.setenv("NAS_CFLAGS", f"-DANSWER=1 -UANSWER '-DANSWER={answer}'")
        assert build(source).answer() == answer
    assert len(list(empty_cache.iterdir())) == 2


def test_a_compiler_error_is_reported() -> None:
    with pytest.raises(CannotCompile, match="failed"):
        build("this is not C")


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file"))
    assert build(SOURCE).answer() == 42


def libraries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))


def test_a_failed_build_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file"))
    assert build(SOURCE).answer() == 42
    with pytest.raises(CannotCompile):
        build("this is not C")
    assert list(temporary.iterdir()) == []


def test_a_compiler_that_fails_in_the_cache_works_in_another_folder(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "full-disk-cc"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *{empty_cache}*) exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    build_module.find_compiler.cache_clear()
    try:
        assert build(SOURCE).answer() == 42
    finally:
        build_module.find_compiler.cache_clear()
    assert libraries(empty_cache) == []


PLANTED = "int answer(void) { return 666; }"


def test_a_library_that_others_can_change_is_compiled_again(empty_cache: Path) -> None:
    assert build(SOURCE).answer() == 42
    (ours,) = libraries(empty_cache)
    assert build(PLANTED).answer() == 666
    (planted,) = set(libraries(empty_cache)) - {ours}
    planted.replace(ours)
    ours.chmod(0o777)
    empty_cache.chmod(0o777)
    assert asked().communicate()[0].strip() == "42"
    assert ours.stat().st_mode & 0o777 == 0o755
    assert empty_cache.stat().st_mode & 0o022 == 0


def test_a_cache_of_another_user_is_not_used(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module.os, "getuid", lambda: 12345)
    monkeypatch.setattr(build_module, "ROOT", -1)
    empty_cache.mkdir()
    with pytest.warns(UserWarning, match="set NAS_CACHE"), pytest.raises(CannotCompile):
        build(SOURCE)  # here, the temporary folder belongs to "another user" as well
    assert list(empty_cache.iterdir()) == []


def test_the_cache_can_be_cleared(empty_cache: Path) -> None:
    build(SOURCE)
    size = libraries(empty_cache)[0].stat().st_size
    assert clear_cache() == (1, size)
    assert libraries(empty_cache) == [] and clear_cache() == (0, 0)
