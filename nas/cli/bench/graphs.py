"""`nas bench graphs`: train random graphs as recurrent networks."""

from pathlib import Path
from typing import Annotated

from typer import Option


def graphs(
    cell: Annotated[
        list[str] | None, Option(help="Known cell; default: tanh, ReLU, GRU and LSTM.")
    ] = None,
    graphs: Annotated[int, Option("--graphs", min=20, help="Number of graphs per cell.")] = 100,
    steps: Annotated[int, Option(min=1, help="Optimiser steps per graph.")] = 800,
    family: Annotated[list[str] | None, Option(help="Family of graphs; default: all four.")] = None,
    published: Annotated[
        bool, Option("--published", help="Let the graph decide the sizes, as in the literature.")
    ] = False,
    task: Annotated[str, Option(help="Task to train on: a name from `nas ls`.")] = "reber",
    seed: Annotated[int, Option(min=0, help="Random seed.")] = 0,
    figure: Annotated[
        Path | None, Option(help="File to draw the correlations to, .png or .svg.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object with every graph.")] = False,
) -> None:
    """Train random graphs as recurrent networks: which graph properties predict the accuracy?"""
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
        raise BadInput(
            f"task {task} has an answer at every step: choose a task with one answer per sequence"
        )
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
