"""The real command line in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]

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


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    """`nas` with the arguments, running."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(paths)},
    )


def wait_for(process: subprocess.Popen, condition: Callable[[], object]) -> None:
    """Return once the condition holds; the process must still run by then."""
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def nas(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """`nas` with the arguments, ended."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
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
