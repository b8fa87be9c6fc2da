"""Every verb of the command line as one function.

Each function imports its own job: `nas report` must not wait for torch, nor a sweep for Ray.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.core.errors import BadInput, TargetNotMet
from nas.core.files import check_folder
from nas.core.settings import RunSettings, read_config
from nas.core.trust import named_by

if TYPE_CHECKING:
    from nas.core.task import Task
    from nas.jobs.adapt.config import AdaptConfig
    from nas.jobs.adapt.summary import AdaptSummary
    from nas.jobs.compress.config import CompressConfig
    from nas.jobs.compress.summary import CompressSummary
    from nas.jobs.search.config import SearchConfig
    from nas.jobs.search.summary import SearchSummary
    from nas.jobs.sweep.config import SweepConfig
    from nas.jobs.sweep.rows import SweepSummary
    from nas.loop.driver import Watcher
    from search_spaces.architecture import Architecture
    from search_spaces.space import ModelSize


def search(
    config: "SearchConfig | None" = None, *, watchers: "Sequence[Watcher]" = (), **settings: Any
) -> "SearchSummary":
    """Search, train the survivors, and write the report; continue the run if it exists.

    config: all settings; or `settings` by name, as in `search(candidates=16, run="runs/mine")`.
    watchers: receive every result as it comes.
    Returns the run: its candidates with scores, rungs and failures.
    Raises `BadInput`, `RunLocked` while another driver has the run, `Interrupted` on a signal, and
    `NasError` if no candidate could be trained.
    """
    from nas.jobs.search.config import SearchConfig
    from nas.jobs.search.run import run_search

    config = config or read_config(SearchConfig, None, (), settings)
    _check_run(config)
    run_search(config, watchers)
    summary: SearchSummary = report(config.run)
    summary.check_trained()
    return summary


def score(
    recipes: Path,
    scores: Sequence[str],
    task: "Task",
    size: "ModelSize | None" = None,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Training-free scores of the cells of a recipe file, one dictionary per line of the file.

    recipes: lines `{"id": …, "recipe": {…}}` as in NAS-Bench-NLP; other keys are ignored.
    size: of the models; as published with NAS-Bench-NLP if not given.
    Raises `BadInput` for a line that is not a recipe, before anything is scored.
    """
    from nas.jobs.search.single import score_recipes

    return score_recipes(recipes, scores, task, size, seed)


def train(
    architecture: "Architecture",
    config: "SearchConfig | None" = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Train one architecture with a search's task, sizes and steps, then test it.

    folder: where `model.safetensors` and `architecture.json` go; None to keep nothing.
    Returns digest, parameters, steps, validation and test loss and metric, the metric on each of
    the task's test sets (`test_4x` …), seconds.
    Raises `NasError` if the architecture cannot be built or trained.
    """
    from nas.jobs.search.config import SearchConfig
    from nas.jobs.search.single import train_architecture

    return train_architecture(architecture, config or SearchConfig(), folder)


def sweep(
    config: "SweepConfig | None" = None, *, watchers: "Sequence[Watcher]" = (), **settings: Any
) -> "SweepSummary":
    """Prune a network at every level with every method, let it recover, and write the report.

    config: all settings; or `settings` by name, as in `sweep(model="reber-lstm", levels=(0.5,))`.
    Returns the rows. Raises as `search`.
    """
    from nas.jobs.sweep.config import SweepConfig
    from nas.jobs.sweep.run import run_sweep

    config = config or read_config(SweepConfig, None, (), settings)
    _check_run(config)
    run_sweep(config, watchers)
    summary: SweepSummary = report(config.run)
    summary.check_measured()
    return summary


def compress(
    config: "CompressConfig | None" = None, *, watchers: "Sequence[Watcher]" = (), **settings: Any
) -> "CompressSummary":
    """Search for a smaller network than the teacher, distil it, test it, time it and write it.

    config: all settings; or `settings` by name, as in `compress(teacher="resnet8", updates=2)`.
    Returns teacher and student as measured. Raises as `search`, and `TargetNotMet` if no student
    is small enough; the report of the students is written even so.
    """
    from nas.jobs.compress.config import CompressConfig
    from nas.jobs.compress.run import run_compress

    config = config or read_config(CompressConfig, None, (), settings)
    _check_run(config)
    try:
        run_compress(config, watchers)
    except TargetNotMet:
        report(config.run)
        raise
    return report(config.run)


def adapt(
    config: "AdaptConfig | None" = None, *, watchers: "Sequence[Watcher]" = (), **settings: Any
) -> "AdaptSummary":
    """Search chains of a decoder's layers for samples and for all inputs; judge and write them.

    config: all settings; or `settings` by name, as in `adapt(model="my-llama", items="qa.jsonl")`.
    Returns what was found for each sample, and what serves inputs that nobody searched for.
    Raises as `search`.
    """
    from nas.jobs.adapt.config import AdaptConfig
    from nas.jobs.adapt.run import run_adapt

    config = config or read_config(AdaptConfig, None, (), settings)
    _check_run(config)
    run_adapt(config, watchers)
    return report(config.run)


def _check_run(config: RunSettings) -> None:
    """Raise `BadInput` now if the run's files or trackers could not be written later."""
    from nas.loop.trackers.tracking import check_trackers

    check_trackers(config.track)
    folder = config.run
    check_folder(folder, "--run")
    for part in ("tb", "report", "trials", "trackers"):
        if (folder / part).exists() and not (folder / part).is_dir():
            raise BadInput(f"{folder / part} is not a folder: move it out of the run's folder")


def report(folder: Path) -> Any:
    """Regenerate the report of a run of any kind from its record, finished or not.

    Returns the run's summary. Raises `BadInput` if the folder holds no run, or a damaged file.
    Code outside of this project that the folder names is not run, unless the caller has named it
    or `nas.core.trust.trusting()` is entered; this holds for `export` as well.
    """
    from nas.jobs.reports import read_run
    from nas.reporting.report import write_report

    summary, found = read_run(folder)
    write_report(found, folder / "report")
    return summary


def export(
    folder: Path,
    to: Path,
    number: int | None = None,
    int8: bool = False,
    push_to: str | None = None,
) -> dict[str, Any]:
    """Write a run's network as files that load without this project, and compare their answers.

    number: of a search's candidate, or of a sweep's row; None for the best candidate.
    int8: also write `model-int8.onnx` and compare it with `model.onnx`.
    push_to: the id of a model on the Hugging Face Hub to upload the files to, see `nas.jobs.hub`.
    A search's candidate becomes safetensors, architecture JSON and a `torch.export` program. Runs
    of `compress`, `sweep` and `adapt` keep such files already: they are copied and compared.
    Raises `BadInput` if there is no such candidate, it was not trained, or it has no int8 copy, and
    `NasError` if the Hub refuses the files.
    """
    from nas.jobs.hub import check_hub, push

    if push_to is not None:
        check_hub(push_to)
    facts = _exported(folder, to, number, int8)
    return facts if push_to is None else {**facts, "pushed": push(folder, facts, push_to)}


def _exported(folder: Path, to: Path, number: int | None, int8: bool) -> dict[str, Any]:
    with named_by(folder / "run.json"):
        if int8:
            from nas.jobs.int8_exports import export_in_int8

            return export_in_int8(folder, to, number)
        from nas.jobs.exports import export_run

        return export_run(folder, to, number)
