"""`nas report`: the report of a run, written anew."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def report(
    run: Annotated[Path, Argument(help="Folder of the run, finished or not.")],
    json: Annotated[
        bool, Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Write a run's tables, figures and page from its record."""
    from nas import api
    from nas.cli.output import say, say_json
    from nas.reporting.table import survivors_table
    from nas.saved import search_facts

    summary = api.report(run)
    if json:
        say_json(search_facts(summary, run))
    else:
        say(survivors_table(summary))
        say(f"\nreport: {run / 'report' / 'report.html'}")
