"""Writes a Trackio run: the best so far, and the curves of all trained candidates."""

import secrets
from io import BytesIO

import trackio
from PIL import Image

from nas.loop.candidate import Candidate
from nas.loop.trackers.tracker import Tracked, label, series


class Trackio:
    """Uses Trackio's local database, or the server or Space that its variables name.

    id: the run's name in the project `nas`; None starts one.
    """

    def __init__(self, run: Tracked, id: str | None) -> None:
        self.id, self._tracked = id or f"{run.name}-{secrets.token_hex(2)}", run
        self._run = trackio.init(
            project="nas",
            name=self.id,
            group=run.kind,
            config=dict(run.settings),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def best(self, name: str, value: float, step: int) -> None:
        self._run.log({f"best/{name}": value}, step=step)

    def trained(self, candidate: Candidate, known: int) -> None:
        for step, values in series(self._tracked, candidate)[known:]:
            named = {f"{label(candidate)}/{name}": value for name, value in values.items()}
            self._run.log(named, step=step)

    def picture(self, png: bytes) -> None:
        self._run.log({"best/architecture": trackio.Image(Image.open(BytesIO(png)))})

    def close(self, finished: bool) -> None:
        self._run.finish()
