"""A local Ray is reachable only from this machine, and disappears with its driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.jobs.command import PATIENCE

DRIVER = """
import nas, ray, sys
from nas.execution.ray import RayExecutor, _node
executor = RayExecutor(1)
print(ray.util.get_node_ip_address(), _node().get_session_dir_path(), flush=True)
sys.stdin.read()
executor.close()
"""


def of_session(folder: str) -> list[str]:
    """Return the commands of the processes that name a session's folder."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if folder in line]


@pytest.mark.ray
@pytest.mark.parametrize("is_killed", [True, False])
def test_nothing_of_a_local_ray_outlives_its_driver(is_killed: bool) -> None:
    command = [sys.executable, "-c", DRIVER]
    driver = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert driver.stdout is not None and driver.stdin is not None
    address, session = driver.stdout.readline().split()
    assert address == "127.0.0.1"
    assert len(of_session(session)) > 3
    if is_killed:
        os.kill(driver.pid, signal.SIGKILL)
    driver.stdin.close()
    driver.wait(PATIENCE)
    until = time.monotonic() + PATIENCE
    while of_session(session) or Path(session).exists():
        assert time.monotonic() < until, of_session(session)
        time.sleep(0.1)
    driver.stdout.close()
