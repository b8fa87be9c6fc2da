"""`nas bench scores`: training-free scores against the losses that a table's recipes reached."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option


def scores(
    table: Annotated[
        Path,
        Option(help="File of recipes and results, one object with id, recipe, last_test a line."),
    ],
    data: Annotated[
        Path | None, Option(help="Text that the models read; Python's own sources if not given.")
    ] = None,
    score: Annotated[list[str] | None, Option(help="Score to compare; all if not given.")] = None,
    proxy: Annotated[
        bool, Option("--proxy", help="Hidden size 96, embedding 64 instead of 600 and 400.")
    ] = False,
    fit: Annotated[
        Path | None, Option(help="File for a fit of predicted-loss to the whole table.")
    ] = None,
    values: Annotated[
        Path | None, Option(help="File for the values, a table for nas bench search.")
    ] = None,
    seed: Annotated[int, Option(help="Seed of the untrained weights.")] = 0,
    figure: Annotated[Path | None, Option(help="File for a chart, .png or .svg.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare training-free scores with the losses that a table's recipes reached."""
    from dataclasses import asdict

    import torch

    from nas.bench import ranks
    from nas.bench import scores as bench
    from nas.bench.recipes import read_table
    from nas.cli.output import check_files, say, say_json
    from nas.core.registry import available, create_score, load_task

    check_files(fit, values, figure=figure)

    names = [*(score or available("scores")), *bench.BASELINES]
    chosen = [create_score(name) for name in dict.fromkeys(names)]
    recipes = read_table(table)
    task = load_task("language-model", {"data": data}) if data else load_task("python-text", {})
    torch.set_num_threads(1)
    size = bench.PROXY if proxy else bench.PUBLISHED
    columns = bench.measure(chosen, recipes, task, size, seed)
    rows = bench.rows_of(columns + bench.known_columns(recipes), recipes, seed)
    if values:
        bench.write_table(columns, recipes, values)
    if fit:
        forest, count = bench.fitted(recipes, task, size, seed)
        setting = {"task": task.name, "hidden": size.hidden, "embedding": size.embedding}
        about = {"table": table.name, "recipes": count, **setting}
        forest.write(fit, about)
    if figure:
        ranks.figure(rows, figure)
    if json:
        setting = {"hidden": size.hidden, "embedding": size.embedding, "recipes": len(recipes)}
        say_json({**setting, "scores": [asdict(row) for row in rows]})
    else:
        say(f"{len(recipes)} recipes, hidden {size.hidden}, embedding {size.embedding}")
        say("below zero: high values go with low losses, as they should of all scores but")
        say("\n".join([_lower_is_better(chosen), "", ranks.table(rows)]))


def _lower_is_better(scores: list[Any]) -> str:
    return ", ".join(score.name for score in scores if not score.higher_is_better) or "none"
