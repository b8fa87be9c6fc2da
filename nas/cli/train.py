"""`nas train`: train and test one architecture."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.cli.job_command import Trust


def train(
    architecture: Annotated[
        str,
        Argument(
            help="Architecture or recipe JSON, or a known cell or mixer such as lstm or deltanet."
        ),
    ],
    config: Annotated[
        Path | None, Option(help="TOML file of a search, for its task, sizes and training.")
    ] = None,
    task: Annotated[
        str | None, Option(help="Task to train on: a name from `nas ls` or module:name.")
    ] = None,
    data: Annotated[Path | None, Option(help="The task's data file or folder.")] = None,
    kernels: Annotated[
        str | None,
        Option(help="Kernels that run cells: auto (the fastest), reference, cpu or gpu."),
    ] = None,
    to: Annotated[Path | None, Option(help="Folder to write the trained model to.")] = None,
    seed: Annotated[int | None, Option(help="Seed of weights and data order.")] = None,
    set_: Annotated[
        list[str] | None, Option("--set", help="Any setting, such as training.steps=300.")
    ] = None,
    trust: Trust = False,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train one architecture and report its validation and test results."""
    from nas import api
    from nas.cli.output import say, say_json
    from nas.core.files import check_folder
    from nas.core.settings import read_config
    from nas.core.trust import named_by, trusting
    from nas.jobs.search.config import SearchConfig
    from nas.models.architecture_files import read_architecture

    flags = {
        "task.name": task,
        "task.data": None if data is None else str(data),
        "seed": seed,
        "execution.kernels": kernels,
    }
    if to is not None:
        check_folder(to, "--to")
    with trusting(trust), named_by(config):
        settings = read_config(SearchConfig, config, set_ or [], flags)
        facts = api.train(read_architecture(architecture), settings, to)
    if json:
        say_json(facts)
    else:
        say("\n".join(f"{name:16} {value}" for name, value in facts.items()))
