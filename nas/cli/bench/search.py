"""`nas bench search`: replay controllers on a table of trained models."""

from pathlib import Path
from typing import Annotated

from typer import Option


def search(
    table: Annotated[
        str,
        Option(
            help="nas-bench-201:cifar100, nas-bench-graph:cora …, NAS-Bench-201's folder, "
            "NAS-Bench-Macro's .json, or your own .jsonl."
        ),
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
    metric: Annotated[
        str, Option(help="For a table with a name: validation or test results.")
    ] = "validation",
    single: Annotated[
        bool,
        Option("--single", help="A model's result is that of one training seed, not their mean."),
    ] = False,
    columns: Annotated[
        list[Path] | None, Option(help="For NAS-Bench-201: .csv with further scores; repeat.")
    ] = None,
    figure: Annotated[Path | None, Option(help="File to draw the curves to, .png or .svg.")] = None,
    page: Annotated[
        Path | None, Option(help="File to write an interactive page to, .html.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay controllers on a table of trained models, and print regret by models trained."""
    from nas.bench import curves as bench
    from nas.bench.search import WarmStart, replay
    from nas.bench.table_files import load_table
    from nas.cli.output import check_files, say, say_json
    from nas.core.errors import BadInput

    check_files(figure=figure, page=page)
    if metric not in ("validation", "test"):
        raise BadInput(f"--metric must be validation or test, not {metric}")
    known = load_table(table, metric, columns or ())
    warm = WarmStart(tuple(score), pool, best) if score else WarmStart(pool=pool, best=best)
    names = controller or (["random", "evolution"] if known.has_decisions else ["random"])
    seen = range(first_seed, first_seed + seeds)
    replays = {
        name: [replay(name, known, trained, seed, warm, single=single) for seed in seen]
        for name in names
    }
    if figure:
        bench.figure(replays, known.name, figure)
    if page:
        from nas.reporting.report import write_page

        write_page(page, f"Search on {known.name}", bench.table(replays), bench.explored(replays))
    if json:
        say_json(bench.as_json(replays))
    else:
        say(f"{known.name}: {len(known.rows)} architectures, best {known.best:g}, {seeds} seeds\n")
        say(bench.table(replays))
