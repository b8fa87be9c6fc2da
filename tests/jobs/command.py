"""Runs the real command line in its own process."""

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
PATIENCE = float(os.environ.get("NAS_TEST_PATIENCE", 900))  # seconds before a wait fails

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
    """Start `nas` with the arguments and with these additional environment variables.

    fresh: run `python -m nas`, which imports everything again and takes seconds. Otherwise the
        process is forked from one that has imported everything, so it ignores changes to
        variables that are read at import. Ours, NAS_…, are read later.
    """
    words = [str(argument) for argument in arguments]
    paths = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])
    # what Ray leaves in the environment of a test that starts it here is not the command's
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    variables = {**own, **environment, "PYTHONPATH": paths}
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
    """Wait until the condition holds; fails if the process ends first."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"the command ended too early: {process.communicate()[1]}")
        if time.monotonic() > until:
            process.kill()
            raise AssertionError(f"the wait timed out: {process.communicate()[1]}")
        time.sleep(0.02)


def nas(*arguments: object, fresh: bool = False, **environment: str) -> subprocess.CompletedProcess:
    """Run `nas` with the arguments until it ends; see `start`."""
    process = start(*arguments, fresh=fresh, **environment)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def results(run: Path) -> list[dict[str, Any]]:
    """Return the results in a run's folder, by candidate number."""
    files = sorted((run / "trials").glob("*/result.json"))
    return [json.loads(file.read_text()) for file in files]


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records without the times, so that equal runs have equal records."""
    for record in records:
        del record["seconds"], record["ended"]
        for rung in record["rungs"]:
            del rung["seconds"]
    return records
