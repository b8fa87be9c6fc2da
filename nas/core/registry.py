"""Looks up spaces, controllers, scores, tasks and models by name."""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.core.errors import BadInput
from nas.core.files import DAMAGE, reason_of
from nas.core.trust import check_trusted

if TYPE_CHECKING:
    import numpy as np
    from optuna.samplers import BaseSampler

    from nas.core.task import Task

Kind = Literal["spaces", "controllers", "scores", "tasks", "models"]

BUILT_IN: dict[Kind, dict[str, str]] = {
    "spaces": {
        "rnn-cell": "search_spaces.rnn_cell.space:RnnCellSpace",
        "random-graph": "search_spaces.random_graph.space:RandomGraphSpace",
        "transformer": "search_spaces.transformer.space:TransformerSpace",
        "sequence-mixer": "search_spaces.sequence_mixer.space:SequenceMixerSpace",
        "layer-chain": "nas.jobs.adapt.chain_space:load_layer_chain",
    },
    "controllers": {
        "random": "nas.loop.samplers:random",
        "tpe": "nas.loop.samplers:tpe",
        "nsga-ii": "nas.loop.samplers:nsga_ii",
        "evolution": "nas.loop.samplers:evolution",
        "local-search": "nas.loop.samplers:local_search",
        "mcts": "nas.loop.samplers:mcts",
        "policy-gradient": "nas.loop.samplers:policy_gradient",
        "predictor": "nas.loop.samplers:predictor",
        "n2n": "nas.loop.samplers:n2n",
    },
    "scores": {
        "gradient-norm": "nas.scores.gradient_norm:GradientNorm",
        "fading-memory": "nas.scores.fading_memory:FadingMemory",
        "predicted-loss": "nas.scores.predicted_loss:PredictedLoss",
        "hidden-covariance": "nas.scores.hidden_covariance:HiddenCovariance",
        "jacobian-covariance": "nas.scores.jacobian:JacobianCovariance",
        "jacobian-cosine": "nas.scores.jacobian:JacobianCosine",
        "noised-jacobian-covariance": "nas.scores.jacobian:NoisedJacobianCovariance",
        "noised-jacobian-cosine": "nas.scores.jacobian:NoisedJacobianCosine",
        "time-constants": "nas.scores.time_constants:TimeConstants",
        "activation-distance": "nas.scores.activation_distance:ActivationDistance",
        "hidden-saliency": "nas.scores.hidden_saliency:HiddenSaliency",
        "synaptic-saliency": "nas.scores.saliency:SynapticSaliency",
        "snip": "nas.scores.saliency:Snip",
        "grasp": "nas.scores.saliency:Grasp",
        "fisher": "nas.scores.fisher:Fisher",
        "synflow": "nas.scores.synaptic_flow:SynapticFlow",
        "head-confidence": "nas.scores.encoder:HeadConfidence",
        "softmax-confidence": "nas.scores.encoder:SoftmaxConfidence",
        "head-importance": "nas.scores.encoder:HeadImportance",
        "synaptic-diversity": "nas.scores.encoder:SynapticDiversity",
        "encoder-activation-distance": "nas.scores.encoder:EncoderActivationDistance",
        "layers": "nas.scores.encoder:LayerCount",
        "encoder-size": "nas.scores.encoder:EncoderSize",
        "latency": "nas.scores.latency:Latency",
        "parameters": "nas.scores.size:ParameterCount",
        "flops": "nas.scores.size:FlopCount",
    },
    "tasks": {
        "python-text": "nas.tasks.python_text:load_python_text",
        "language-model": "nas.tasks.text:load_language_model",
        "masked-language-model": "nas.tasks.masked_text:load_masked_language_model",
        "reber": "nas.tasks.reber:load_reber",
        "n-parity": "nas.tasks.n_parity:load_n_parity",
        "digits": "nas.tasks.images:load_digits",
        "images": "nas.tasks.images:load_images",
        "sequences": "nas.tasks.sequences:load_sequences",
        "arithmetic": "nas.tasks.arithmetic:load_arithmetic",
        "state-tracking": "nas.tasks.state_tracking:load_state_tracking",
        "recall": "nas.tasks.recall:load_recall",
        "mad": "nas.tasks.mad:load_mad",
        "delayed-match": "nas.tasks.delayed_match:load_delayed_match",
        "copying": "nas.tasks.copying:load_copying",
        "selective-copying": "nas.tasks.copying:load_selective_copying",
        "state-capacity": "nas.tasks.state_capacity:load_state_capacity",
    },
    "models": {
        "resnet8": "nas.models.cifar_resnet:resnet8",
        "resnet14": "nas.models.cifar_resnet:resnet14",
        "resnet20": "nas.models.cifar_resnet:resnet20",
        "resnet32": "nas.models.cifar_resnet:resnet32",
        "resnet44": "nas.models.cifar_resnet:resnet44",
        "resnet56": "nas.models.cifar_resnet:resnet56",
        "resnet110": "nas.models.cifar_resnet:resnet110",
        "resnet18": "nas.models.resnet:resnet18",
        "resnet34": "nas.models.resnet:resnet34",
        "vgg11": "nas.models.vgg:vgg11",
        "vgg13": "nas.models.vgg:vgg13",
        "vgg16": "nas.models.vgg:vgg16",
        "vgg19": "nas.models.vgg:vgg19",
        "lstm-classifier": "nas.models.recurrent_classifier:lstm_classifier",
        "gru-classifier": "nas.models.recurrent_classifier:gru_classifier",
        "llama8": "nas.models.decoder:llama8",
    },
}

# components that files may name: they only build networks, read data and propose
OURS = {"nas.models.space:NamedModels", *(r for part in BUILT_IN.values() for r in part.values())}


def needed(kind: Kind) -> tuple[str, ...]:
    """Return the attributes that an object of a kind must have: its protocol's members."""
    from nas.core.score import Score
    from nas.core.task import Task  # these import torch
    from search_spaces.space import HOOKS, SearchSpace

    if kind == "spaces":  # the hooks have defaults
        return tuple(part for part in _members(SearchSpace) if part not in HOOKS)
    if kind == "controllers":
        return ()
    if kind == "models":  # the members of `nn.Module` that we use
        return ("forward", "state_dict", "named_modules")
    return _members(Score if kind == "scores" else Task)


def _members(protocol: type) -> tuple[str, ...]:
    """Return the public members of a protocol, in order."""
    named = [*protocol.__annotations__, *vars(protocol)]
    return tuple(name for name in named if name == "__call__" or not name.startswith("_"))


def available(kind: Kind) -> dict[str, str]:
    """Return name → `module:attribute` of everything that is built in or registered.

    Installed packages register under an entry-point group such as `nas.spaces`.
    """
    registered = {entry.name: entry.value for entry in entry_points(group=f"nas.{kind}")}
    return {**registered, **BUILT_IN[kind]}


def reference_of(kind: Kind, name: str) -> str:
    """Return the `module:attribute` of a name, without importing the module.

    Raises `BadInput` for a name that is not available.
    """
    reference = name if ":" in name else available(kind).get(name)
    if reference is None:
        known = ", ".join(available(kind))
        raise BadInput(
            f'unknown {kind.removesuffix("s")} "{name}"; available: {known}; '
            "or pass your own as package.module:name"
        )
    return reference


def check_score_name(text: str) -> None:
    """Raise `BadInput` for an unknown score; `text` may have options after commas."""
    reference_of("scores", text.partition(",")[0])


def resolve(kind: Kind, name: str) -> Any:
    """Import the object that a name or a `package.module:attribute` stands for.

    Raises `BadInput` if it does not exist.
    """
    return imported(f'{kind.removesuffix("s")} "{name}"', reference_of(kind, name))


def imported(what: str, reference: str) -> Any:
    """Return what a `package.module:attribute` names; modules may lie in the current folder.

    what: names the thing in the message of `BadInput`, which is raised if it does not exist.
    """
    module_name, _, attribute = reference.partition(":")
    if not all(name.isidentifier() for name in (*module_name.split("."), attribute)):
        raise BadInput(f"{what} is not a component: write it as package.module:name")
    if reference not in OURS:
        check_trusted(what, reference)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # the user's module is in the current folder
    try:
        module = importlib.import_module(module_name)
    except BadInput:
        raise
    except Exception as error:  # the module is the user's: it may fail in any way
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise BadInput(f"{what} cannot be imported: {kind}{reason_of(error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise BadInput(f'{what}: module {module_name} has no "{attribute}"') from None


def reference_to(thing: Any, what: str) -> Any:
    """Return `package.module:name` for a function or a class, and anything else as it is.

    Raises `BadInput` for one that workers could not import, and for a network.
    """
    if hasattr(thing, "state_dict") and not isinstance(thing, type):
        raise BadInput(
            f"{what} is a network ({type(thing).__name__}): write a function that returns it, and "
            'pass the function or its name, "package.module:function"'
        )
    if not callable(thing) or not hasattr(thing, "__qualname__"):
        return thing
    if thing.__module__ == "__main__" or not thing.__qualname__.isidentifier():
        raise BadInput(
            f"{what} is {thing.__qualname__} of {thing.__module__}, which workers cannot import: "
            'put it at the top of a module and pass "package.module:function"'
        )
    return f"{thing.__module__}:{thing.__qualname__}"


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Return the named object, checked; a class or function is called with the options first.

    Raises `BadInput` for an unknown option, or if the object lacks part of its protocol.
    """
    thing = resolve(kind, name)
    singular = kind.removesuffix("s")
    parts = needed(kind)
    lacks = [part for part in parts if not hasattr(thing, part)]
    if isinstance(thing, type) or (lacks and callable(thing)):
        thing = _called(f'{singular} "{name}"', thing, options or {})
        lacks = [part for part in parts if not hasattr(thing, part)]
    elif options:
        raise BadInput(f'{singular} "{name}" takes no options: remove {", ".join(options)}')
    if lacks:
        raise BadInput(
            f'{singular} "{name}" lacks {", ".join(lacks)}: a {singular} needs {", ".join(parts)}'
        )
    return _completed(thing) if kind == "spaces" else thing


def _completed(space: Any) -> Any:
    from search_spaces.space import completed  # imports torch

    return completed(space)


def load_task(name: str, options: Mapping[str, Any]) -> "Task":
    """Return the named task; raises `BadInput` if its data cannot be used."""
    options = dict(options)
    if "data" in options:
        options["data"] = Path(options["data"])
    return create("tasks", name, options)


def create_score(text: str) -> Any:
    """Return a score by name and options, such as `hidden-covariance,between=sequences`.

    Raises `BadInput` like `create`.
    """
    name, *settings = text.split(",")
    pairs = [setting.partition("=") for setting in settings]
    for setting, (key, equals, _) in zip(settings, pairs, strict=True):
        if not (key and equals):
            raise BadInput(f'score "{text}": write "{setting}" as option=value')
    return create("scores", name, {key: value for key, _, value in pairs})


def create_controller(
    name: str, rng: "np.random.Generator", options: Mapping[str, Any]
) -> "BaseSampler":
    """Return the Optuna sampler that the named function makes from a generator and options.

    Raises `BadInput` like `create`, and if the result is not a sampler.
    """
    from optuna.samplers import BaseSampler  # slow; listing and checking names does not need it

    sampler = _called(f'controller "{name}"', resolve("controllers", name), options, rng)
    if not isinstance(sampler, BaseSampler):
        made = type(sampler).__name__
        raise BadInput(f'controller "{name}" must return an Optuna sampler, not {made}')
    return sampler


def _called(what: str, function: Any, options: Mapping[str, Any], *arguments: Any) -> Any:
    parameters = list(inspect.signature(function).parameters.items())[len(arguments) :]
    accepted = dict(parameters)
    unknown = [name for name in options if name not in accepted]
    if unknown:
        known = ", ".join(accepted) or "none"
        raise BadInput(f"{what} has no option {unknown[0]}; options: {known}")
    missing = [
        name
        for name, parameter in accepted.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in options
    ]
    if missing:
        flag = "--data PATH" if missing[0] == "data" else f"the option {missing[0]}"
        raise BadInput(f"{what} needs {flag}")
    misfits = [text for name in options if (text := _misfit(name, accepted[name], options[name]))]
    try:
        made = function(*arguments, **options)
    except ValueError as error:  # its own message says more
        raise BadInput(f"{what}: {error}") from None
    except DAMAGE as error:
        if not misfits:
            raise
        raise BadInput(f"{what}: {misfits[0]}") from error
    if misfits:
        raise BadInput(f"{what}: {misfits[0]}")
    return made


def _misfit(name: str, parameter: inspect.Parameter, value: Any) -> str | None:
    """Return why an option's value is not of its parameter's type; None if it is."""
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    if parameter.annotation is parameter.empty or isinstance(parameter.annotation, str):
        return None
    try:
        TypeAdapter(parameter.annotation).validate_python(value)
    except (PydanticUserError, NameError, RecursionError):  # a type that pydantic does not know
        return None
    except ValidationError as error:
        return f"{name}: {error.errors()[0]['msg']}, not {value!r}"
    return None
