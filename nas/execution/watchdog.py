"""Kills this process if a call takes too long."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = """
import os, select, sys
seconds = None
while True:
    if not select.select([0], [], [], seconds)[0]:
        os.kill(int(sys.argv[1]), 9)
        break
    line = os.read(0, 1000)
    if not line:
        break
    seconds = float(line.split()[-1]) or None
"""


class Watchdog:
    """A child process that kills its parent when a time limit is over.

    The parent cannot end itself while it is stopped or inside C code that holds the interpreter's
    lock. The child ends with the parent.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(os.getpid())]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Kill this process if the block takes longer than `seconds`."""
        self._say(seconds)
        try:
            yield
        finally:
            self._say(0)

    def _say(self, seconds: float) -> None:
        assert self._child.stdin is not None
        os.write(self._child.stdin.fileno(), f"{seconds}\n".encode())
