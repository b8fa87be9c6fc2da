"""`nas search`: score candidates without training, then train the best."""

from typing import Annotated

from typer import Option

from nas.cli.job_command import Data, GpusPerSurvivor, Key, Policy, job_command


@job_command("nas.jobs.search.config:SearchConfig")
def search(
    space: Annotated[
        str | None,
        Option(help="Search space: a name from `nas ls` or module:name."),
        Key("space.name"),
    ] = None,
    controller: Annotated[
        str | None,
        Option(help="What proposes candidates: a name from `nas ls` or module:name."),
        Key("controller.name"),
    ] = None,
    score: Annotated[
        list[str] | None,
        Option(
            help="Training-free score; repeat for more. The first guides the search; none trains "
            "all candidates. Options follow commas: hidden-covariance,between=sequences."
        ),
        Key("scores"),
    ] = None,
    ranking: Annotated[
        str | None,
        Option(help="How to rank candidates: first (the first score) or rank-sum (all scores)."),
        Key("ranking"),
    ] = None,
    warm_start: Annotated[
        str | None,
        Option(
            help="Score a random --pool by this and train the 10 best (warm_start.best) first; the "
            "controller continues from their losses."
        ),
        Key("warm_start.score"),
    ] = None,
    pool: Annotated[
        int | None,
        Option(help="Number of architectures to score for --warm-start; default: 1000."),
        Key("warm_start.pool"),
    ] = None,
    objectives: Annotated[
        str | None,
        Option(
            help="What to minimise: loss, parameters, flops, latency, state_bytes, step_latency, "
            "separated by commas; random, tpe, nsga-ii and predictor support several."
        ),
        Key("objectives", is_list=True),
    ] = None,
    tune: Annotated[
        list[str] | None,
        Option(
            help="Setting to search with the architecture, such as "
            "training.learning_rate=1e-4:1e-1:log,prior=3e-3; repeat for more."
        ),
        Key("tune"),
    ] = None,
    where: Annotated[
        str | None,
        Option(
            help="Constraints, such as parameters<=2e6,latency<=2ms: of scores and of all that "
            "--objectives knows but the loss; candidates that miss one do not train."
        ),
        Key("where", is_list=True),
    ] = None,
    policy: Policy = None,
    candidates: Annotated[
        int | None, Option(help="Number of architectures to propose and score."), Key("candidates")
    ] = None,
    survivors: Annotated[
        int | None, Option(help="Number of the best candidates to train."), Key("survivors")
    ] = None,
    task: Annotated[
        str | None,
        Option(help="Task to train on: a name from `nas ls` or module:name."),
        Key("task.name"),
    ] = None,
    data: Data = None,
    gpus_per_survivor: GpusPerSurvivor = None,
    kernels: Annotated[
        str | None,
        Option(help="Kernels that run cells: auto (the fastest), reference, cpu or gpu."),
        Key("execution.kernels"),
    ] = None,
    deterministic: Annotated[
        bool | None,
        Option(
            "--deterministic", help="Use results in submission order: reproducible runs on Ray too."
        ),
        Key("execution.deterministic"),
    ] = None,
    grace: Annotated[
        float | None,
        Option(help="Seconds for running evaluations to finish after Ctrl-C."),
        Key("execution.grace"),
    ] = None,
) -> None:
    """Search a space: score candidates without training, train the best, write a report.

    To continue an interrupted run, run the same command again.
    """
