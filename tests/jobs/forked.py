"""Forks commands from a server that imports torch, Ray and the rest only once."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# not onnxruntime, which starts a thread, nor nas.execution.ray, which sets variables
IMPORTED = [
    *("nas.api", "nas.cli.main", "ray", "sklearn.datasets", "torch._dynamo", "torch.onnx"),
    *("onnxscript", "transformers.models.llama.modeling_llama", "pytest"),
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(IMPORTED)


class ForkedCommand:
    """A running `nas` with the part of `subprocess.Popen` that tests use.

    The server starts with the first command and ends with this process and its commands.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], paths: list[str]) -> None:
        """paths: folders to put first on Python's module search path."""
        self.args = ["nas", *arguments]
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name, name) for name in ("out", "err")]
        self._process = _context.Process(
            target=_run, args=(self.args, environment, paths, *map(str, self._files))
        )
        self._process.start()
        self.pid: int = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def complaints(self) -> str:
        """Return what the command has written to stderr so far."""
        err = self._files[1]
        return err.read_text() if err.exists() else ""

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until the command ends; return what it wrote to stdout and stderr."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        out, err = (file.read_text() if file.exists() else "" for file in self._files)
        self._folder.cleanup()
        return out, err


def _run(
    arguments: list[str], environment: dict[str, str], paths: list[str], out: str, err: str
) -> None:
    """Run the command as a new Python process would that a shell starts in the foreground."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has it ignored
    for path, descriptor in ((out, 1), (err, 2)):
        with open(path, "w") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = paths
    sys.argv = arguments
    from nas.cli.main import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
