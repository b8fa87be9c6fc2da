"""`nas bench scores`: compare training-free scores with a table's losses."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option


def scores(
    table: Annotated[
        Path,
        Option(help="File with one object of id, recipe and last_test per line."),
    ],
    data: Annotated[
        Path | None, Option(help="Text that the models read; default: Python's own sources.")
    ] = None,
    score: Annotated[list[str] | None, Option(help="Score to compare; default: all.")] = None,
    proxy: Annotated[
        bool, Option("--proxy", help="Use hidden size 96 and embedding 64 instead of 600 and 400.")
    ] = False,
    fit: Annotated[
        Path | None, Option(help="File to write a fit of predicted-loss to the whole table to.")
    ] = None,
    values: Annotated[
        Path | None, Option(help="File to write the values to, a table for `nas bench search`.")
    ] = None,
    seed: Annotated[int, Option(help="Seed of the untrained weights.")] = 0,
    figure: Annotated[Path | None, Option(help="File to draw a chart to, .png or .svg.")] = None,
    page: Annotated[
        Path | None, Option(help="File to write an interactive page to, .html.")
    ] = None,
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

    check_files(fit, values, figure=figure, page=page)

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
    if page:
        from nas.reporting.report import write_page

        write_page(page, "Scores and losses", ranks.table(rows), bench.explored(columns, recipes))
    if json:
        setting = {"hidden": size.hidden, "embedding": size.embedding, "recipes": len(recipes)}
        say_json({**setting, "scores": [asdict(row) for row in rows]})
    else:
        say(f"{len(recipes)} recipes, hidden {size.hidden}, embedding {size.embedding}")
        say("Negative values: high scores go with low losses. This is expected, except for")
        say("\n".join([_lower_is_better(chosen), "", ranks.table(rows)]))


def _lower_is_better(scores: list[Any]) -> str:
    return ", ".join(score.name for score in scores if not score.higher_is_better) or "none"
