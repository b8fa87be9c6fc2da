"""Reads and writes `run.json`: a run's kind, settings, versions and times."""

import importlib.metadata
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nas.core.errors import BadInput
from nas.core.files import read_text, undamaged, write_atomically
from nas.core.job import Objective
from nas.core.json_text import parse_json
from nas.core.masking import masked, masked_values, only_scheme

SCHEMA = 2
FILE = "run.json"
REMEDY = "delete it, and the command of the run writes it again"
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
    found = _read(folder)
    if found is None and (folder / "trials").is_dir():
        raise BadInput(f"{folder / FILE} does not exist: the command of the run writes it again")
    if found is None:
        raise BadInput(f"{folder} is not a run: pass the --run folder of an earlier command")
    return found


def check_run_folder(folder: Path, kind: str) -> None:
    """Raise `BadInput` if the folder holds a run of another kind or of an earlier version."""
    found = _read(folder)
    if found is not None and found.kind != kind:
        raise BadInput(
            f"{folder} holds a run of `nas {found.kind}`: pass another folder with --run"
        )


@contextmanager
def keep_run_file(folder: Path, run: RunFile) -> Iterator[bool]:
    """Keep the run file up to date while a driver works inside.

    Yields whether the last driver died: it was killed or crashed, so it could not say its end.
    """
    began, found = time.monotonic(), _read(folder)
    before = found or run
    run = replace(
        run,
        settings=kept_settings(run.settings),
        versions={"python": platform.python_version(), **_versions()},
        started=before.started or _now(),
        command=_command(run.settings.get("storage")),
    )

    def write(finished: bool, ended: str | None) -> None:
        seconds = before.seconds + time.monotonic() - began
        now = asdict(replace(run, seconds=seconds, finished=finished, ended=ended))
        write_atomically(folder / FILE, json.dumps({"schema": SCHEMA, **now}, indent=1))

    write(finished=False, ended=None)
    try:
        yield found is not None and found.ended is None
    except BaseException:
        write(finished=False, ended=_now())
        raise
    write(finished=True, ended=_now())


def kept_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without secrets."""
    storage = settings.get("storage")
    return masked_values(settings) | ({"storage": only_scheme(storage)} if storage else {})


def _command(storage: str | None) -> str:
    """Return the command line without secrets."""
    words = sys.argv[1:]
    if storage:
        words = [word.replace(storage, only_scheme(storage)) for word in words]
    return shlex.join(["nas", *map(masked, words)])


def _read(folder: Path) -> RunFile | None:
    """Return the content of `run.json`; None if there is none."""
    path = folder / FILE
    if not path.exists():
        return None
    data = parse_json(read_text(path, REMEDY), str(path), REMEDY)
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise BadInput(
            f"{folder} was written by an earlier version of nas, in another format: "
            "start the run again in another folder with --run"
        )
    with undamaged(path, REMEDY):
        return TypeAdapter(RunFile).validate_python(data)


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
