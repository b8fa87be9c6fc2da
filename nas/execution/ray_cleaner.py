"""Ends the processes of a local Ray, and deletes its folder, when the driver ends in any way."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, shutil, sys, time
folder, latest = sys.argv[1:]

def members():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for output in "12":
            try:
                target = os.readlink(f"/proc/{pid}/fd/{output}")
            except OSError:
                continue
            if target.startswith(folder + "/"):
                yield int(pid)

sys.stdin.read()
for _ in range(100):
    found = set(members())
    if not found:
        break
    for pid in found:
        try:
            os.kill(pid, 9)
        except OSError:
            pass
    time.sleep(0.05)
if os.path.realpath(latest) == os.path.realpath(folder):
    os.unlink(latest)
shutil.rmtree(folder, ignore_errors=True)
"""
SECONDS = 10.0  # how long a driver that ends in order waits for it


class RayCleaner:
    """A process that waits for the driver's end, then kills what writes to a session's logs.

    Ray itself ends most of its processes with the driver, but some helpers only a minute later.
    """

    def __init__(self, session: str) -> None:
        latest = str(Path(session).parent / "session_latest")
        self._session = session
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, session, latest],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def clean(self) -> None:
        """Clean up now, and wait until it is done."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(SECONDS)
        shutil.rmtree(self._session, ignore_errors=True)  # a shutdown after it writes a log
