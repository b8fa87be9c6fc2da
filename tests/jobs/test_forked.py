"""Forked commands behave like any process, and their server ends with the tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.jobs.command import PATIENCE, TOY, nas, start, wait_for
from tests.jobs.forked import ForkedCommand

SESSION = """
import multiprocessing, os, sys
from tests.jobs.command import start
multiprocessing.set_forkserver_preload([])  # imports are slow and not tested here
command = start("ls")
print(command.pid, os.popen(f"ps -o ppid= -p {command.pid}").read(), flush=True)
command.communicate()
os.kill(os.getpid(), 9)
"""


def ps_field(column: str, pid: int) -> str:
    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def test_the_server_survives_a_killed_command(tmp_path: Path) -> None:
    started = tmp_path / "started"
    slow = {"NAS_TOY_SECONDS": "3600", "NAS_TOY_STARTED": str(started)}
    search = ("search", *TOY, "--executor", "serial", "--run")
    killed = start(*search, tmp_path / "killed", **slow)
    wait_for(killed, started.exists)
    server = ps_field("ppid", killed.pid)
    assert int(server) != os.getpid()
    killed.kill()
    assert killed.communicate()[0] == "" and killed.returncode == -9
    following = start("ls")
    assert ps_field("ppid", following.pid) == server
    assert "rnn-cell" in following.communicate()[0] and following.returncode == 0


def test_the_server_ends_when_the_session_is_killed() -> None:
    session = subprocess.run([sys.executable, "-c", SESSION], capture_output=True, text=True)
    assert session.returncode == -9, session.stderr
    command, server = map(int, session.stdout.split())
    assert command != server
    until = time.monotonic() + PATIENCE
    while ps_field("stat", server).strip("Z<+sl"):
        assert time.monotonic() < until, "the server outlives the session"
        time.sleep(0.05)


def test_a_command_gets_exactly_its_folder_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search = ("search", *TOY, "--executor", "serial", "--candidates", 1, "--survivors", 1, "--run")
    assert nas(*search, "one", NAS_TOY_STARTED="started").returncode == 0
    Path("started").unlink()
    assert nas(*search, "two").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_variables_read_at_import_need_a_new_python() -> None:
    assert isinstance(start("ls", NAS_KERNELS="cpu"), ForkedCommand)
    for new in (start("ls", OMP_NUM_THREADS="2"), start("ls", fresh=True)):
        assert isinstance(new, subprocess.Popen)
        assert "rnn-cell" in new.communicate()[0] and new.returncode == 0
