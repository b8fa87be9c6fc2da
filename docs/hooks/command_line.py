"""Writes the page of the command line's options from the commands themselves."""

from collections.abc import Iterator
from typing import Any

import typer

from nas.cli.main import app
from nas.cli.pages import PAGES

HEADER = """\
# Command line

Every command of `nas`, with all its arguments and options. This page is generated from the
commands, so it is the same as `nas COMMAND --help`. Most options of `search`, `compress`, `sweep`
and `adapt` set one of the [settings](settings.md); `--set` reaches those that have no option.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong input,
3 target not met, 75 the run is in use, 130 and 143 interrupted: [messages](messages.md).

To let the shell complete commands and options, run `nas --install-completion` once and open a new
shell; `nas --show-completion` prints the script instead.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the full name and the command of every command, groups left out."""
    yield from _below("nas", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for part, found in (inner or {}).items():
        yield from _below(f"{name} {part}", found)


def option_names(parameter: Any) -> list[str]:
    """Return the names of an option, such as `--static` and `--no-static`."""
    return [*parameter.opts, *parameter.secondary_opts]


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([HEADER, *(_section(name, command) for name, command in commands())])


def _section(name: str, command: Any) -> str:
    shown = [p for p in command.params if not p.hidden and p.name != "help"]
    rows = "\n".join(_row(parameter) for parameter in shown)
    head = "| option | default | meaning |\n|---|---|---|"
    link = f"[{PAGES[name]}](../{PAGES[name]})"
    return f"## {name}\n\n{command.help.strip()}\n\nIn use: {link}.\n\n{head}\n{rows}\n"


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if is_argument else option_names(parameter)
    kind = "" if is_argument or parameter.is_flag else f" {_kind(parameter)}"
    shown = ", ".join(f"`{name}{kind}`" for name in names)
    variable = f" Variable: `{parameter.envvar}`." if parameter.envvar else ""
    return f"| {shown} | {_default(parameter)} | {_escaped(parameter.help or '')}{variable} |"


def _kind(parameter: Any) -> str:
    """Return the type of an option's value in capitals, such as INT or PATH."""
    kind = parameter.type_descriptor.annotation
    inner = getattr(kind, "__args__", (kind,))[0]
    return {"str": "TEXT"}.get(inner.__name__, inner.__name__.upper())


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    plain = parameter.default is None or isinstance(parameter.default, bool)
    return "" if plain else f"`{parameter.default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
