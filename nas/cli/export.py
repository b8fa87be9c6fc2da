"""`nas export`: a trained candidate as files that load anywhere."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.core.errors import BadInput


def export(
    run: Annotated[Path, Argument(help="Folder of the run.")],
    to: Annotated[Path, Option(help="Folder for the files.")],
    best: Annotated[
        bool, Option("--best", help="The best trained candidate (the default).")
    ] = False,
    candidate: Annotated[
        int | None, Option(help="Number of another trained candidate, or of a sweep's row.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write safetensors, architecture JSON and a torch.export program; load and compare each.

    Of a compression the student, of an adaptation the static chain, of a sweep a row's network.
    """
    if best and candidate is not None:
        raise BadInput("--best and --candidate name two candidates: give one of them")
    from nas import api
    from nas.cli.output import say, say_json
    from nas.models.files_said import said_of

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
    for line in [] if json else said_of(facts):
        say(f"  {line}")
