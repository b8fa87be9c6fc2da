"""Passes a run's results to TensorBoard and to the trackers that `--track` names."""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nas.core.errors import BadInput
from nas.core.files import reason_of, undamaged, write_atomically
from nas.core.job import Objective
from nas.loop.candidate import Candidate
from nas.loop.trackers.best import Best
from nas.loop.trackers.tracker import Tracked, Tracker

TRACKERS = {  # by name, which is also the name of the package and of the extra
    "mlflow": "nas.loop.trackers.mlflow:Mlflow",
    "wandb": "nas.loop.trackers.wandb:WeightsAndBiases",
    "trackio": "nas.loop.trackers.trackio:Trackio",
}
REMEDY = "delete it, and the tracker receives all results again"
FOLDER = "trackers"  # of a run: what each tracker has received


def check_trackers(names: Sequence[str]) -> None:
    """Raise `BadInput` for a tracker that does not exist, or whose package is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise BadInput(f'unknown tracker "{name}"; available: {", ".join(TRACKERS)}')
        if find_spec(name) is None:
            raise BadInput(f'--track {name} needs {name}: pip install ".[{name}]"')


class Tracking:
    """Receives every result, and passes trained candidates and the best so far to trackers.

    guide: the score that the controller optimises; None if it optimises the objective.
    """

    def __init__(
        self, run: Tracked, guide: Objective | None = None, trackers: Sequence[Tracker] = ()
    ) -> None:
        self.trackers = trackers
        self._bests = [Best(guide), Best(run.objective)]
        self._shown: dict[str, float] = {}

    def update(self, candidate: Candidate) -> None:
        """Add a result to the best so far and to the candidate's own curves."""
        scores, objectives = self._bests
        if candidate.failed:
            scores.remove(candidate.number)
            objectives.remove(candidate.number)
        elif scores.what and candidate.scores:
            scores.add(candidate.number, next(iter(candidate.scores.values())))
        self._show(scores, candidate.number)
        if candidate.rungs:
            last = candidate.rungs[-1]
            if not candidate.failed:
                objectives.add(candidate.number, last.objective)
            self._show(objectives, last.step)
            for tracker in self.trackers:
                tracker.trained(candidate, 0)

    def tick(self, in_flight: int) -> None: ...

    def picture(self, png: bytes) -> None:
        """Add the graph of the best architecture."""
        for tracker in self.trackers:
            tracker.picture(png)

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for tracker in self.trackers:
            tracker.close(finished=kind is None)

    def _show(self, best: Best, step: int) -> None:
        value = best.value()
        if best.what is not None and value is not None and self._shown.get(best.what.name) != value:
            self._shown[best.what.name] = value
            for tracker in self.trackers:
                tracker.best(best.what.name, value, step)


def trackers_of(run: Tracked, guide: Objective | None, names: Sequence[str]) -> list[Tracker]:
    """Return TensorBoard and the named trackers; raises `BadInput` if one cannot start."""
    from nas.loop.trackers.tensorboard import TensorBoard

    objectives = {o.name: o for o in (run.objective, guide) if o is not None}
    return [TensorBoard(run), *(Remembering(name, run, objectives) for name in names)]


@dataclass(frozen=True)
class Kept:
    """What a tracker has received: its id of the run, rungs by candidate, and bests by name."""

    id: str | None = None
    rungs: dict[str, int] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)


class Remembering:
    """A tracker that receives every point once, also in a resumed run, and cannot stop the run.

    `trackers/NAME.json` in the run's folder keeps what it has received. If the tracker fails, one
    line says so, and it receives nothing more.
    """

    def __init__(self, name: str, run: Tracked, objectives: dict[str, Objective]) -> None:
        self.name, self._objectives = name, objectives
        self._file: Path = run.folder / FOLDER / f"{name}.json"
        kept = self._kept()
        self._rungs, self._best = kept.rungs, kept.best
        module, _, attribute = TRACKERS[name].partition(":")
        try:
            make: Any = getattr(importlib.import_module(module), attribute)
            tracker: Tracker = make(run, kept.id)
        except Exception as error:  # of the tracker's package, or of its server
            raise BadInput(
                f"--track {name} cannot start: {reason_of(error)}: leave it out, or mend its server"
            ) from error
        self._tracker: Tracker | None = tracker
        self.id = tracker.id
        self._keep()

    def best(self, name: str, value: float, step: int) -> None:
        cost, known = self._objectives[name].cost, self._best.get(name)
        if known is not None and cost(value) >= cost(known):
            return  # a resumed run tells its bests again, from the first
        self._best[name] = value
        self._pass("best", name, value, step)

    def trained(self, candidate: Candidate, known: int) -> None:
        number = str(candidate.number)
        known = self._rungs.get(number, 0)
        if known < len(candidate.rungs):
            self._rungs[number] = len(candidate.rungs)
            self._pass("trained", candidate, known)

    def picture(self, png: bytes) -> None:
        self._pass("picture", png)

    def close(self, finished: bool) -> None:
        self._pass("close", finished)

    def _pass(self, what: str, *arguments: object) -> None:
        if self._tracker is None:
            return
        try:
            getattr(self._tracker, what)(*arguments)
        except Exception as error:  # of the tracker's package, or of its server
            self._tracker = None
            reason = reason_of(error)
            print(f"nas: {self.name} receives nothing more: {reason}", file=sys.stderr)
        else:
            self._keep()

    def _kept(self) -> Kept:
        """Return what earlier drivers sent; raises `BadInput` for a damaged file."""
        if not self._file.exists():
            return Kept()
        with undamaged(self._file, REMEDY):
            return TypeAdapter(Kept).validate_json(self._file.read_bytes())

    def _keep(self) -> None:
        kept = Kept(self.id, self._rungs, self._best)
        write_atomically(self._file, json.dumps(asdict(kept)))
