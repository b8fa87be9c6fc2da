"""Judges exported decoders by tasks of lm-eval, EleutherAI's evaluation harness."""

import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import read_text, undamaged, write_atomically
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.stages import stage
from nas.reporting.table import aligned
from nas.training import best_device

FILE, FULL = "harness.json", "full"
REMEDY = "delete it, and run the same command again, which writes it"


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one decoder on one task.

    decoder: "full", or the folder of an export. error: the standard error, if lm-eval has one.
    n: the number of questions.
    """

    decoder: str
    task: str
    metric: str
    value: float
    error: float | None
    n: int


def check_harness(config: AdaptConfig) -> None:
    """Raise `BadInput` if a task does not exist, or lm-eval cannot judge the model."""
    if not config.harness:
        return
    if not config.model or config.model.endswith(".bin"):
        raise BadInput("--harness needs a transformers model: pass --model, or leave it out")
    if find_spec("lm_eval") is None:
        raise BadInput('--harness needs lm-eval: pip install "lm-eval[hf]>=0.4.13"')
    known = set(_manager(config).all_tasks)
    for name in config.harness:
        if name not in known:
            raise BadInput(
                f'--harness: lm-eval has no task "{name}": list them with `lm-eval ls tasks`, or '
                "pass the folder of your own with --set harness_files=DIR"
            )


def judge_exports(config: AdaptConfig, run: Path) -> None:
    """Judge the whole model and the run's exports, and keep the scores in the run."""
    asked = {"tasks": list(config.harness), "stages": config.stages()}
    file = run / FILE
    if not config.harness or _kept(run).get("asked") == asked:
        return
    exports = sorted(path.parent for path in run.glob("*/config.json"))
    decoders = {FULL: config.model, **{folder.name: str(folder) for folder in exports}}
    scores: list[Score] = []
    for name, path in decoders.items():
        with stage(f"lm-eval, {name}"):
            scores += _scores(config, name, path)
    kept = {"asked": asked, "scores": [asdict(score) for score in scores]}
    write_atomically(file, json.dumps(kept, indent=1))


def harness_scores(run: Path) -> list[Score]:
    """Return the scores that a run has."""
    with undamaged(run / FILE, REMEDY):
        return [Score(**one) for one in _kept(run).get("scores", ())]


def _kept(run: Path) -> dict[str, Any]:
    """Return what the file of a run holds, nothing if there is none."""
    file = run / FILE
    if not file.exists():
        return {}
    with undamaged(file, REMEDY):
        return dict(json.loads(read_text(file, REMEDY)))


def harness_table(run: Path) -> list[str]:
    """Return lines with a row for every task and decoder, or none."""
    rows = [
        [one.task, one.metric, one.decoder, str(one.n), _with_error(one)]
        for one in harness_scores(run)
    ]
    return ["", *aligned([["lm-eval", "metric", "decoder", "n", "value"], *rows])] if rows else []


def _with_error(score: Score) -> str:
    return f"{score.value:.3f}" + (f" ± {score.error:.3f}" if score.error is not None else "")


def _manager(config: AdaptConfig) -> Any:
    from lm_eval.tasks import TaskManager  # pyright: ignore[reportMissingImports]

    own = config.harness_files
    if own is not None and not own.is_dir():
        raise BadInput(f"harness_files: {own} is not a folder: pass one with lm-eval's YAML files")
    return TaskManager(include_path=None if own is None else str(own))


def _scores(config: AdaptConfig, name: str, path: str) -> Iterator[Score]:
    from lm_eval import simple_evaluate  # pyright: ignore[reportMissingImports]
    from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingImports]

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with redirect_stderr(StringIO()):  # its progress bars
        device = best_device() if config.device in ("auto", "spread") else config.device
        model = HFLM(pretrained=path, device=device, dtype=config.dtype)
        tasks, manager = list(config.harness), _manager(config)
        found = simple_evaluate(model, tasks=tasks, task_manager=manager, random_seed=config.seed)
    assert found is not None
    for task, values in found["results"].items():
        for key, value in values.items():
            metric, _, rest = key.partition(",")
            if rest and not metric.endswith("_stderr"):
                error = values.get(f"{metric}_stderr,{rest}")
                known = error if isinstance(error, float) else None
                count = found["n-samples"][task]["effective"]
                yield Score(name, task, metric, float(value), known, count)
