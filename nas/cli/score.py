"""`nas score`: training-free scores of given cells."""

from pathlib import Path
from typing import Annotated

from typer import Option


def score(
    recipes: Annotated[Path, Option(help='File of cells, one {"id": …, "recipe": {…}} a line.')],
    score: Annotated[list[str] | None, Option(help="Score to compute; repeat for more.")] = None,
    task: Annotated[
        str, Option(help="Task whose validation data the models read.")
    ] = "python-text",
    data: Annotated[Path | None, Option(help="The task's file or folder of data.")] = None,
    embedding: Annotated[int, Option(help="Embedding size; as published if not given.")] = 400,
    hidden: Annotated[int, Option(help="Hidden size; as published if not given.")] = 600,
    layers: Annotated[int, Option(help="Recurrent layers; as published if not given.")] = 3,
    seed: Annotated[int, Option(help="Seed of the untrained weights.")] = 0,
    json: Annotated[bool, Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Score the cells of a recipe file without training them.

    The sizes are those of NAS-Bench-NLP, about a second a cell; `--hidden 96 --embedding 64` is
    15 times quicker and ranks them alike.
    """
    from nas import api
    from nas.cli.output import say, say_json
    from nas.core.registry import load_task
    from search_spaces.space import ModelSize

    options = {} if data is None else {"data": data}
    size = ModelSize(embedding=embedding, hidden=hidden, layers=layers)
    names = score or ["hidden-covariance"]
    for line in api.score(recipes, names, load_task(task, options), size, seed):
        if json:
            say_json(line, schema=False)
        else:
            values = "  ".join(f"{name} {value:.6g}" for name, value in line["scores"].items())
            say(f"{line['id']}  {line['digest']}  {line['failed'] or values}")
