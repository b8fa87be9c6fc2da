"""TensorBoard: a run a trained candidate, with its hyperparameters in the same folder."""

import shutil
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[attr-defined]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nas.loop.candidate import Candidate


class Tracker:
    """Writes `tb/` in a run's folder, without torch.

    `tb/candidate-0007` holds a trained candidate: loss and metric of each rung, and parameters,
    flops and scores as hyperparameters. It is written anew whenever the candidate has a new rung,
    so that a resumed run leaves no point twice. `tb/search` holds the best so far.
    higher_is_better: of the guiding score.
    """

    def __init__(self, folder: Path, metric: str, higher_is_better: bool) -> None:
        self.folder = folder / "tb"
        self.metric = metric
        self._higher_is_better = higher_is_better
        self._best_score: float | None = None
        self._best_loss: float | None = None
        shutil.rmtree(self.folder / "search", ignore_errors=True)
        self._search = EventFileWriter(str(self.folder / "search"))

    def update(self, candidate: Candidate) -> None:
        """A new result: a point in the course of the search, and the candidate's own run."""
        for score in list(candidate.scores.values())[:1]:
            better = max if self._higher_is_better else min
            known = score if self._best_score is None else self._best_score
            self._best_score = better(score, known)
            self._scalar(self._search, "best/score", self._best_score, candidate.number)
        if candidate.rungs:
            loss = candidate.rungs[-1].loss
            self._best_loss = loss if self._best_loss is None else min(loss, self._best_loss)
            self._scalar(
                self._search, "best/validation loss", self._best_loss, candidate.rungs[-1].step
            )
            self._write(candidate)

    def tick(self, in_flight: int) -> None: ...

    def picture(self, png: bytes) -> None:
        """The graph of the best architecture."""
        image = Summary.Image(encoded_image_string=png, colorspace=4)
        value = Summary.Value(tag="best/architecture", image=image)
        self._search.add_event(Event(summary=Summary(value=[value])))

    def close(self) -> None:
        self._search.close()

    def _write(self, candidate: Candidate) -> None:
        folder = self.folder / f"candidate-{candidate.number:04d}"
        shutil.rmtree(folder, ignore_errors=True)
        writer = EventFileWriter(str(folder))
        values = {
            "digest": candidate.digest,
            "parameters": candidate.parameters,
            "flops": candidate.flops,
            **candidate.scores,
        }
        known = {name: value for name, value in values.items() if value is not None}
        writer.add_event(Event(summary=hparams_pb(known, trial_id=folder.name)))
        for rung in candidate.rungs:
            self._scalar(writer, "validation/loss", rung.loss, rung.step)
            self._scalar(writer, f"validation/{self.metric}", rung.metric, rung.step)
            self._scalar(writer, "train/loss", rung.train_loss, rung.step)
        writer.close()

    def _scalar(self, writer: EventFileWriter, name: str, value: float, step: int) -> None:
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        writer.add_event(Event(step=step, summary=summary))
