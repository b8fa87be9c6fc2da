"""Runs the blocks of a page one after the other in a folder, as a reader would."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.docs.blocks import ROOT, Block
from tests.docs.shape import difference
from tests.jobs.forked import _context

PATIENCE = 900  # seconds
PLAIN = re.compile(r"(nas|python|cd) [^|&;<>$`()]*(> [\w./]+)?")


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Session:
    """A folder in which the blocks of a page run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "runs" / "recipes", folder / "runs" / "recipes")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")},
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
        if block.language == "python":
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
            ended = self.command(*words, folder=folder)
            if file:
                (folder / file.strip()).write_text(ended.out)
            out += "" if file else ended.out
            if ended.code:
                return ended._replace(out=out)
        return Ended(0, out, "")

    def _bash(self, text: str) -> Ended:
        ended = subprocess.run(
            ["bash", "-ec", 'nas() { python -m nas "$@"; }\n' + text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)


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
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.stdout.flush()
        return
    sys.argv = words
    from nas.cli.main import main

    main()
