"""`nas compress`: find, distil, measure and write a smaller network."""

from pathlib import Path
from typing import Annotated

from typer import Option

from nas.cli.job_command import Data, GpusPerSurvivor, Key, Policy, job_command


@job_command("nas.jobs.compress.config:CompressConfig")
def compress(
    teacher: Annotated[
        str | None,
        Option(
            help="A model of `nas ls`, a trained folder, or module:function: the function returns "
            "the network and takes nothing, or classes, or channels."
        ),
        Key("teacher"),
    ] = None,
    weights: Annotated[
        Path | None,
        Option("--weights", "--state-dict", help="File of its weights: .safetensors, .th or .pt."),
        Key("weights"),
    ] = None,
    task: Annotated[
        str | None,
        Option(help="The teacher's task: a name from `nas ls` or module:name."),
        Key("task.name"),
    ] = None,
    data: Data = None,
    controller: Annotated[
        str | None,
        Option(help="What proposes students: mcts, tpe, predictor, policy-gradient …"),
        Key("controller.name"),
    ] = None,
    updates: Annotated[
        int | None, Option(help="Number of controller updates."), Key("updates")
    ] = None,
    rollouts: Annotated[
        int | None, Option(help="Number of students per update."), Key("rollouts")
    ] = None,
    cost: Annotated[
        str | None,
        Option(help="What to reduce: parameters, flops, bytes or milliseconds."),
        Key("cost"),
    ] = None,
    target_compression: Annotated[
        float | None,
        Option(help="How many times smaller the student must be."),
        Key("target_compression"),
    ] = None,
    max_ms: Annotated[
        float | None,
        Option(help="Most milliseconds of a student on this CPU, for --at-batch and --threads."),
        Key("max_ms"),
    ] = None,
    max_mb: Annotated[
        float | None, Option(help="Most megabytes of its weights."), Key("max_mb")
    ] = None,
    max_macs: Annotated[
        float | None,
        Option(help="Most multiplications with additions for one example, such as 5e6."),
        Key("max_macs"),
    ] = None,
    max_parameters: Annotated[
        float | None, Option(help="Most parameters, such as 2e5."), Key("max_parameters")
    ] = None,
    at_batch: Annotated[
        int | None, Option(help="Batch size of --max-ms; default: 1."), Key("at_batch")
    ] = None,
    threads: Annotated[
        int | None, Option(help="Threads of --max-ms; default: 1."), Key("threads")
    ] = None,
    resolve: Annotated[
        Path | None,
        Option(
            help="Run whose students get new limits without a new search; writes to "
            "RESOLVE/resolved/ if there is no --run."
        ),
        Key("resolve"),
    ] = None,
    fit: Annotated[
        str | None,
        Option(help="Your own training of a student: module:function(model, steps)."),
        Key("fit"),
    ] = None,
    policy: Policy = None,
    gpus_per_survivor: GpusPerSurvivor = None,
) -> None:
    """Compress a trained network: remove layers, narrow the rest, distil, measure the speed.

    Writes the student to RUN/student/. To continue an interrupted run, run the same command again.
    """
