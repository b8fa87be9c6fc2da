"""The options that several verbs have, said once."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Config = Annotated[Path | None, Argument(help="TOML file with any of the settings.")]
Data = Annotated[Path | None, Option(help="The task's file or folder of data.")]
Policy = Annotated[
    Path | None,
    Option(
        help="File of a policy gradient's policy: it begins with it if it is there, and what was "
        "learnt is written to it at the end."
    ),
]
Run = Annotated[
    Path | None, Option(help="Folder of the run; the same command again goes on with it.")
]
Executor = Annotated[str | None, Option(help="ray (processes, clusters) or serial (this process).")]
Workers = Annotated[int | None, Option(help="Evaluations at the same time; all CPUs if not given.")]
RayAddress = Annotated[str | None, Option(help="Join a Ray cluster: host:port or auto.")]
GpusPerSurvivor = Annotated[
    float | None, Option(help="GPUs that a training asks Ray for; may be a fraction.")
]
Storage = Annotated[
    str | None, Option(help="Optuna storage URL; a journal in the run's folder if not given.")
]
Seed = Annotated[int | None, Option(help="Seed of everything that is random.")]
Set = Annotated[
    list[str] | None,
    Option("--set", help="Any setting, as in training.steps=300; repeat for more."),
]
Json = Annotated[bool, Option("--json", help="Print one JSON object instead of tables.")]
