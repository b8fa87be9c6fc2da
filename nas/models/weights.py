"""Reads trained weights from safetensors or PyTorch files."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from nas.core.errors import BadInput
from nas.models.checkpoints import Place, places_in


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a `.safetensors`, `.th`, `.pt`, `.pth` or `.ckpt` file into the model.

    PyTorch files are read with `weights_only=True`. The weights may lie under one of `WRAPPERS`,
    also two deep, and their names may begin with any of `PREFIXES`: what fits the model is taken.
    If a file holds a model and its moving average (EMA), the model is taken, and a warning says so.
    Counters that the model does not have, such as `n_averaged`, are ignored.
    Raises `BadInput` naming the file and the first tensor that is missing, has another shape, is
    not the model's, or holds NaN or infinity.
    """
    wanted = model.state_dict()
    places = places_in(path)
    place = max(places, key=lambda place: _matches(place, wanted))
    weights = {n: v for n, v in place.tensors.items() if n in wanted or not _is_counter(v)}
    _check_names_and_shapes(path, weights, wanted)
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name, value in weights.items():
        _check_numbers(path, name, value, name in parameters)
    _warn_of_others(path, place, places, wanted)
    model.load_state_dict(weights, strict=False)


def _matches(place: Place, wanted: Mapping[str, Tensor]) -> int:
    """Return how many of the model's tensors are there."""
    return len(wanted.keys() & place.tensors.keys())


def _is_counter(value: Tensor) -> bool:
    return value.ndim == 0 and not value.is_floating_point()


def _check_names_and_shapes(
    path: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    for name, value in wanted.items():
        if name not in weights and not name.endswith("num_batches_tracked"):
            raise BadInput(f'{path} lacks "{name}" {_shape(value)}: pass weights of the same model')
        if name in weights and weights[name].shape != value.shape:
            given = _shape(weights[name])
            raise BadInput(f'{path}: "{name}" is {given}, but the model needs {_shape(value)}')
    for name, value in weights.items():
        if name not in wanted:
            raise BadInput(f'{path}: the model has no "{name}" {_shape(value)}')


def _check_numbers(path: Path, name: str, value: Tensor, is_parameter: bool) -> None:
    """Refuse NaN everywhere, and infinity in parameters; buffers such as masks may hold it."""
    for what, where in (("NaN", value.isnan()), ("infinity", value.isinf() & is_parameter)):
        if count := int(where.sum()):
            raise BadInput(
                f"{path}: {name} holds {what} in {count} of {value.numel()} values: "
                "its training failed; pass an earlier checkpoint"
            )


def _warn_of_others(
    path: Path, taken: Place, places: Sequence[Place], wanted: Mapping[str, Tensor]
) -> None:
    """Warn of weights that a checkpoint also holds."""
    keys = {p.key: None for p in places if p.key != taken.key and _matches(p, wanted)}
    if keys:
        where, *left = (f'those under "{key}"' if key else "its own" for key in (taken.key, *keys))
        warnings.warn(
            f"{path} holds several weights: took {where}, not {', '.join(left)}", stacklevel=3
        )
    names = [name for name, value in taken.others.items() if not _is_counter(value)]
    if names:
        warnings.warn(
            f'{path}: took the {len(taken.tensors)} tensors that begin with "{taken.prefix}", '
            f'not {len(names)} others such as "{names[0]}"',
            stacklevel=3,
        )


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "scalar"
