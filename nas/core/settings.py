"""Settings: defaults, overridden by the TOML file, then by --set, then by flags."""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nas.core.errors import BadInput
from nas.core.files import read_text, reason_of
from nas.core.masking import remember_secrets
from nas.core.registry import reference_to
from nas.core.trust import choose


class Section(BaseModel):
    """A part of a configuration that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def check(self) -> None:
        """Raise `BadInput` for a name or a file that does not exist.

        `read_config` calls it, so a misspelt name is refused at once. It must not import torch
        or anything else that is slow.
        """


class Named(Section):
    """A name and the options that go with it."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, data: Any) -> Any:
        data = reference_to(data, "the setting")
        return {"name": data} if isinstance(data, str) else data

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Size(Section):
    """Sizes and regularisation of a model: see `search_spaces.space.ModelSize`."""

    embedding: int = Field(default=64, ge=1, description="features of an embedded token or input")
    hidden: int = Field(default=96, ge=1, description="units of a recurrent layer")
    layers: int = Field(default=2, ge=1, description="recurrent layers, one upon the other")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share dropped from the output")
    hidden_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share dropped between layers"
    )
    input_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share dropped from the embedded input"
    )
    embedding_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of whole words dropped from the embedding"
    )
    weight_drop: float = Field(
        default=0.0, ge=0, lt=1, description="share dropped from the recurrent weights"
    )
    activation_penalty: float = Field(
        default=0.0, ge=0, description="factor of the penalty on large outputs (AR)"
    )
    slowness_penalty: float = Field(
        default=0.0, ge=0, description="factor of the penalty on outputs that change quickly (TAR)"
    )
    frozen_recurrent: bool = Field(
        default=False, description="whether recurrent weights keep their initial values"
    )


class Execution(Section):
    """Where candidates are evaluated. These settings do not affect a run's identity."""

    executor: Literal["ray", "serial"] = "ray"
    kernels: Literal["auto", "reference", "cpu", "gpu"] = "auto"
    workers: int | None = Field(default=None, ge=1, le=10_000)
    ray_address: str | None = None
    gpus_per_survivor: float = Field(default=0.0, ge=0, le=1024)
    batch: int = Field(default=4, ge=1, description="candidates screened by one call")
    deterministic: bool = False
    grace: float = Field(
        default=60.0, ge=0, le=86_400, description="seconds for running calls after a signal"
    )
    isolate: bool = Field(default=False, description="serial: evaluate in a child process")
    time_limit: float | None = Field(
        default=None, gt=0, description="seconds for one candidate's screening or rung"
    )

    @property
    def in_this_process(self) -> bool:
        """Whether candidates are evaluated in the driver's process."""
        return self.executor == "serial" and not self.isolate and self.time_limit is None


LARGEST = 2**53  # that JSON's readers keep exactly
NEVER_EMPTY = ("run", "storage", "task.data", "weights", "policy", "items", "cache")

Config = TypeVar("Config", bound=Section)


class RunSettings(Section):
    """The settings of every job that keeps a run folder.

    run: the folder. storage: a database URL; None for a journal in the folder. A run keeps only
        its scheme, because it may hold a password. track: the trackers that receive the results,
        besides TensorBoard.
    """

    execution: Execution = Execution()
    seed: int = Field(default=0, ge=0)
    run: Path = Path("runs/run")
    storage: str | None = None
    track: tuple[str, ...] = ()

    @field_validator("storage")
    @classmethod
    def _remember_secrets(cls, url: str | None) -> str | None:
        if url is not None:
            remember_secrets(url)
        return url

    def identity(self) -> dict[str, Any]:
        """Return the settings that must stay the same for a run to continue, by dotted name."""
        return flat(self.model_dump(mode="json", exclude={"run", "execution", "storage", "track"}))


def read_config(
    kind: type[Config], file: Path | None, settings: Sequence[str], flags: Mapping[str, Any]
) -> Config:
    """Return the configuration that a command line asks for, and note the components it names.

    settings: `a.b=value` in TOML; a value that is not TOML is taken as a string.
    flags: values by dotted name; None leaves a setting unchanged.
    Raises `BadInput` naming the key.
    """
    data = read_toml(file) if file else {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f'--set {setting}: write it as key=value, as in "training.steps=300"')
        value = _toml_value(text.strip())
        choose(_references(value))
        _put(data, key.strip(), value)
    for key, value in flags.items():
        if value is not None:
            choose(_references(value))
            _put(data, key, value)
    for key, field in kind.model_fields.items():
        if isinstance(field.default, Named) and isinstance(data.get(key), dict):
            data[key].setdefault("name", field.default.name)  # these are options of the default
    where = str(file) if file else "the settings"
    _check_values(data, where)
    try:
        config = kind.model_validate(data)
    except ValidationError as error:
        raise BadInput(_first_problem(kind, error, where)) from None
    config.check()
    return config


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; raises `BadInput` if it is missing or not TOML."""
    text = read_text(path, "pass an existing TOML file, or none")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError:
        raise BadInput(f"{path} cannot be read as TOML: it is nested too deeply") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise BadInput(f"{path} cannot be read as TOML: {reason_of(error)}") from None


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _check_values(data: Mapping[str, Any], where: str) -> None:
    """Raise `BadInput` for values that no setting can have."""
    for key, value in flat(data).items():
        for part in value if isinstance(value, list | tuple) else (value,):
            wrong = None
            if isinstance(part, int) and abs(part) > LARGEST:
                wrong = f"is larger than {LARGEST}"
            elif isinstance(part, float) and not math.isfinite(part):
                wrong = "is not a finite number"
            elif isinstance(part, str) and "\0" in part:
                wrong = "holds a null character"
            elif isinstance(part, str) and part == "" and key in NEVER_EMPTY:
                wrong = "is empty"
            if wrong:
                raise BadInput(f"{where}: {key} {wrong}: give another value, or leave it out")


def _references(value: Any) -> Iterator[str]:
    """Yield every text in a setting that may name a component; options follow a comma."""
    if isinstance(value, str):
        yield value.partition(",")[0]
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _references(part)


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; a string in place of a section becomes the section's name."""
    *sections, last = key.split(".")
    for section in sections:
        inner = data.setdefault(section, {})
        if not isinstance(inner, dict):
            inner = data[section] = {"name": inner}
        data = inner
    data[last] = value


def _first_problem(kind: type[Section], error: ValidationError, where: str) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"unknown key; choose from {', '.join(_keys_beside(kind, problem['loc']))}"
    if problem["type"] in ("bool_parsing", "bool_type"):
        message = "must be true or false"
    given = "" if problem["type"] == "extra_forbidden" or not key else f", not {problem['input']!r}"
    return f"{where}: {key + ': ' if key else ''}{message}{given}"


def _keys_beside(kind: type[Section], location: Sequence[str | int]) -> list[str]:
    section: Any = kind
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        section, *_ = get_args(annotation) or (annotation,)  # the section of an optional one
    return sorted(section.model_fields)


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {prefix: data}
    flattened: dict[str, Any] = {}
    for key, value in data.items():
        flattened |= flat(value, f"{prefix}.{key}" if prefix else key)
    return flattened
