"""`nas adapt`: chains of a decoder's own layers, for single inputs and for all."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from nas.cli.options import Config, Executor, Json, RayAddress, Run, Seed, Set, Storage, Workers


def adapt(
    config: Config = None,
    model: Annotated[
        str | None,
        Option(help="Folder or hub name of transformers, or a llama2.c file; else one is trained."),
    ] = None,
    items: Annotated[
        Path | None, Option(help="JSON lines: query, choices, gold; or prompt, answer.")
    ] = None,
    answers: Annotated[
        str | None, Option(help="Choices are judged by letters before them, or likelihoods.")
    ] = None,
    samples: Annotated[int | None, Option(help="Items that each get chains of their own.")] = None,
    simulations: Annotated[int | None, Option(help="Chains tried for each of them.")] = None,
    actions: Annotated[str | None, Option(help="Edits of a chain: skip,repeat or one.")] = None,
    objective: Annotated[
        str | None, Option(help="shorter: use all simulations; correct: stop at a right answer.")
    ] = None,
    by: Annotated[
        str | None, Option(help="What rewards a chain: gold, or agreement, confidence: no labels.")
    ] = None,
    static: Annotated[
        bool | None, Option(help="Look for one chain for all inputs, and export it.")
    ] = None,
    menu: Annotated[int | None, Option(help="Chains that a router chooses from; 0: none.")] = None,
    memory: Annotated[float | None, Option(help="MiB of hidden states of a worker.")] = None,
    run: Run = None,
    executor: Executor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    storage: Storage = None,
    seed: Seed = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Skip, loop and reorder a pretrained decoder's layers; find what can go, and for which inputs.

    Interrupted or killed, the same command goes on where it was.
    """
    from nas.cli.output import say, say_json
    from nas.core.settings import read_config
    from nas.jobs.adapt.config import AdaptConfig

    flags: dict[str, Any] = {
        "model": model,
        "items": items,
        "answers": answers,
        "samples": samples,
        "simulations": simulations,
        "actions": actions,
        "objective": objective,
        "by": by,
        "static": static,
        "menu": menu,
        "memory": memory,
        "run": run,
        "execution.executor": executor,
        "execution.workers": workers,
        "execution.ray_address": ray_address,
        "storage": storage,
        "seed": seed,
    }
    settings = read_config(AdaptConfig, config, set_ or [], flags)

    from nas import api
    from nas.jobs.adapt.report import adapt_facts, adapt_table

    summary = api.adapt(settings)
    if json:
        say_json(adapt_facts(summary, settings.run))
    else:
        say(adapt_table(summary))
        say(f"\nreport: {settings.run / 'report' / 'report.html'}")
