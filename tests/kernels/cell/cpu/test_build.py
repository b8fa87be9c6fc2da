"""Libraries are compiled once for all processes, and again if their file is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

from kernels.cell.cpu import build as build_module
from kernels.cell.cpu.build import CannotCompile, build

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
