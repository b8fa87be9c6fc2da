"""Writes TensorBoard events: one run per trained candidate, and one for the whole search."""

import shutil
from heapq import heappop, heappush
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[attr-defined]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nas.core.job import Objective
from nas.loop.candidate import Candidate


class TensorBoard:
    """Writes `tb/` in a run's folder, without torch.

    `tb/candidate-0007` holds a trained candidate: its objective, loss and metric after each rung,
    and its parameters, flops and scores as hyperparameters. Each new rung rewrites it, so a resumed
    run has no duplicate points. `tb/search` holds the best so far among the candidates that have
    not failed, with a point for every change.

    guide: the score that the controller optimises; None if it optimises the objective.
    """

    def __init__(
        self, folder: Path, metric: str, objective: Objective, guide: Objective | None = None
    ) -> None:
        self.folder = folder / "tb"
        self.metric, self.objective, self.guide = metric, objective, guide
        self._scores, self._objectives = _Best(guide), _Best(objective)
        shutil.rmtree(self.folder / "search", ignore_errors=True)
        self._search = EventFileWriter(str(self.folder / "search"))

    def update(self, candidate: Candidate) -> None:
        """Add a result to the search's curve and to the candidate's own run."""
        number = candidate.number
        if candidate.failed:
            self._scores.remove(number)
            self._objectives.remove(number)
        elif self.guide and candidate.scores:
            self._scores.add(number, next(iter(candidate.scores.values())))
        self._show(self._scores, number)
        if candidate.rungs:
            last = candidate.rungs[-1]
            if not candidate.failed:
                self._objectives.add(number, last.objective)
            self._show(self._objectives, last.step)
            self._write(candidate)

    def tick(self, in_flight: int) -> None: ...

    def picture(self, png: bytes) -> None:
        """Add the graph of the best architecture."""
        image = Summary.Image(encoded_image_string=png, colorspace=4)
        value = Summary.Value(tag="best/architecture", image=image)
        self._search.add_event(Event(summary=Summary(value=[value])))

    def close(self) -> None:
        self._search.close()

    def _show(self, best: "_Best", step: int) -> None:
        value = best.value()
        if best.what is not None and value is not None and value != best.shown:
            self._scalar(self._search, f"best/{best.what.name}", value, step)
            best.shown = value

    def _write(self, candidate: Candidate) -> None:
        folder = self.folder / f"candidate-{candidate.number:04d}"
        shutil.rmtree(folder, ignore_errors=True)
        writer = EventFileWriter(str(folder))
        values = {
            "digest": candidate.digest,
            "parameters": candidate.parameters,
            "flops": candidate.flops,
            **candidate.scores,
            **dict(candidate.architecture.settings),
        }
        known = {name: value for name, value in values.items() if value is not None}
        writer.add_event(Event(summary=hparams_pb(known, trial_id=folder.name)))
        for rung in candidate.rungs:
            shown = {
                self.objective.name: rung.objective,
                "validation/loss": rung.loss,
                f"validation/{self.metric}": rung.metric,
                "train/loss": rung.train_loss,
            }
            for name, value in shown.items():
                if value is not None:
                    self._scalar(writer, name, value, rung.step)
        writer.close()

    def _scalar(self, writer: EventFileWriter, name: str, value: float, step: int) -> None:
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        writer.add_event(Event(step=step, summary=summary))


class _Best:
    """The best of values that come and go."""

    def __init__(self, what: Objective | None) -> None:
        self.what = what
        self.shown: float | None = None  # the last point of the curve
        self._values: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []  # of costs; some are out of date

    def add(self, number: int, value: float) -> None:
        assert self.what is not None
        if self._values.get(number) != value:
            self._values[number] = value
            heappush(self._heap, (self.what.cost(value), number))

    def remove(self, number: int) -> None:
        self._values.pop(number, None)

    def value(self) -> float | None:
        while self._heap and self.what is not None:
            cost, number = self._heap[0]
            value = self._values.get(number)
            if value is not None and self.what.cost(value) == cost:
                return value
            heappop(self._heap)
        return None
