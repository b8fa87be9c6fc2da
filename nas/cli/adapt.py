"""`nas adapt`: chains of a decoder's own layers, for single inputs and for all."""

from pathlib import Path
from typing import Annotated

from typer import Option

from nas.cli.job_command import Key, job_command


@job_command("nas.jobs.adapt.config:AdaptConfig")
def adapt(
    model: Annotated[
        str | None,
        Option(
            help="Folder or hub name of transformers, or a llama2.c file; a small decoder is "
            "trained if not given."
        ),
        Key("model"),
    ] = None,
    items: Annotated[
        Path | None,
        Option(help="JSON lines: query, choices, gold; or prompt, answer."),
        Key("items"),
    ] = None,
    answers: Annotated[
        str | None,
        Option(help="Judge choices by the letters before them, or by their likelihoods."),
        Key("answers"),
    ] = None,
    samples: Annotated[
        int | None, Option(help="Items that each get chains of their own."), Key("samples")
    ] = None,
    simulations: Annotated[
        int | None, Option(help="Chains tried for each of them."), Key("simulations")
    ] = None,
    actions: Annotated[
        str | None, Option(help="Edits of a chain: skip,repeat or one of them."), Key("actions")
    ] = None,
    objective: Annotated[
        str | None,
        Option(help="shorter: use all simulations; correct: stop at a right answer."),
        Key("objective"),
    ] = None,
    by: Annotated[
        str | None,
        Option(help="What rewards a chain: gold; or agreement, confidence, which need no labels."),
        Key("by"),
    ] = None,
    static: Annotated[
        bool | None,
        Option(help="Look for one chain for all inputs, and export it."),
        Key("static"),
    ] = None,
    menu: Annotated[
        int | None, Option(help="Chains that a router chooses from; 0 for no router."), Key("menu")
    ] = None,
    memory: Annotated[
        float | None, Option(help="MiB of hidden states per worker."), Key("memory")
    ] = None,
) -> None:
    """Skip, loop and reorder a pretrained decoder's layers; find what can go, and for which inputs.

    If interrupted or killed, the same command continues.
    """
