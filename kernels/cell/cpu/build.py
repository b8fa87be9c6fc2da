"""Compiles C into a shared library, once for each source, compiler, its flags and processor.

Two variables change how: `CC` names the compiler, and `NAS_CFLAGS` holds flags that follow ours,
so they win. `NAS_CFLAGS=-mno-avx512f ATEN_CPU_CAPABILITY=avx2 make test` runs the tests as on a
processor without AVX-512.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

FLAGS = (
    *("-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp", "-shared", "-fPIC"),
    *("-fno-math-errno", "-fno-trapping-math", "-w"),
)
DIGEST_LENGTH = 64
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
ROOT = 0


class CannotCompile(RuntimeError):
    """No C compiler works; the message says what was tried."""


@cache
def find_compiler() -> str | None:
    """Return the C compiler: `$CC`, or cc, gcc or clang on the path."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def flags() -> tuple[str, ...]:
    """The compiler's flags: ours, then those of `$NAS_CFLAGS`."""
    return (*FLAGS, *shlex.split(os.environ.get("NAS_CFLAGS", "")))


def cache_folder() -> Path:
    """Return `cells` in `$NAS_CACHE`, or `nas/cells` in the user's cache folder."""
    named = os.environ.get("NAS_CACHE")
    if named:
        return Path(named) / "cells"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nas" / "cells"


def clear_cache() -> tuple[int, int]:
    """Delete the compiled libraries; returns their number and their bytes."""
    libraries = [path for path in cache_folder().glob("*.so") if path.is_file()]
    sizes = [path.stat().st_size for path in libraries]
    for path in libraries:
        path.unlink(missing_ok=True)
    return len(sizes), sum(sizes)


def build(source: str) -> ctypes.CDLL:
    """Return the library of a source, from the cache or compiled into it.

    Several processes can build the same source at once: each writes its own file and renames it. A
    truncated or modified file is compiled again. A cache that is full, read-only or writable by
    other users is replaced by a private folder, which is deleted once the library is loaded.
    Raises `CannotCompile`.
    """
    compiler = find_compiler()
    if compiler is None:
        raise CannotCompile("no C compiler found: install gcc or clang, or set CC")
    key = "\0".join([source, *flags(), _version(compiler), _processor()])
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.so"
    try:
        return _loaded(compiler, source, cache_folder() / name)
    except (OSError, CannotCompile):
        try:
            with tempfile.TemporaryDirectory(prefix="nas-cells-") as folder:
                return _loaded(compiler, source, Path(folder) / name)
        except OSError as error:
            raise CannotCompile(
                f"no folder for compiled libraries: {error}; set NAS_CACHE"
            ) from error


def _loaded(compiler: str, source: str, path: Path) -> ctypes.CDLL:
    _make_private(path.parent)
    if not _whole(path):
        _compile(compiler, source, path)
    return ctypes.CDLL(str(path))


def _make_private(folder: Path) -> None:
    """Make sure that other users cannot put libraries into a folder; raises `PermissionError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.getuid():
        folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS_WRITE)
    elif found.st_uid != ROOT or found.st_mode & OTHERS_WRITE:
        warnings.warn(
            f"{folder} can be changed by other users, so its libraries are not used: set NAS_CACHE",
            stacklevel=4,
        )
        raise PermissionError(f"{folder} can be changed by other users")


def _compile(compiler: str, source: str, path: Path) -> None:
    """Write the library, followed by its digest, and move it into place with one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, library = Path(folder) / "cell.c", Path(folder) / "cell.so"
        text.write_text(source)
        command = [compiler, *flags(), str(text), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CannotCompile(f"{compiler} failed: {done.stderr.strip()[-500:]}")
        content = library.read_bytes()
        library.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
        library.chmod(0o755)
        library.replace(path)


def _whole(path: Path) -> bool:
    """Return whether a library is complete and could be written only by this user or root."""
    try:
        found, content = path.stat(), path.read_bytes()
    except OSError:
        return False
    if found.st_uid not in (os.getuid(), ROOT) or found.st_mode & OTHERS_WRITE:
        return False
    body, digest = content[:-DIGEST_LENGTH], content[-DIGEST_LENGTH:]
    return hashlib.sha256(body).hexdigest().encode() == digest


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout


@cache
def _processor() -> str:
    """Return a description of everything that `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
        return "".join(sorted(set(about)))
    except OSError:
        return platform.processor() + platform.machine()
