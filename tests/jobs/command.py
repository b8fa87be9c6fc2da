"""The real command line in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.jobs.forked import ForkedCommand

TESTS = Path(__file__).parents[1]
PATHS = [str(TESTS), str(TESTS.parent)]
PATIENCE = 300  # seconds until a wait counts as in vain, however busy the machine is

TOY = [
    "--space",
    "toys:Perceptrons",
    "--score",
    "toys:FirstWeight",
    "--task",
    "toys:Quadrants",
    "--set",
    "training.steps=20",
    "--set",
    "training.rungs=2",
]

Command = ForkedCommand | subprocess.Popen


def start(*arguments: object, fresh: bool = False, **environment: str) -> Command:
    """Start `nas` with the arguments and these variables besides the environment's own.

    fresh: through `python -m nas`, which imports everything again and takes seconds. Else the
    process is forked from one that has imported it; only variables that are read later than at an
    import, ours, hold there.
    """
    words = [str(argument) for argument in arguments]
    paths = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, **environment, "PYTHONPATH": paths}
    if not fresh and all(name.startswith("NAS_") for name in environment):
        return ForkedCommand(words, variables, PATHS)
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=variables,
    )


def wait_for(process: Command, condition: Callable[[], object]) -> None:
    """Return once the condition holds; the process must still run by then."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"it ended before: {process.communicate()[1]}")
        if time.monotonic() > until:
            process.kill()
            raise AssertionError(f"waited in vain: {process.communicate()[1]}")
        time.sleep(0.02)


def nas(*arguments: object, fresh: bool = False, **environment: str) -> subprocess.CompletedProcess:
    """Run `nas` with the arguments to its end; see `start`."""
    process = start(*arguments, fresh=fresh, **environment)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def results(run: Path) -> list[dict[str, Any]]:
    """What a run's folder holds of its candidates, by number."""
    files = sorted((run / "trials").glob("*/result.json"))
    return [json.loads(file.read_text()) for file in files]


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records as two equal runs have them equal: no seconds."""
    for record in records:
        del record["seconds"]
        for rung in record["rungs"]:
            del rung["seconds"]
    return records
