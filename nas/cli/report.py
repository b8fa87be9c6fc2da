"""`nas report`: print a run's results again and regenerate its report, or serve its page."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.cli.job_command import Trust
from nas.core.errors import BadInput

SECONDS = 5  # between a served page's requests for newer content


def report(
    run: Annotated[Path, Argument(help="The run's folder, finished or not.")],
    json: Annotated[
        bool, Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
    serve: Annotated[
        bool,
        Option("--serve", help="Write nothing; serve a page that follows the run, until Ctrl-C."),
    ] = False,
    port: Annotated[
        int | None, Option(help="Port of 127.0.0.1 for --serve; default: a free one.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Print a run's results, and regenerate its tables, figures and HTML report."""
    from nas.cli.output import say, say_json
    from nas.core.trust import trusting
    from nas.jobs.reports import read_run
    from nas.reporting.report import write_report

    if port is not None and not serve:
        raise BadInput("--port is for --serve: pass both, or neither")
    if serve:
        if json:
            raise BadInput("--serve and --json exclude each other: pass only one")
        _serve(run, port or 0, trust)
        return
    with trusting(trust):
        _, found = read_run(run)
    page = write_report(found, run / "report")
    if json:
        say_json(dict(found.facts))
    else:
        say(f"{found.text}\n\nreport: {page}")


def _serve(run: Path, port: int, trust: bool) -> None:
    """Serve a run's page on the loopback interface until Ctrl-C."""
    from nas.cli.output import say
    from nas.core.trust import trusting
    from nas.jobs.reports import read_run
    from nas.reporting.report import served_page
    from nas.reporting.serve import LOOPBACK, Live, server_of

    def make() -> str:
        with trusting(trust):
            return served_page(read_run(run)[1], SECONDS)

    live = Live(run, make)
    live.page()  # raises now if there is no run
    with server_of(live, port) as server:
        say(f"serving {run} on http://{LOOPBACK}:{server.server_port}/ until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
