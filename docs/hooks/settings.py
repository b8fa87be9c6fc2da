"""Writes the page of settings from the configuration classes of the four jobs."""

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs.hooks.command_line import commands
from docs.hooks.field_notes import notes
from nas.cli.job_command import Key
from nas.core.settings import Named, RunSettings, Section, Size
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.compress.config import CompressConfig
from nas.jobs.search.config import SearchConfig
from nas.jobs.sweep.config import SweepConfig
from nas.training import TrainingSettings

CONFIGS = {
    "nas search": SearchConfig,
    "nas compress": CompressConfig,
    "nas sweep": SweepConfig,
    "nas adapt": AdaptConfig,
}
SIZES = {
    "model": "The models that train.",
    "screen": "The models that training-free scores judge.",
    "size": "A recurrent network that is built by name.",
}
HEADER = """\
# Settings

A setting is given by an option, by `--set NAME=VALUE`, or in a TOML file. Options win over
`--set`, and `--set` wins over the file:

```toml
candidates = 64

[training]
steps = 400
```

is the same as `--candidates 64 --set training.steps=400`. A setting that names a space, a
controller or a task takes options of that component beside its name: `--set task.strings=5000`, or
a table `[task]` with the keys `name` and `strings`.

This page is generated from the configuration classes. An unknown key is refused with the list of
known keys.
"""


def page() -> str:
    """Return the page as Markdown."""
    all_commands = dict(commands())
    options = {name: _options(all_commands[name]) for name in CONFIGS}
    shared = {"run"}
    parts = [HEADER, _table("Every job", RunSettings, shared, options["nas search"])]
    for name, config in CONFIGS.items():
        parts.append(_table(name, config, {"execution", "seed", "storage"}, options[name]))
    parts.append(_table("Size of a model", Size, set(), {}))
    return "\n".join(parts)


def _options(command: Any) -> dict[str, tuple[str, str]]:
    """Return the option and the help of each setting that an option of the command sets."""
    hints = inspect.get_annotations(command.callback)
    found = {}
    for parameter in command.params:
        marks = getattr(hints.get(parameter.name), "__metadata__", ())
        for key in (mark for mark in marks if isinstance(mark, Key)):
            found[key.name] = (f"`{parameter.opts[0]}`", parameter.help)
    return found


def keys(config: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings."""
    for name, field in config.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from keys(inner, f"{prefix}{name}.")


def _table(
    title: str,
    config: type[BaseModel],
    left_out: set[str],
    options: Mapping[str, tuple[str, str]],
) -> str:
    rows = "\n".join(_rows(config, "", left_out, options))
    head = "| setting | option | type | default | meaning |\n|---|---|---|---|---|"
    return f"## {title}\n\n{head}\n{rows}\n"


def _rows(
    config: type[BaseModel],
    prefix: str,
    left_out: set[str],
    options: Mapping[str, tuple[str, str]],
) -> Iterator[str]:
    meanings = _meanings(config)
    for name, field in config.model_fields.items():
        if name in left_out:
            continue
        inner = _section(field.annotation)
        if inner is Size:
            yield _size_row(name, field.default)
            continue
        if inner is not None:
            yield from _rows(inner, f"{prefix}{name}.", set(), options)
            continue
        key = f"{prefix}{name}.name" if field.annotation is Named else prefix + name
        option, said = options.get(key, ("", ""))
        meaning = field.description or meanings.get(name) or said
        default = "" if field.default is PydanticUndefined else _value(field.default)
        limits = _limits(field.metadata)
        kind = f"{_kind(field.annotation)}{limits}"
        yield f"| `{prefix}{name}` | {option} | {kind} | {default} | {_sentence(meaning)} |"


def _size_row(name: str, default: Size | None) -> str:
    own = default.model_dump(exclude_defaults=True) if default else {}
    own = {key: value for key, value in own.items() if value != Size.model_fields[key].default}
    shown = ", ".join(f"`{key}={value}`" for key, value in own.items())
    about = "as `model`, unless it is given" if default is None else ""
    kind = "[size](#size-of-a-model)"
    return f"| `{name}.…` | | {kind} | {shown or about} | {SIZES.get(name, '')} |"


def _meanings(config: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a class and of its relatives say about its fields."""
    related = {"Training": TrainingSettings, "Recovery": TrainingSettings}
    others = [related.get(config.__name__, config)]
    if config.__name__ == "Distilling":
        others = [TrainingSettings, config]
    found: dict[str, str] = {}
    for kind in [*others, *reversed(config.__mro__)]:
        found |= notes(inspect.getdoc(kind) or "")
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, None for a plain value or a named component."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section) and not issubclass(kind, Named):
            return kind
    return None


def _kind(annotation: Any) -> str:
    """Return a type in words.

    >>> _kind(tuple[float, ...]), _kind(int | None), _kind(Literal["a", "b"])
    ('list of number', 'whole number', '`a`, `b`')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return ", ".join(_kind(kind) for kind in arguments if kind is not type(None))
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if annotation is Named:
        return "name"
    words = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}
    return words.get(annotation.__name__, annotation.__name__.lower())


def _limits(metadata: list[Any]) -> str:
    """Return the bounds of a field, such as ", ≥ 1"."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [f"{s} {getattr(m, k):g}" for m in metadata for k, s in signs.items() if hasattr(m, k)]
    return "".join(f", {bound}" for bound in found)


def _value(default: Any) -> str:
    if default is None or default in ("", ()):
        return ""
    if isinstance(default, Named):
        return f"`{default.name}`" if default.name else ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return ", ".join(f"`{value}`" for value in default)
    return f"`{default}`"


def _sentence(text: str) -> str:
    """Return a meaning with a capital and a full stop, safe in a table."""
    if re.match(r"[a-z]+[ ,:;]", text):
        text = text[0].upper() + text[1:]
    text = re.sub(r"([|<])", r"\\\1", text)
    return text if not text or text.endswith(".") else f"{text}."
