"""`nas adapt`: find chains of a decoder's layers, for single inputs and for all inputs."""

from pathlib import Path
from typing import Annotated

from typer import Option

from nas.cli.job_command import Key, job_command


@job_command("nas.jobs.adapt.config:AdaptConfig")
def adapt(
    model: Annotated[
        str | None,
        Option(
            help="A transformers folder or hub name, or a llama2.c file; trains a small decoder by "
            "default."
        ),
        Key("model"),
    ] = None,
    device: Annotated[
        str | None,
        Option(help="cpu, cuda, cuda:1, auto, or spread over all devices (needs accelerate)."),
        Key("device"),
    ] = None,
    dtype: Annotated[
        str | None,
        Option(help="auto (the checkpoint's), float32, bfloat16 or float16."),
        Key("dtype"),
    ] = None,
    items: Annotated[
        Path | None,
        Option(help="JSON Lines file with query, choices, gold; or with prompt, answer."),
        Key("items"),
    ] = None,
    text: Annotated[
        Path | None,
        Option(help="Plain text instead of items: reduce the depth by perplexity."),
        Key("text"),
    ] = None,
    answers: Annotated[
        str | None,
        Option(help="letters or likelihoods: how to judge the choices."),
        Key("answers"),
    ] = None,
    samples: Annotated[
        int | None, Option(help="Number of items to find chains for."), Key("samples")
    ] = None,
    simulations: Annotated[
        int | None, Option(help="Number of chains to try per item."), Key("simulations")
    ] = None,
    search: Annotated[
        str | None,
        Option(
            help="both-ends, removal, greedy, beam, tree or cola (the paper's): how to find chains."
        ),
        Key("search"),
    ] = None,
    actions: Annotated[
        str | None, Option(help="How to edit a chain: skip, repeat or skip,repeat."), Key("actions")
    ] = None,
    objective: Annotated[
        str | None,
        Option(help="shorter: use all simulations; correct: stop at the first correct answer."),
        Key("objective"),
    ] = None,
    by: Annotated[
        str | None,
        Option(help="What to reward: gold; or agreement or confidence, which need no labels."),
        Key("by"),
    ] = None,
    static: Annotated[
        bool | None,
        Option(help="Also search for one chain for all inputs, and export it."),
        Key("static"),
    ] = None,
    menu: Annotated[
        int | None, Option(help="Number of chains for a router; 0 for no router."), Key("menu")
    ] = None,
    heal: Annotated[
        str | None,
        Option(help="full, lora or full,lora: what to train in a shortened decoder."),
        Key("heal"),
    ] = None,
    harness: Annotated[
        str | None,
        Option(help="Tasks of lm-eval that judge the model and its exports, with commas."),
        Key("harness"),
    ] = None,
    gguf: Annotated[
        bool | None,
        Option(help="Also write exported decoders for llama.cpp."),
        Key("gguf"),
    ] = None,
    memory: Annotated[
        float | None, Option(help="Cache of hidden states per worker, in MiB."), Key("memory")
    ] = None,
) -> None:
    """Skip and repeat a pretrained decoder's layers: find which ones each input needs.

    To continue an interrupted run, run the same command again.
    """
