"""`nas bench`: what this machine gains, measured beside its baseline."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option


def kernels(
    cell: Annotated[
        list[str] | None, Option(help="A known cell such as lstm, or an architecture's file.")
    ] = None,
    recipes: Annotated[
        Path | None, Option(help="File of cells, as for `nas score`; with --id.")
    ] = None,
    id_: Annotated[list[str] | None, Option("--id", help="A cell of that file.")] = None,
    shape: Annotated[
        list[str] | None, Option(help="nas-bench-nlp, 32, 64 or 128; all if not given.")
    ] = None,
    dtype: Annotated[str, Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    threads: Annotated[int, Option(min=1, help="CPU threads.")] = 1,
    repeats: Annotated[
        int, Option(min=1, help="Measurements of which the median counts, three times.")
    ] = 5,
    figure: Annotated[Path | None, Option(help="File for a bar chart, .png or .svg.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time compiled cells, forward and backward, against a step-by-step eager loop."""
    import torch

    from nas.bench import kernels as bench
    from nas.cli.output import check_files, say, say_json
    from nas.core.errors import BadInput
    from nas.models.architecture_files import read_architecture, read_recipes
    from nas.training import best_device
    from search_spaces.rnn_cell.recipe import cell_of

    check_files(figure=figure)

    shapes = shape or list(bench.SHAPES)
    if unknown := set(shapes) - set(bench.SHAPES):
        raise BadInput(f'no shape "{unknown.pop()}"; there are {", ".join(bench.SHAPES)}')
    if dtype not in ("float32", "float64", "bfloat16", "float16"):
        raise BadInput(f'no dtype "{dtype}"; there are float32, float64, bfloat16, float16')
    names = cell or ([] if recipes else ["rnn-tanh", "lstm", "gru", "rhn"])
    cells = {name: cell_of(read_architecture(name)) for name in names}
    known = {str(key): found for key, found in read_recipes(recipes)} if recipes else {}
    for key in id_ or list(known)[:4]:
        if key not in known:
            raise BadInput(f"{recipes or 'no --recipes file'} has no cell {key}")
        cells[key] = cell_of(known[key])
    torch.set_num_threads(threads)
    rows = list(bench.measure(cells, shapes, best_device(), getattr(torch, dtype), repeats))
    if figure:
        bench.figure(rows, figure)
    if json:
        say_json(bench.as_json(rows))
    else:
        about = ", ".join(f"{name} {value}" for name, value in bench.machine().items())
        say(f"{about}\nbatch {bench.BATCH}, steps {bench.STEPS}, {dtype}, {threads} threads\n")
        say(bench.table(rows))


def search(
    table: Annotated[
        Path, Option(help="NAS-Bench-201's folder, NAS-Bench-Macro's .json, or one's own .jsonl.")
    ],
    controller: Annotated[
        list[str] | None,
        Option(help="A controller, warm-NAME for one that begins with the best scores, or ranked."),
    ] = None,
    seeds: Annotated[int, Option(min=1, help="Replays of each controller.")] = 100,
    first_seed: Annotated[int, Option(min=0, help="The first of the seeds.")] = 0,
    trained: Annotated[int, Option(min=1, help="Models that a replay trains.")] = 200,
    score: Annotated[
        list[str] | None, Option(help="For a warm start: scores whose ranks are added.")
    ] = None,
    pool: Annotated[int, Option(min=1, help="For a warm start: architectures scored.")] = 1000,
    best: Annotated[
        int, Option(min=1, help="For a warm start: how many of them are trained.")
    ] = 50,
    figure: Annotated[Path | None, Option(help="File for the curves, .png or .svg.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay controllers on a table of trained models: regret by how many they have trained."""
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


def graphs(
    cell: Annotated[
        list[str] | None, Option(help="A known cell; tanh, ReLU, GRU and LSTM if not given.")
    ] = None,
    graphs: Annotated[int, Option("--graphs", min=20, help="Graphs of each cell.")] = 100,
    steps: Annotated[int, Option(min=1, help="Optimiser steps of each.")] = 800,
    family: Annotated[
        list[str] | None, Option(help="A family of graphs; all four if not given.")
    ] = None,
    published: Annotated[
        bool, Option("--published", help="Sizes that follow the graph, as in the literature.")
    ] = False,
    task: Annotated[str, Option(help="What they are trained on: a name of `nas ls`.")] = "reber",
    seed: Annotated[int, Option(min=0, help="Seed of everything that is random.")] = 0,
    figure: Annotated[Path | None, Option(help="File for the correlations, .png or .svg.")] = None,
    json: Annotated[
        bool, Option("--json", help="Print one JSON object, with every graph.")
    ] = False,
) -> None:
    """Train random graphs as recurrent networks: which of their properties tell the accuracy?"""
    from rich.console import Console
    from rich.progress import track

    from nas.bench import graphs as bench
    from nas.bench.graph_training import trained_graphs
    from nas.cli.output import check_files, say, say_json
    from nas.core.errors import BadInput
    from nas.core.registry import create, load_task

    check_files(figure=figure)

    data = load_task(task, {})
    if data.shape.every_step:
        raise BadInput(f"{task} is answered at every step: choose a task with one answer each")
    options = {"published": published, **({"families": tuple(family)} if family else {})}
    spaces = {
        name: create("spaces", "random-graph", {"cells": (name,), **options})
        for name in cell or bench.PUBLISHED_CELLS
    }
    console = Console(stderr=True)
    trained = {
        name: list(
            track(
                trained_graphs(space, data, graphs, steps, seed),
                name,
                graphs,
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        )
        for name, space in spaces.items()
    }
    correlated = [row for name in trained for row in bench.correlations(name, trained[name])]
    predicted = [row for name in trained for row in bench.predictions(name, trained[name])]
    if figure:
        bench.figure(correlated, figure)
    if json:
        say_json(bench.as_json(trained, correlated, predicted))
    else:
        say(bench.table(trained, correlated, predicted))


def _lower_is_better(scores: list[Any]) -> str:
    return ", ".join(score.name for score in scores if not score.higher_is_better) or "none"
