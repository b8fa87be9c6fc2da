"""`nas sweep`: measure how much of a network can be pruned, and what that saves."""

from pathlib import Path
from typing import Annotated

from typer import Option

from nas.cli.job_command import Data, GpusPerSurvivor, Key, job_command


@job_command("nas.jobs.sweep.config:SweepConfig")
def sweep(
    model: Annotated[
        str | None,
        Option(help="TASK-CELL, such as reber-lstm, or a folder that `nas export` wrote."),
        Key("model"),
    ] = None,
    weights: Annotated[Path | None, Option(help="File of trained weights."), Key("weights")] = None,
    levels: Annotated[
        str | None,
        Option(help="Shares of weights to remove: 0.5,0.9 or first:last:step."),
        Key("levels"),
    ] = None,
    methods: Annotated[
        str | None,
        Option(help="How to rank weights, such as magnitude,lamp,synflow."),
        Key("methods"),
    ] = None,
    what: Annotated[
        str | None,
        Option(help="What to prune: i2h, h2h, both, weights, channels; separated by commas."),
        Key("what"),
    ] = None,
    ap: Annotated[
        str | None,
        Option(help="Shares to remove by activating-while-pruning; 0 for none."),
        Key("ap"),
    ] = None,
    scope: Annotated[
        str | None,
        Option(help="What to rank together: global, layer, gate; 4 for 2:4; 16x1 for blocks."),
        Key("scope"),
    ] = None,
    recover_epochs: Annotated[
        int | None, Option(help="Epochs of training after pruning."), Key("recover_epochs")
    ] = None,
    train_epochs: Annotated[
        int | None,
        Option(help="Epochs of training before pruning; 0 if --weights is given."),
        Key("train_epochs"),
    ] = None,
    epoch_steps: Annotated[
        int | None,
        Option(help="Optimiser steps per epoch; default: all the data."),
        Key("epoch_steps"),
    ] = None,
    seeds: Annotated[
        int | None, Option(help="Number of repetitions with different seeds."), Key("seeds")
    ] = None,
    task: Annotated[
        str | None,
        Option(help="Task to measure on: a name from `nas ls` or module:name."),
        Key("task.name"),
    ] = None,
    data: Data = None,
    gpus_per_survivor: GpusPerSurvivor = None,
) -> None:
    """Prune a network at every level with every method, retrain it, find the knee.

    To continue an interrupted run, run the same command again.
    """
