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
    """Write a search's tables, figures and page from its record.

    Of a compression, a sweep or an adaptation, which write theirs at the end, say it again.
    """
    from nas import api
    from nas.cli.output import say, say_json
    from nas.jobs.search.saved import search_facts
    from nas.jobs.search.table import survivors_table
    from nas.reporting.report import read_report_files

    ended = read_report_files(run / "report")
    if ended:
        text, facts = ended
    else:
        summary = api.report(run)
        text, facts = survivors_table(summary), search_facts(summary, run)
    if json:
        say_json(facts)
    else:
        say(text)
        say(f"\nreport: {run / 'report' / 'report.html'}")
