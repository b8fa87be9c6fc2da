"""`nas bench rungs`: rungs replayed on learning curves."""

from pathlib import Path
from typing import Annotated

from typer import Option


def rungs(
    table: Annotated[
        Path,
        Option(help="File of recipes with val_losses, wall_per_epoch and last_test on each line."),
    ],
    candidates: Annotated[int, Option(min=1, help="Recipes that a search trains.")] = 64,
    most: Annotated[int, Option(min=1, help="Rungs, from one to so many.")] = 4,
    reduction: Annotated[int, Option(min=2, help="Of so many one goes to the next rung.")] = 3,
    workers: Annotated[int, Option(min=1, help="Trainings at the same time.")] = 4,
    seeds: Annotated[int, Option(min=1, help="Replays of each.")] = 100,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay rungs on learning curves, with a virtual clock: hours against regret."""
    from nas.bench import rungs as bench
    from nas.bench.recipes import read_table
    from nas.cli.output import say, say_json
    from nas.core.errors import BadInput

    recipes = bench.with_curves(read_table(table))
    if candidates > len(recipes):
        raise BadInput(f"{table} has {len(recipes)} recipes with curves, {candidates} are asked")
    replays = {
        str(n): bench.replay(recipes, candidates, n, reduction, workers, range(seeds))
        for n in range(1, most + 1)
    }
    if json:
        say_json({"rungs": bench.as_json(replays)})
    else:
        say(f"{candidates} of {len(recipes)} recipes, {workers} workers, {seeds} seeds\n")
        say(bench.table(replays))
