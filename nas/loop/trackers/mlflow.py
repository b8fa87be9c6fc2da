"""Writes MLflow runs: one for the whole search, with one below it per trained candidate."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from nas.loop.candidate import Candidate
from nas.loop.trackers.tracker import Tracked, facts, label, plain_names, series

EXPERIMENT = "nas"
PARENT = "mlflow.parentRunId"
LONGEST = 500  # characters of a parameter
BATCH = 100  # parameters that one request may have


class Mlflow:
    """Uses the server in `MLFLOW_TRACKING_URI`, else MLflow's own default.

    id: of the search's run; None starts one.
    """

    def __init__(self, run: Tracked, id: str | None) -> None:
        self._run, self._client = run, MlflowClient()
        found = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = found.experiment_id if found else self._new_experiment()
        self._children: dict[int, str] = {}
        self.id = id or self._start(run.name, {"nas.kind": run.kind}, run.settings)
        self._client.update_run(self.id, status="RUNNING")

    def best(self, name: str, value: float, step: int) -> None:
        ((plain, _),) = plain_names({f"best/{name}": value}).items()
        self._client.log_metric(self.id, plain, value, step=step)

    def trained(self, candidate: Candidate, known: int) -> None:
        child = self._child(candidate)
        metrics = [
            Metric(name, value, int(1000 * (candidate.ended or 0)), step)
            for step, values in series(self._run, candidate)[known:]
            for name, value in plain_names(values).items()
        ]
        self._client.log_batch(child, metrics=metrics)
        self._client.set_terminated(child, "FAILED" if candidate.failed else "FINISHED")

    def picture(self, png: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "architecture.png")
            file.write_bytes(png)
            self._client.log_artifact(self.id, str(file))

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self.id, "FINISHED" if finished else "KILLED")

    def _child(self, candidate: Candidate) -> str:
        """Return the id of a candidate's run, which an earlier driver may have started."""
        number = candidate.number
        if number not in self._children:
            name = label(candidate)
            wanted = f"tags.`{PARENT}` = '{self.id}' and tags.`nas.candidate` = '{name}'"
            found = self._client.search_runs([self._experiment], wanted, max_results=1)
            self._children[number] = (
                found[0].info.run_id
                if found
                else self._start(name, {PARENT: self.id, "nas.candidate": name}, facts(candidate))
            )
        return self._children[number]

    def _start(self, name: str, tags: dict[str, str], settings: Any) -> str:
        made = self._client.create_run(self._experiment, tags=tags, run_name=name).info.run_id
        params = [Param(key, str(value)[:LONGEST]) for key, value in plain_names(settings).items()]
        for start in range(0, len(params), BATCH):
            self._client.log_batch(made, params=params[start : start + BATCH])
        self._client.log_batch(made, tags=[RunTag("nas", "1")])
        return made

    def _new_experiment(self) -> str:
        return self._client.create_experiment(EXPERIMENT)
