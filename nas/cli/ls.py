"""`nas ls`: list available names, and runs."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def ls(
    folder: Annotated[Path, Argument(help="Folder that holds the runs.")] = Path("runs"),
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List available names, known cells and mixers included, and the runs in a folder."""
    from kernels.cell.zoo import ZOO as CELLS
    from nas.cli.output import say, say_json
    from nas.core.registry import BUILT_IN, available
    from search_spaces.sequence_mixer.zoo import ZOO as MIXERS

    listed = {kind: sorted(available(kind)) for kind in BUILT_IN}
    listed |= {"cells": sorted(CELLS), "mixers": sorted(MIXERS)}
    runs = sorted(str(path.parent) for path in folder.glob("*/run.json"))
    if json:
        say_json({**listed, "runs": runs})
    else:
        for kind, names in {**listed, "runs": runs}.items():
            say(f"{kind:12} {', '.join(names) or 'none'}")
