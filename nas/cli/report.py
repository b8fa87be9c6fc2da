"""`nas report`: print a run's results again and regenerate its report."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.cli.job_command import Trust


def report(
    run: Annotated[Path, Argument(help="The run's folder, finished or not.")],
    json: Annotated[
        bool, Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Print a run's results, and regenerate its tables, figures and HTML report."""
    from nas.cli.output import say, say_json
    from nas.core.trust import trusting
    from nas.jobs.reports import read_run
    from nas.reporting.report import write_report

    with trusting(trust):
        _, found = read_run(run)
    page = write_report(found, run / "report")
    if json:
        say_json(dict(found.facts))
    else:
        say(f"{found.text}\n\nreport: {page}")
