"""Writes a Weights & Biases run: the best so far, and the curves of all trained candidates."""

import secrets
from io import BytesIO

import wandb
from PIL import Image

from nas.loop.candidate import Candidate
from nas.loop.trackers.tracker import Tracked, facts, label, series


class WeightsAndBiases:
    """Uses the server and the mode that `wandb` is set to: `WANDB_MODE=offline` needs no network.

    Its files lie in `wandb/` in the run's folder; `wandb sync` uploads what was written offline.
    id: of the run; None starts one.
    """

    def __init__(self, run: Tracked, id: str | None) -> None:
        self.id, self._tracked = id or secrets.token_hex(4), run
        self._run = wandb.init(
            project="nas",
            name=run.name,
            id=self.id,
            resume="allow",
            job_type=run.kind,
            config=dict(run.settings),
            dir=str(run.folder),
            settings=wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("best/*", step_metric="best/step")

    def best(self, name: str, value: float, step: int) -> None:
        self._run.log({f"best/{name}": value, "best/step": step})

    def trained(self, candidate: Candidate, known: int) -> None:
        name = label(candidate)
        self._run.define_metric(f"{name}/*", step_metric=f"{name}/step")
        for step, values in series(self._tracked, candidate)[known:]:
            named = {f"{name}/{key}": value for key, value in values.items()}
            self._run.log({**named, f"{name}/step": step})
        self._run.summary[name] = facts(candidate)

    def picture(self, png: bytes) -> None:
        self._run.log({"best/architecture": wandb.Image(Image.open(BytesIO(png)))})

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
