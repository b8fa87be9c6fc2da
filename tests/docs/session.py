"""Runs the blocks of a page one after the other in a folder, as a reader would."""

import importlib.metadata
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.blocks import ROOT, Block
from tests.docs.shape import difference
from tests.jobs.forked import _context

PATIENCE = 3600  # seconds, for a busy machine
NAS = 'nas() { python -m nas "$@"; }\n'
PLAIN = re.compile(
    r"(nas|python|cd|(?:\.venv/bin/)?pip) (?!.*-completion)[^|&;<>$`()]*(> [\w./]+)?"
)


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Session:
    """A folder in which the blocks of a page run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        shutil.copytree(ROOT / "runs" / "recipes", folder / "runs" / "recipes")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")},
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "1",
            "WANDB_MODE": "offline",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "DOCS": str(ROOT / "docs"),
        }

    def run(self, block: Block) -> None:
        """Run a block; raises `AssertionError` unless it ends and prints as the page shows."""
        if block.file is not None:
            continued = ", continued" in block.text.splitlines()[0]
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            with (self.folder / block.file).open("a" if continued else "w") as file:
                file.write(block.text)
            return
        if block.until is not None:
            ended = self._stopped(block.text, block.until)
        elif block.language == "python":
            script = self.folder / f"block_{block.line}.py"
            script.write_text(block.text)
            ended = self.command("python", script.name)
        else:
            ended = self._shell(block.text)
        assert ended.code == block.code, f"{block.place}: {ended.out}{ended.err}"
        if block.expected is not None:
            printed = ended.err.splitlines()[-1] if block.code == 2 else ended.out
            wrong = difference(block.expected, printed)
            assert wrong is None, f"{block.place}: {wrong}\n{printed}"

    def command(self, *words: str, folder: Path | None = None) -> Ended:
        """Run `nas …` or `python FILE …` in a process that has imported torch already."""
        files = [str(self.folder / f".{name}") for name in ("out", "err")]
        where = str(folder or self.folder)
        process = _context.Process(target=_run, args=(list(words), self.environment, where, *files))
        process.start()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
        out, err = (Path(file).read_text() for file in files)
        return Ended(-1 if process.exitcode is None else process.exitcode, out, err)

    def _shell(self, text: str) -> Ended:
        """Run a block's commands; those that only a shell understands make it slow."""
        lines = text.replace("\\\n", " ").splitlines()
        commands = [part for line in lines if (part := re.sub(r"(^|\s)#.*", "", line).strip())]
        if not all(PLAIN.fullmatch(command) for command in commands):
            return self._bash(text)
        folder, out = self.folder, ""
        for command in commands:
            plain, _, file = command.partition(">")
            words = shlex.split(plain)
            if words[0] == "cd":
                folder /= words[1]
                continue
            if words[0].endswith("pip"):
                skip_without(words)
                continue
            ended = self.command(*words, folder=folder)
            if file:
                (folder / file.strip()).write_text(ended.out)
            out += "" if file else ended.out
            if ended.code:
                return ended._replace(out=out)
        return Ended(0, out, "")

    def _bash(self, text: str) -> Ended:
        shell = self._started(text)
        try:
            out, err = shell.communicate(timeout=PATIENCE)
        finally:
            shell.kill()
        return Ended(shell.returncode, out, err)

    def _stopped(self, text: str, until: str) -> Ended:
        """Run a server until it prints the text, then press Ctrl-C."""
        shell = self._started(f"({text}) 2>&1")
        assert shell.stdout
        out = ""
        try:
            while until not in out and (line := shell.stdout.readline()):
                out += line
            os.killpg(shell.pid, signal.SIGINT)
            rest, _ = shell.communicate(timeout=60)
        finally:
            shell.kill()
        assert until in out, f"{out}{rest}"
        ended = shell.returncode in (0, 128 + signal.SIGINT, -signal.SIGINT)
        return Ended(0 if ended else shell.returncode, out, "")

    def _started(self, text: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-ec", NAS + text],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def skip_without(words: list[str]) -> None:
    """Skip the test if a package of `pip install …` is not installed, so that it need not be.

    Raises `KeyError` if the project has no such extra.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in words[words.index("install") + 1 :]:
        extras = re.fullmatch(r"\.\[(.*)\]", word)
        names = [word] if re.fullmatch(r"[a-z]\w+", word) else []
        for extra in extras[1].split(",") if extras else []:
            names += project["optional-dependencies"][extra]
        for name in names:
            package = re.match(r"[\w-]+", name)[0]  # type: ignore[index]
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                pytest.skip(f"{package} is not installed")


def _run(words: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    """Run the command in the folder as a new Python process would."""
    for path, descriptor in ((out, 1), (err, 2)):
        with open(path, "w") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:0] = [folder, str(ROOT)]
    program, *sys.argv = words
    if program == "python":
        if sys.argv[0] == "-m":
            sys.argv = sys.argv[1:]
            runpy.run_module(sys.argv[0], run_name="__main__")
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        sys.stdout.flush()
        return
    sys.argv = words
    from nas.cli.main import main

    main()
