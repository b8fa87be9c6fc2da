"""Writes TensorBoard events: one run per trained candidate, and one for the whole search."""

import shutil

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[attr-defined]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nas.loop.candidate import Candidate
from nas.loop.trackers.tracker import Tracked, facts, label, series


class TensorBoard:
    """Writes `tb/` in a run's folder, without torch.

    `tb/candidate-0007` holds a trained candidate: its objective, loss and metric after each rung,
    and its parameters, flops and scores as hyperparameters. Each new rung rewrites it, so a resumed
    run has no duplicate points. `tb/search` holds the best so far among the candidates that have
    not failed, with a point for every change.
    """

    id = None

    def __init__(self, run: Tracked) -> None:
        self.folder, self._run = run.folder / "tb", run
        shutil.rmtree(self.folder / "search", ignore_errors=True)
        self._search = EventFileWriter(str(self.folder / "search"))

    def best(self, name: str, value: float, step: int) -> None:
        _scalar(self._search, f"best/{name}", value, step)

    def trained(self, candidate: Candidate, known: int) -> None:
        folder = self.folder / label(candidate)
        shutil.rmtree(folder, ignore_errors=True)
        writer = EventFileWriter(str(folder))
        writer.add_event(Event(summary=hparams_pb(facts(candidate), trial_id=folder.name)))
        for step, values in series(self._run, candidate):
            for name, value in values.items():
                _scalar(writer, name, value, step)
        writer.close()

    def picture(self, png: bytes) -> None:
        image = Summary.Image(encoded_image_string=png, colorspace=4)
        value = Summary.Value(tag="best/architecture", image=image)
        self._search.add_event(Event(summary=Summary(value=[value])))

    def close(self, finished: bool) -> None:
        self._search.close()


def _scalar(writer: EventFileWriter, name: str, value: float, step: int) -> None:
    summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
    writer.add_event(Event(step=step, summary=summary))
