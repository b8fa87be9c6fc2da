"""A run as its folder keeps it: `run.json` beside the candidates' results."""

import json
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.core.errors import BadInput
from nas.core.files import write_atomically
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.summary import RunSummary
from nas.loop.candidate import Candidate, best_first
from nas.loop.objectives import named_objectives

if TYPE_CHECKING:
    from nas.jobs.search.job import SearchJob

SCHEMA = 1
OTHER_RUNS = {"compress": "student", "sweep": "pruned", "adapt": "static"}  # what they keep


@contextmanager
def described(folder: Path, config: SearchConfig, job: "SearchJob") -> Iterator[None]:
    """Keep `run.json` true: what the run is, for how long it has been worked on."""
    started = time.monotonic()
    seconds_before = _read_about(folder).get("seconds", 0.0)

    def write(finished: bool) -> None:
        seconds = seconds_before + time.monotonic() - started
        about = {**_about(config, job), "seconds": seconds, "finished": finished}
        write_atomically(folder / "run.json", json.dumps(about, indent=1))

    write(finished=False)
    try:
        yield
    except BaseException:
        write(finished=False)
        raise
    write(finished=True)


def load_run(folder: Path) -> tuple[RunSummary, SearchConfig]:
    """A run's candidates and its settings, read from its folder.

    Raises `BadInput` when the folder holds no run.
    """
    about = _read_about(folder)
    if not about:
        raise BadInput(
            f"{folder} holds no run of `nas search`: name the folder given to its --run; other "
            "commands write their report at their end"
        )
    config = SearchConfig.model_validate(about["config"])
    files = sorted((folder / "trials").glob("*/result.json"))
    summary = RunSummary(
        name=folder.name,
        space=config.space.name,
        controller=config.controller.name,
        task=config.task.name,
        metric=about["metric"],
        higher_is_better=about["higher_is_better"],
        scores=about["scores"],
        candidates=tuple(Candidate.from_dict(json.loads(f.read_text())) for f in files),
        seconds=about["seconds"],
        finished=about["finished"],
        command=about["command"],
        objectives=config.objectives,
    )
    return summary, config


def kept_network(folder: Path, number: int | None) -> Path | None:
    """The folder of the network that a run of another verb than `nas search` ended in, or None.

    number: of a sweep's row. Raises `BadInput` for a row that is not there.
    """
    if (folder / "run.json").exists():
        return None
    rows = folder / OTHER_RUNS["sweep"]
    if rows.is_dir():
        known = sorted(int(row.name) for row in rows.iterdir())
        if number not in known:
            raise BadInput(
                f"{folder} is a sweep: name a row by --candidate, {known[0]} to {known[-1]}; "
                f"{folder / 'report' / 'rows.csv'} says what they are"
            )
        return rows / f"{number:04d}"
    ends = (folder / OTHER_RUNS[verb] for verb in ("compress", "adapt"))
    return next((end for end in ends if end.is_dir()), None)


def _about(config: SearchConfig, job: "SearchJob") -> dict[str, Any]:
    """What a report must know of a run beside its candidates."""
    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "metric": job.task.metric,
        "higher_is_better": job.task.higher_is_better,
        "scores": {score.name: score.higher_is_better for score in job.scores},
        "command": shlex.join(["nas", *sys.argv[1:]]),
    }


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    return json.loads(path.read_text()) if path.exists() else {}


def search_facts(summary: RunSummary, folder: Path) -> dict[str, Any]:
    """What `nas search --json` prints of a run."""
    front = [
        {"number": c.number, "digest": c.digest, **named_objectives(c, summary.objectives)}
        for c in summary.front
    ]
    return {
        "run": str(folder),
        "finished": summary.finished,
        "candidates": len(summary.candidates),
        "unique": len({c.digest for c in summary.candidates}),
        "failed": sum(c.failed is not None for c in summary.candidates),
        "trained": sum(bool(c.rungs) for c in summary.candidates),
        "metric": summary.metric,
        "survivors": [
            {
                "number": c.number,
                "digest": c.digest,
                "parameters": c.parameters,
                "scores": c.scores,
                "steps": c.rungs[-1].step,
                "validation": c.rungs[-1].metric,
                "validation_loss": c.rungs[-1].loss,
                "checkpoint": str(folder / c.rungs[-1].checkpoint),
            }
            for c in best_first(summary.candidates)
        ],
        **({"pareto_front": front} if front else {}),
        "seconds": summary.seconds,
    }
