"""`nas bench search`: replay controllers on a table of trained models."""

from pathlib import Path
from typing import Annotated

from typer import Option


def search(
    table: Annotated[
        Path, Option(help="NAS-Bench-201's folder, NAS-Bench-Macro's .json, or your own .jsonl.")
    ],
    controller: Annotated[
        list[str] | None,
        Option(help="A controller, warm-NAME to start it from the best scores, or ranked."),
    ] = None,
    seeds: Annotated[int, Option(min=1, help="Number of replays per controller.")] = 100,
    first_seed: Annotated[int, Option(min=0, help="First seed.")] = 0,
    trained: Annotated[int, Option(min=1, help="Number of models that a replay trains.")] = 200,
    score: Annotated[
        list[str] | None, Option(help="For a warm start: score to rank by; repeat to add ranks.")
    ] = None,
    pool: Annotated[int, Option(min=1, help="For a warm start: architectures to score.")] = 1000,
    best: Annotated[int, Option(min=1, help="For a warm start: how many of them to train.")] = 50,
    figure: Annotated[Path | None, Option(help="File to draw the curves to, .png or .svg.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay controllers on a table of trained models, and print regret by models trained."""
    import numpy as np

    from nas.bench import curves as bench
    from nas.bench.search import WarmStart, replay
    from nas.bench.table_files import read_table
    from nas.cli.output import check_files, say, say_json

    check_files(figure=figure)
    known = read_table(table)
    warm = WarmStart(tuple(score), pool, best) if score else WarmStart(pool=pool, best=best)
    names = controller or (["random", "evolution"] if known.has_decisions else ["random"])
    seen = range(first_seed, first_seed + seeds)
    curves = {
        name: np.stack([replay(name, known, trained, seed, warm) for seed in seen])
        for name in names
    }
    if figure:
        bench.figure(curves, known.name, figure)
    if json:
        say_json(bench.as_json(curves))
    else:
        say(f"{known.name}: {len(known.rows)} architectures, best {known.best:g}, {seeds} seeds\n")
        say(bench.table(curves))
