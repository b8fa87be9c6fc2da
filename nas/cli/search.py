"""`nas search`: candidates scored without training, the best of them trained."""

from typing import Annotated

from typer import Option

from nas.cli.job_command import Data, GpusPerSurvivor, Key, Policy, job_command


@job_command("nas.jobs.search.config:SearchConfig")
def search(
    space: Annotated[
        str | None,
        Option(help="Search space: a name of `nas ls` or module:name."),
        Key("space.name"),
    ] = None,
    controller: Annotated[
        str | None,
        Option(help="What proposes: a name of `nas ls` or module:name."),
        Key("controller.name"),
    ] = None,
    score: Annotated[
        list[str] | None,
        Option(
            help="Training-free score; repeat for more. The first guides; none trains all. Options "
            "follow commas: hidden-covariance,between=sequences."
        ),
        Key("scores"),
    ] = None,
    ranking: Annotated[
        str | None,
        Option(help="Who is best: by the first score, or by the rank-sum of all scores."),
        Key("ranking"),
    ] = None,
    warm_start: Annotated[
        str | None,
        Option(
            help="Score by which the 10 best (warm_start.best) of a random --pool open the search: "
            "they train first, and the controller continues from their losses."
        ),
        Key("warm_start.score"),
    ] = None,
    pool: Annotated[
        int | None,
        Option(help="For --warm-start: architectures to score, 1000 if not given."),
        Key("warm_start.pool"),
    ] = None,
    objectives: Annotated[
        str | None,
        Option(
            help="What the controller is told; lower is better: loss, parameters, flops, latency, "
            "separated by commas. random, tpe and nsga-ii follow several."
        ),
        Key("objectives", is_list=True),
    ] = None,
    policy: Policy = None,
    candidates: Annotated[
        int | None, Option(help="Architectures to propose and score."), Key("candidates")
    ] = None,
    survivors: Annotated[
        int | None, Option(help="How many of the best scored are trained."), Key("survivors")
    ] = None,
    task: Annotated[
        str | None,
        Option(help="What they are trained on: a name of `nas ls` or module:name."),
        Key("task.name"),
    ] = None,
    data: Data = None,
    gpus_per_survivor: GpusPerSurvivor = None,
    kernels: Annotated[
        str | None,
        Option(help="How cells are run: auto (the fastest), reference, cpu or gpu."),
        Key("execution.kernels"),
    ] = None,
    deterministic: Annotated[
        bool | None,
        Option(
            "--deterministic", help="Take results in the order asked for: equal runs on Ray too."
        ),
        Key("execution.deterministic"),
    ] = None,
    grace: Annotated[
        float | None,
        Option(help="Seconds that running evaluations get after Ctrl-C."),
        Key("execution.grace"),
    ] = None,
) -> None:
    """Search a space: score candidates without training, train the best, write a report.

    If interrupted or killed, the same command continues.
    """
