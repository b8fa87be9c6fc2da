"""`nas sweep`: how much a network can lose, and what that buys."""

from pathlib import Path
from typing import Annotated

from typer import Option

from nas.cli.job_command import Data, GpusPerSurvivor, Key, job_command


@job_command("nas.jobs.sweep.config:SweepConfig")
def sweep(
    model: Annotated[
        str | None,
        Option(help="TASK-CELL, as in reber-lstm, or a folder that nas export wrote."),
        Key("model"),
    ] = None,
    weights: Annotated[Path | None, Option(help="File of trained weights."), Key("weights")] = None,
    levels: Annotated[
        str | None,
        Option(help="Shares to remove: 0.5,0.9 or first:last:step."),
        Key("levels"),
    ] = None,
    methods: Annotated[
        str | None,
        Option(help="What ranks weights, as in magnitude,lamp,synflow."),
        Key("methods"),
    ] = None,
    what: Annotated[
        str | None,
        Option(help="Which: i2h, h2h, both, weights, channels; separated by commas."),
        Key("what"),
    ] = None,
    ap: Annotated[
        str | None,
        Option(help="Shares that activating-while-pruning removes; 0 for none."),
        Key("ap"),
    ] = None,
    scope: Annotated[
        str | None,
        Option(help="What is ranked together: global, layer, gate; 4 for 2:4; 16x1 for blocks."),
        Key("scope"),
    ] = None,
    recover_epochs: Annotated[
        int | None, Option(help="Epochs of training after pruning."), Key("recover_epochs")
    ] = None,
    train_epochs: Annotated[
        int | None,
        Option(help="Epochs of training before pruning; none if there are weights."),
        Key("train_epochs"),
    ] = None,
    epoch_steps: Annotated[
        int | None,
        Option(help="Optimiser steps of an epoch; all the data if not given."),
        Key("epoch_steps"),
    ] = None,
    seeds: Annotated[
        int | None, Option(help="How often everything is repeated."), Key("seeds")
    ] = None,
    task: Annotated[
        str | None,
        Option(help="What it is measured on: a name of `nas ls` or module:name."),
        Key("task.name"),
    ] = None,
    data: Data = None,
    gpus_per_survivor: GpusPerSurvivor = None,
) -> None:
    """Prune a network at every level with every method, let it recover, find the knee.

    If interrupted or killed, the same command continues.
    """
