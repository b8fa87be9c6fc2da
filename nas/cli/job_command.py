"""Makes the commands that start a job: common options, settings, output."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from typer import Argument, Option

from nas.core.trust import named_by, trusting


@dataclass(frozen=True)
class Key:
    """The dotted name of the setting that an option sets; a list takes commas between values."""

    name: str
    is_list: bool = False


Data = Annotated[Path | None, Option(help="The task's data file or folder."), Key("task.data")]
Policy = Annotated[
    Path | None,
    Option(help="Policy file: the search starts from it if it exists, and updates it at the end."),
    Key("policy"),
]
GpusPerSurvivor = Annotated[
    float | None,
    Option(help="GPUs per training call on Ray; may be a fraction."),
    Key("execution.gpus_per_survivor"),
]
Config = Annotated[Path | None, Argument(help="TOML file of settings.")]
Set = Annotated[
    list[str] | None,
    Option("--set", help="Any setting, such as training.steps=300; repeat for more."),
]
Trust = Annotated[
    bool, Option("--trust", help="Run code outside of nas that files name, not only flags.")
]
Json = Annotated[bool, Option("--json", help="Print one JSON object instead of tables.")]


def _common(
    run: Annotated[
        Path | None,
        Option(help="The run's folder; the same command continues the run."),
        Key("run"),
    ] = None,
    executor: Annotated[
        str | None,
        Option(help="ray (several processes or a cluster) or serial (this process)."),
        Key("execution.executor"),
    ] = None,
    workers: Annotated[
        int | None,
        Option(help="Number of parallel evaluations; default: one per CPU."),
        Key("execution.workers"),
    ] = None,
    ray_address: Annotated[
        str | None,
        Option(help="Ray cluster to join: host:port or auto."),
        Key("execution.ray_address"),
    ] = None,
    storage: Annotated[
        str | None,
        Option(
            envvar="NAS_STORAGE",
            show_envvar=True,
            help="Database URL, needed again to continue; default: a journal in the run's folder.",
        ),
        Key("storage"),
    ] = None,
    seed: Annotated[int | None, Option(help="Random seed."), Key("seed")] = None,
    track: Annotated[
        list[str] | None,
        Option(help="Also send results to mlflow, wandb or trackio; repeat, or use commas."),
        Key("track", is_list=True),
    ] = None,
    set_: Set = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Declare the options that every job has after its own."""


def job_command(settings: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command from a function that only declares a job's own options.

    settings: the job's configuration class, as "package.module:Name". The command calls the
    verb of the same name in `nas.api`, then prints the report's text or facts.
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
        def command(
            config: Path | None, set_: list[str] | None, trust: bool, json: bool, **given: Any
        ) -> None:
            flags = {keys[name].name: _value(keys[name], value) for name, value in given.items()}
            with trusting(trust), named_by(config):
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
    if key.is_list and value is not None:
        given = [value] if isinstance(value, str) else value
        return tuple(part.strip() for text in given for part in text.split(",")) or None
    return value
