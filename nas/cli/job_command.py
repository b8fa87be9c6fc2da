"""Commands that start a job: their common options, their settings, what they print at the end."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from typer import Argument, Option


@dataclass(frozen=True)
class Key:
    """The setting that an option gives, as a dotted name; list: its values have commas between."""

    name: str
    is_list: bool = False


Data = Annotated[Path | None, Option(help="The task's file or folder of data."), Key("task.data")]
Policy = Annotated[
    Path | None,
    Option(
        help="File of a trained policy: the search starts from it if it exists, and writes what "
        "was learnt to it at the end."
    ),
    Key("policy"),
]
GpusPerSurvivor = Annotated[
    float | None,
    Option(help="GPUs that a training asks Ray for; may be a fraction."),
    Key("execution.gpus_per_survivor"),
]
Config = Annotated[Path | None, Argument(help="TOML file with any of the settings.")]
Set = Annotated[
    list[str] | None,
    Option("--set", help="Any setting, as in training.steps=300; repeat for more."),
]
Json = Annotated[bool, Option("--json", help="Print one JSON object instead of tables.")]


def _common(
    run: Annotated[
        Path | None,
        Option(help="Folder of the run; the same command continues it."),
        Key("run"),
    ] = None,
    executor: Annotated[
        str | None,
        Option(help="ray (processes, clusters) or serial (this process)."),
        Key("execution.executor"),
    ] = None,
    workers: Annotated[
        int | None,
        Option(help="Evaluations at the same time; all CPUs if not given."),
        Key("execution.workers"),
    ] = None,
    ray_address: Annotated[
        str | None,
        Option(help="Join a Ray cluster: host:port or auto."),
        Key("execution.ray_address"),
    ] = None,
    storage: Annotated[
        str | None,
        Option(help="Optuna storage URL; a journal in the run's folder if not given."),
        Key("storage"),
    ] = None,
    seed: Annotated[int | None, Option(help="Seed of everything random."), Key("seed")] = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """The options that every job has, behind its own."""


def job_command(settings: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that only declares a job's own options.

    settings: the job's configuration, as "package.module:Name". The command is called like the
    verb in `nas.api`, which it calls with the settings. It prints the report's text or facts.
    """

    def decorate(declared: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(declared).parameters.values())
        common = list(inspect.signature(_common).parameters.values())
        hints = {f: get_type_hints(f, include_extras=True) for f in (declared, _common)}
        types = {"config": Config, **hints[declared], **hints[_common]}
        keys = {name: key for name, hint in types.items() if (key := _key(hint))}
        first = inspect.Parameter(
            "config", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Config
        )

        @wraps(declared)
        def command(config: Path | None, set_: list[str] | None, json: bool, **given: Any) -> None:
            flags = {keys[name].name: _value(keys[name], value) for name, value in given.items()}
            _run(declared.__name__, settings, config, set_ or [], flags, json)

        command.__signature__ = inspect.Signature([first, *own, *common])  # type: ignore[attr-defined]
        command.__annotations__ = types
        return command

    return decorate


def _run(
    verb: str,
    settings: str,
    config: Path | None,
    set_: list[str],
    flags: dict[str, Any],
    json: bool,
) -> None:
    from nas.core.settings import read_config

    module, _, name = settings.partition(":")
    kind = getattr(importlib.import_module(module), name)
    chosen = read_config(kind, config, set_, flags)

    from nas import api
    from nas.cli.output import say, say_json
    from nas.reporting.report import PAGE, read_report

    getattr(api, verb)(chosen)
    text, facts = read_report(chosen.run / "report")
    if json:
        say_json(facts)
    else:
        say(f"{text}\n\nreport: {chosen.run / 'report' / PAGE}")


def _key(hint: Any) -> Key | None:
    return next((part for part in get_args(hint) if isinstance(part, Key)), None)


def _value(key: Key, value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return tuple(value.split(",")) if key.is_list and isinstance(value, str) else value
