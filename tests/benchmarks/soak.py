"""Measures a search of 100,000 candidates that take no time: what is left is the driver's own work.

Run as `python tests/benchmarks/soak.py [CANDIDATES] [FOLDER]`. It prints milliseconds per candidate
for the first and the last thousand, memory, and the time of a resume and a report. A folder in
memory (/dev/shm) leaves out the disk, which takes one or two flushes for each candidate.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from nas.core.job import Objective
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.setup import controller_of
from nas.loop.plan import Plan
from nas.loop.run_file import RunFile
from nas.loop.session import open_session
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from tests.loop.instant import InstantJob
from tests.toys import Perceptrons

ROOT = Path(__file__).parents[2]
GOALS = {"milliseconds": 6.0, "growth": 1.2, "gigabytes": 1.0, "resume": 60.0, "report": 30.0}


class WidePerceptrons(Perceptrons):
    """A space with so many architectures that few proposals repeat."""

    name = "wide-perceptrons"

    def decide(self, decisions: Decisions) -> Architecture:
        widths = tuple(decisions.integer(f"layer_{i}/width", 1, 64) for i in range(6))
        return Architecture(self.name, widths)


class Thousands:
    """A watcher that measures each thousand of candidates: wall and processor milliseconds."""

    def __init__(self) -> None:
        self.seen, self.rows = 0, []
        self._before = time.perf_counter(), time.process_time()

    def update(self, _) -> None:
        self.seen += 1
        if self.seen % 1000 == 0:
            now = time.perf_counter(), time.process_time()
            self.rows.append([b - a for a, b in zip(self._before, now, strict=True)])
            self._before = now

    def tick(self, in_flight: int) -> None: ...


def search(folder: Path, candidates: int) -> Thousands:
    job, thousands = InstantJob(WidePerceptrons()), Thousands()
    config = SearchConfig.model_validate(
        {
            "space": "tests.benchmarks.soak:WidePerceptrons",
            "task": "tests.toys:Quadrants",
            "scores": ["tests.toys:FirstWeight"],
            "controller": "evolution",
            "candidates": candidates,
            "execution": {"executor": "serial"},
            "run": folder,
        }
    )
    guide = Objective("score", higher_is_better=True)
    plan = Plan(candidates, (1, 2), (4, 2), job.objective, guide=guide)
    about = RunFile(
        kind="search",
        settings=config.model_dump(mode="json"),
        seed=0,
        objective=job.objective,
        metric="accuracy",
        higher_is_better=True,
        details={"scores": {"score": True}},
    )
    with open_session(config, about, plan.judged_by, [thousands]) as session:
        session.search(job, plan, partial(controller_of, config, plan), "evolution")
    return thousands


def timed(*command: str) -> str:
    """Run a command; returns its wall and processor seconds."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{time.perf_counter() - began:.0f} s, of which processor {busy:.0f}"


def main(candidates: int, folder: Path) -> None:
    thousands = search(folder, candidates)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    first, last = thousands.rows[0], thousands.rows[-1]
    for name, i in (("wall", 0), ("processor", 1)):
        print(
            f"{name}: first thousand {first[i]:.2f} ms a candidate, last {last[i]:.2f}, "
            f"ratio {last[i] / first[i]:.2f} (goals {GOALS['milliseconds']}, {GOALS['growth']})"
        )
    print(f"driver's memory: {peak:.2f} GiB (goal {GOALS['gigabytes']})", flush=True)
    again = timed(str(Path(__file__)), str(candidates), str(folder), "again")
    print(f"resume: {again} s (goal {GOALS['resume']:.0f})", flush=True)
    report = timed("-m", "nas", "report", str(folder))
    size = (folder / "report" / "report.html").stat().st_size / 2**20
    print(f"report: {report} s; {size:.1f} MiB (goals {GOALS['report']:.0f}, 20)")
    print(json.dumps({"thousands": thousands.rows[:: max(1, len(thousands.rows) // 10)]}))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if sys.argv[3:] == ["again"]:
        search(Path(sys.argv[2]), count)
    else:
        place = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp()) / "soak"
        try:
            main(count, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
