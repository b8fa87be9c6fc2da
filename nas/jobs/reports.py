"""Reads the record of a run of any kind and makes its report."""

from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import undamaged
from nas.core.trust import named_by
from nas.loop.run_file import FILE, RunFile, read_run_file
from nas.reporting.report import Report

REMEDY = "restore the run's folder from a copy"


def read_run(folder: Path) -> tuple[Any, Report]:
    """Return a run's summary and report, finished or not.

    The folder is data: code outside of this project that it names is not run, see `nas.core.trust`.
    Raises `BadInput` if the folder holds no run, or a file of the run is damaged.
    """
    about = read_run_file(folder)
    with named_by(folder / FILE), undamaged(folder, REMEDY):
        return _read(about, folder)


def _read(about: RunFile, folder: Path) -> tuple[Any, Report]:
    match about.kind:  # import only what this kind's report needs
        case "search":
            from nas.jobs.search.report import search_report
            from nas.jobs.search.summary import read_search

            search = read_search(folder)
            return search, search_report(search)
        case "compress":
            from nas.jobs.compress.report import compress_report
            from nas.jobs.compress.summary import read_compression

            compression = read_compression(folder)
            return compression, compress_report(compression)
        case "sweep":
            from nas.jobs.sweep.report import sweep_report
            from nas.jobs.sweep.rows import read_sweep

            sweep = read_sweep(folder)
            return sweep, sweep_report(sweep)
        case "adapt":
            if about.settings.get("text"):
                from nas.jobs.adapt.text.report import text_report
                from nas.jobs.adapt.text.results import read_depths

                depths = read_depths(folder)
                return depths, text_report(depths)
            from nas.jobs.adapt.report import adapt_report
            from nas.jobs.adapt.summary import read_adaptation

            adaptation = read_adaptation(folder)
            return adaptation, adapt_report(adaptation)
        case _:
            raise BadInput(f"{folder / FILE} names an unknown kind of run, {about.kind!r}")
