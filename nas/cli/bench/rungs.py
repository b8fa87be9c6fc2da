"""`nas bench rungs`: replay rungs on learning curves."""

from pathlib import Path
from typing import Annotated

from typer import Option


def rungs(
    table: Annotated[
        Path,
        Option(help="File with a recipe, val_losses, wall_per_epoch and last_test per line."),
    ],
    candidates: Annotated[int, Option(min=1, help="Number of recipes that a search trains.")] = 64,
    most: Annotated[int, Option(min=1, max=50, help="Largest number of rungs to try.")] = 4,
    reduction: Annotated[
        int, Option(min=2, help="One in N candidates advances to the next rung.")
    ] = 3,
    workers: Annotated[int, Option(min=1, help="Number of parallel training calls.")] = 4,
    seeds: Annotated[int, Option(min=1, help="Number of replays per setting.")] = 100,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay rungs on learning curves with a virtual clock, and compare hours with regret."""
    from nas.bench import rungs as bench
    from nas.bench.recipes import read_table
    from nas.cli.output import say, say_json
    from nas.core.errors import BadInput

    recipes = bench.with_curves(read_table(table))
    if candidates > len(recipes):
        raise BadInput(
            f"{table} has only {len(recipes)} recipes with curves: lower --candidates {candidates}"
        )
    replays = {
        str(n): bench.replay(recipes, candidates, n, reduction, workers, range(seeds))
        for n in range(1, most + 1)
    }
    if json:
        say_json({"rungs": bench.as_json(replays)})
    else:
        say(f"{candidates} of {len(recipes)} recipes, {workers} workers, {seeds} seeds\n")
        say(bench.table(replays))
