"""`nas compress`: a smaller network that is searched for, distilled, measured and written."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from nas.cli.options import (
    Config,
    Data,
    Executor,
    GpusPerSurvivor,
    Json,
    Policy,
    RayAddress,
    Run,
    Seed,
    Set,
    Storage,
    Workers,
)


def compress(
    config: Config = None,
    teacher: Annotated[
        str | None, Option(help="A model of `nas ls`, module:function, or a trained folder.")
    ] = None,
    weights: Annotated[
        Path | None,
        Option("--weights", "--state-dict", help="Its weights: .safetensors, .th or .pt."),
    ] = None,
    task: Annotated[
        str | None, Option(help="What it answers: a name of `nas ls` or module:name.")
    ] = None,
    data: Data = None,
    controller: Annotated[
        str | None, Option(help="What proposes students: policy-gradient, n2n, evolution, tpe, …")
    ] = None,
    updates: Annotated[int | None, Option(help="How often the controller learns.")] = None,
    rollouts: Annotated[int | None, Option(help="Students between two updates.")] = None,
    cost: Annotated[
        str | None, Option(help="What shrinks: parameters, flops, bytes or milliseconds.")
    ] = None,
    target_compression: Annotated[
        float | None, Option(help="How many times smaller the student must be.")
    ] = None,
    policy: Policy = None,
    run: Run = None,
    executor: Executor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    gpus_per_survivor: GpusPerSurvivor = None,
    storage: Storage = None,
    seed: Seed = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Compress a trained network: remove layers, narrow the rest, distil, prove the speed.

    Interrupted or killed, the same command goes on where it was.
    """
    from nas.cli.output import say, say_json
    from nas.core.settings import read_config
    from nas.jobs.compress.config import CompressConfig

    flags: dict[str, Any] = {
        "teacher": teacher,
        "weights": weights,
        "task.name": task,
        "task.data": None if data is None else str(data),
        "controller.name": controller,
        "policy": policy,
        "updates": updates,
        "rollouts": rollouts,
        "cost": cost,
        "target_compression": target_compression,
        "run": run,
        "execution.executor": executor,
        "execution.workers": workers,
        "execution.ray_address": ray_address,
        "execution.gpus_per_survivor": gpus_per_survivor,
        "storage": storage,
        "seed": seed,
    }
    settings = read_config(CompressConfig, config, set_ or [], flags)

    from nas import api
    from nas.jobs.compress.report import compress_facts, compress_table

    summary = api.compress(settings)
    if json:
        say_json(compress_facts(summary))
    else:
        say(compress_table(summary))
        say(f"\nstudent: {summary.path}")
        say(f"report: {settings.run / 'report' / 'report.html'}")
