"""`nas search`: candidates scored without training, the best of them trained."""

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


def search(
    config: Config = None,
    space: Annotated[
        str | None, Option(help="Search space: a name of `nas ls` or module:name.")
    ] = None,
    controller: Annotated[
        str | None, Option(help="What proposes: a name of `nas ls` or module:name.")
    ] = None,
    score: Annotated[
        list[str] | None,
        Option(
            help="Training-free score; repeat for more; the first guides; none trains all. Options "
            "follow commas: hidden-covariance,between=sequences."
        ),
    ] = None,
    ranking: Annotated[
        str | None,
        Option(help="Who is best: by the first score, or by the rank-sum of all scores."),
    ] = None,
    warm_start: Annotated[
        str | None,
        Option(
            help="Score by which the 10 best (warm_start.best) of a random --pool open the search: "
            "they train first, and the controller goes on from their losses."
        ),
    ] = None,
    pool: Annotated[
        int | None, Option(help="For --warm-start: architectures to score, 1000 if not given.")
    ] = None,
    objectives: Annotated[
        str | None,
        Option(
            help="What the controller is told, all better when lower: loss, parameters, flops, "
            "latency, separated by commas; random, tpe and nsga-ii follow several."
        ),
    ] = None,
    policy: Policy = None,
    candidates: Annotated[int | None, Option(help="Architectures to propose and score.")] = None,
    survivors: Annotated[
        int | None, Option(help="How many of the best scored are trained.")
    ] = None,
    task: Annotated[
        str | None, Option(help="What they are trained on: a name of `nas ls` or module:name.")
    ] = None,
    data: Data = None,
    run: Run = None,
    executor: Executor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    gpus_per_survivor: GpusPerSurvivor = None,
    kernels: Annotated[
        str | None,
        Option(help="How cells are run: auto (the fastest), reference, cpu or gpu."),
    ] = None,
    storage: Storage = None,
    seed: Seed = None,
    deterministic: Annotated[
        bool | None,
        Option(
            "--deterministic", help="Take results in the order asked for: equal runs on Ray too."
        ),
    ] = None,
    grace: Annotated[
        float | None, Option(help="Seconds that running evaluations get after Ctrl-C.")
    ] = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Search a space: score candidates without training, train the best, write a report.

    Interrupted or killed, the same command goes on where it was.
    """
    from nas.cli.output import say, say_json
    from nas.jobs.search.config import search_config

    scores = None if score is None else tuple(s for s in score if s != "none")
    flags: dict[str, Any] = {
        "space.name": space,
        "controller.name": controller,
        "scores": scores,
        "ranking": ranking,
        "warm_start.score": warm_start,
        "warm_start.pool": pool,
        "objectives": None if objectives is None else tuple(objectives.split(",")),
        "policy": policy,
        "candidates": candidates,
        "survivors": survivors,
        "task.name": task,
        "task.data": None if data is None else str(data),
        "run": run,
        "execution.executor": executor,
        "execution.workers": workers,
        "execution.ray_address": ray_address,
        "execution.gpus_per_survivor": gpus_per_survivor,
        "execution.deterministic": deterministic,
        "execution.grace": grace,
        "execution.kernels": kernels,
        "storage": storage,
        "seed": seed,
    }
    settings = search_config(config, set_ or [], flags)

    from nas import api
    from nas.jobs.search.saved import search_facts
    from nas.jobs.search.table import survivors_table

    summary = api.search(settings)
    if json:
        say_json(search_facts(summary, settings.run))
    else:
        say(survivors_table(summary))
        say(f"\nreport: {settings.run / 'report' / 'report.html'}")
