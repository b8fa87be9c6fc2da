"""Reads and writes `run.json`: a run's kind, settings, versions and times."""

import importlib.metadata
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import write_atomically
from nas.core.job import Objective

SCHEMA = 2
FILE = "run.json"
PACKAGES = ("nas-search", "torch", "optuna", "numpy")


@dataclass(frozen=True)
class RunFile:
    """What a report needs to know about a run besides its candidates.

    kind: the verb, for example "search". settings: the verb's whole configuration.
    objective: what trained candidates are ranked by.
    metric, higher_is_better: the task's metric and its direction.
    details: further entries that the report of this kind needs.
    started, ended: ISO times of the first driver's start and the last one's end.
    seconds: the time of all drivers together. finished: False if interrupted or still running.
    command: the last command line that worked on the run.
    """

    kind: str
    settings: dict[str, Any]
    seed: int
    objective: Objective
    metric: str
    higher_is_better: bool
    details: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    ended: str | None = None
    seconds: float = 0.0
    finished: bool = False
    command: str = ""


def read_run_file(folder: Path) -> RunFile:
    """Return a folder's run file; raises `BadInput` if it has no run of this version."""
    data = _read(folder)
    if data is None:
        raise BadInput(f"{folder} is not a run: pass the --run folder of an earlier command")
    fields = {key: value for key, value in data.items() if key != "schema"}
    return RunFile(**{**fields, "objective": Objective(**data["objective"])})


def check_run_folder(folder: Path, kind: str) -> None:
    """Raise `BadInput` if the folder holds a run of another kind or of an earlier version."""
    data = _read(folder)
    if data is not None and data["kind"] != kind:
        raise BadInput(
            f"{folder} holds a run of `nas {data['kind']}`: pass another folder with --run"
        )


@contextmanager
def keep_run_file(folder: Path, run: RunFile) -> Iterator[None]:
    """Keep the run file up to date while a driver works inside."""
    began, before = time.monotonic(), _read(folder) or {}
    run = replace(
        run,
        versions={"python": platform.python_version(), **_versions()},
        started=before.get("started") or _now(),
        command=shlex.join(["nas", *sys.argv[1:]]),
    )

    def write(finished: bool, ended: str | None) -> None:
        seconds = before.get("seconds", 0.0) + time.monotonic() - began
        now = asdict(replace(run, seconds=seconds, finished=finished, ended=ended))
        write_atomically(folder / FILE, json.dumps({"schema": SCHEMA, **now}, indent=1))

    write(finished=False, ended=None)
    try:
        yield
    except BaseException:
        write(finished=False, ended=_now())
        raise
    write(finished=True, ended=_now())


def _read(folder: Path) -> Mapping[str, Any] | None:
    """Return the content of `run.json`; None if there is no run."""
    path = folder / FILE
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    has_run = data is not None or (folder / "trials").exists()
    if has_run and (data or {}).get("schema") != SCHEMA:
        raise BadInput(
            f"{folder} was written by an earlier version of nas, in another format: "
            "start the run again in another folder with --run"
        )
    return data


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
