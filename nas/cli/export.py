"""`nas export`: write a trained candidate as files."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.core.errors import BadInput


def export(
    run: Annotated[Path, Argument(help="The run's folder.")],
    to: Annotated[Path, Option(help="Folder to write to.")],
    best: Annotated[
        bool, Option("--best", help="Export the best trained candidate (the default).")
    ] = False,
    candidate: Annotated[
        int | None, Option(help="Number of the trained candidate, or of the sweep's row.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write safetensors, architecture JSON and a torch.export program, and check their answers.

    For a compression, export the student; for an adaptation, the static chain; for a sweep, a row.
    """
    if best and candidate is not None:
        raise BadInput("--best and --candidate exclude each other: pass only one")
    from nas import api
    from nas.cli.output import say, say_json

    facts = api.export(run, to, candidate)
    if json:
        say_json(facts)
    elif "digest" not in facts:
        say(f"{facts['source']} → {facts['folder']}: {', '.join(facts['files'])}")
    else:
        say(
            f"candidate {facts['candidate']} ({facts['digest']}) → {facts['folder']}: "
            f"{', '.join(facts['files'])}; largest difference {facts['largest_difference']:.2g}"
        )
