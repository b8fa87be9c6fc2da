"""Reads the record of a run of any kind and makes its report."""

from pathlib import Path
from typing import Any

from nas.loop.run_file import read_run_file
from nas.reporting.report import Report


def read_run(folder: Path) -> tuple[Any, Report]:
    """Return a run's summary and report, finished or not.

    Raises `BadInput` if the folder holds no run.
    """
    about = read_run_file(folder)
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
        case kind:
            assert kind == "adapt", kind
            if about.settings["text"]:
                from nas.jobs.adapt.text.report import text_report
                from nas.jobs.adapt.text.results import read_depths

                depths = read_depths(folder)
                return depths, text_report(depths)
            from nas.jobs.adapt.report import adapt_report
            from nas.jobs.adapt.summary import read_adaptation

            adaptation = read_adaptation(folder)
            return adaptation, adapt_report(adaptation)
