"""Measures scheduling overhead: 200 candidates that sleep 100 ms, on two Ray workers.

Run as `python tests/benchmarks/scheduling.py`; prints the ratio to the ideal wall time. The clock
starts at the first result, when Ray and its workers are running.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import nas
from nas.loop.candidate import Candidate

CANDIDATES, SECONDS, WORKERS, GOAL = 200, 0.1, 2, 1.15


class Clock:
    """A watcher that records when results arrive."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def update(self, candidate: Candidate) -> None:
        if candidate.duplicate_of is None and not candidate.rungs:
            self.times.append(time.perf_counter())

    def tick(self, in_flight: int) -> None: ...


def main() -> None:
    os.environ["NAS_TOY_SECONDS"] = str(SECONDS)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        nas.search(
            scores=["tests.toys:FirstWeight"],
            task="tests.toys:Quadrants",
            controller="random",
            model={"hidden": 8, "layers": 1},
            training={"steps": 1, "rungs": 1},
            execution={"workers": WORKERS},
            candidates=CANDIDATES,
            survivors=1,
            run=Path(folder) / "run",
            watchers=[clock],
        )
    done = len(clock.times)
    wall = clock.times[-1] - clock.times[0]
    ideal = (done - 1) * SECONDS / WORKERS
    print(
        f"{done} evaluations of {SECONDS * 1000:.0f} ms on {WORKERS} workers: {wall:.2f} s, "
        f"ideal {ideal:.2f} s, ratio {wall / ideal:.3f} (goal {GOAL})"
    )


if __name__ == "__main__":
    main()
