"""`nas sweep`: how much a network can lose, and what that buys."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from nas.cli.options import Config, Data, Executor, Json, RayAddress, Run, Seed, Set, Workers


def sweep(
    config: Config = None,
    model: Annotated[
        str | None,
        Option(help="TASK-CELL, as in reber-lstm, or a folder that nas export wrote."),
    ] = None,
    weights: Annotated[Path | None, Option(help="File of trained weights.")] = None,
    levels: Annotated[
        str | None, Option(help="Shares to remove: 0.5,0.9 or first:last:step.")
    ] = None,
    methods: Annotated[
        str | None, Option(help="What ranks weights, as in magnitude,lamp,synflow.")
    ] = None,
    what: Annotated[
        str | None, Option(help="Which: i2h, h2h, both, weights, channels; with commas.")
    ] = None,
    ap: Annotated[
        str | None, Option(help="Shares that activating-while-pruning removes; 0 for none.")
    ] = None,
    scope: Annotated[
        str | None,
        Option(help="What is ranked together: global, layer, gate; 4 for 2:4; 16x1 for blocks."),
    ] = None,
    recover_epochs: Annotated[int | None, Option(help="Epochs of training after pruning.")] = None,
    train_epochs: Annotated[
        int | None, Option(help="Epochs of training before pruning; none where there are weights.")
    ] = None,
    epoch_steps: Annotated[
        int | None, Option(help="Optimiser steps of an epoch; all the data if not given.")
    ] = None,
    seeds: Annotated[int | None, Option(help="How often everything is repeated.")] = None,
    task: Annotated[
        str | None, Option(help="What it is measured on: a name of `nas ls` or module:name.")
    ] = None,
    data: Data = None,
    run: Run = None,
    executor: Executor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    seed: Seed = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Prune a network at every level by every method, let it recover, find the knee.

    Interrupted or killed, the same command goes on where it was.
    """
    from nas.cli.output import say, say_json
    from nas.core.settings import read_config
    from nas.jobs.sweep.config import SweepConfig

    flags: dict[str, Any] = {
        "model": model,
        "weights": weights,
        "levels": levels,
        "methods": methods,
        "what": what,
        "ap": ap,
        "scope": scope,
        "recover_epochs": recover_epochs,
        "train_epochs": train_epochs,
        "epoch_steps": epoch_steps,
        "seeds": seeds,
        "task.name": task,
        "task.data": None if data is None else str(data),
        "run": run,
        "execution.executor": executor,
        "execution.workers": workers,
        "execution.ray_address": ray_address,
        "seed": seed,
    }
    settings = read_config(SweepConfig, config, set_ or [], flags)

    from nas import api
    from nas.jobs.sweep.report import sweep_table
    from nas.jobs.sweep.rows import sweep_facts

    summary = api.sweep(settings)
    if json:
        say_json(sweep_facts(summary, settings.run))
    else:
        say(sweep_table(summary))
        say(f"\nreport: {settings.run / 'report' / 'report.html'}")
