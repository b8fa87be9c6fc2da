"""The table of rules: how each operation of torch labels its results."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from compress.structure.call import Call
from compress.structure.contractions import CONTRACTING
from compress.structure.joins import JOINING
from compress.structure.labels import Axes
from compress.structure.moves import MOVING
from compress.structure.products import MULTIPLYING
from compress.structure.recurrent import RECURRENT
from compress.structure.reshapes import RESHAPING

ELEMENTWISE = (
    *("relu", "relu6", "gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "rrelu"),
    *("sigmoid", "logsigmoid", "log_sigmoid", "hardtanh", "hardswish", "hardsigmoid", "hardshrink"),
    *("softshrink", "tanhshrink", "threshold", "softplus", "softsign", "tanh", "exp", "exp2"),
    *("expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "square", "abs", "absolute"),
    *("neg", "negative", "pos", "positive", "sign", "sgn", "sin", "cos", "tan", "asin", "acos"),
    *("atan", "arctan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv"),
    *("reciprocal", "clamp", "clip", "clamp_min", "clamp_max", "floor", "ceil", "round", "trunc"),
    *("frac", "nan_to_num", "isnan", "isfinite", "isinf", "logical_not", "bitwise_not", "invert"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"),
    *("feature_alpha_dropout", "native_dropout", "contiguous", "clone", "to", "float", "half"),
    *("double", "bfloat16", "long", "int", "bool", "type", "type_as", "cpu", "cuda", "detach"),
    *("data", "alias", "lgamma", "digamma", "logit", "sinc", "i0", "real", "tril", "triu"),
    *("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide"),
    *("floor_divide", "remainder", "fmod", "pow", "float_power", "maximum", "minimum", "fmax"),
    *("fmin", "atan2", "where", "lerp", "addcmul", "addcdiv", "eq", "ne", "lt", "le", "gt", "ge"),
    *("logical_and", "logical_or", "logical_xor", "and", "or", "xor", "bitwise_and", "bitwise_or"),
    *("masked_fill", "copy", "copysign", "hypot", "xlogy", "logaddexp", "heaviside", "fill"),
    *("zero", "normal", "uniform", "bernoulli", "exponential", "cauchy", "gumbel"),
    *("broadcast_tensors", "fake_quantize_per_tensor_affine", "as_subclass", "pin_memory"),
)
REDUCTIONS = (
    *("sum", "nansum", "mean", "nanmean", "amax", "amin", "max", "min", "var", "std", "norm"),
    *("vector_norm", "var_mean", "std_mean", "logsumexp", "prod", "any", "all", "count_nonzero"),
    *("median", "argmax", "argmin", "linalg_vector_norm", "linalg_norm", "aminmax"),
)
SUMS = ("sum", "nansum", "norm", "vector_norm", "linalg_vector_norm", "linalg_norm")
AVERAGES = ("mean", "nanmean", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean")
ALONG_AN_AXIS = ("softmax", "log_softmax", "softmin", "cumsum", "cumprod", "sort", "topk")
POOLINGS = (
    *(f"{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("max", "avg", "lp")),
    *(f"adaptive_{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("avg", "max")),
    *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d")),
    *(f"upsample_{kind}" for kind in ("bilinear2d", "bicubic2d", "trilinear3d")),
    *("upsample_nearest_exact1d", "upsample_nearest_exact2d", "upsample_nearest_exact3d"),
    *("upsample_bilinear2d_aa", "upsample_bicubic2d_aa", "interpolate", "fractional_max_pool2d"),
    *("grid_sampler", "grid_sampler_2d", "grid_sample", "max_unpool2d"),
)


def elementwise(call: Call) -> Any:
    """Label elementwise results: the inputs are broadcast against each other."""
    inputs = [t for t in call.tensors if t.dim()]
    results = []
    for result in call.results:
        if call.name == "type_as":
            inputs = inputs[:1]
        results.append(broadcast(call, inputs, result))
    if inputs and all(t in call.table.uniform for t in inputs):
        call.table.uniform[call.results[0]] = True
    else:
        call.table.uniform.pop(call.results[0], None)
    if len(call.tensors) == 1 and call.table.stack(call.tensors[0]) is not None:
        call.table.stacks[call.results[0]] = call.table.stack(call.tensors[0])
        return (None,) * call.results[0].dim()
    return results


def broadcast(call: Call, inputs: list[Tensor], result: Tensor) -> Axes:
    """Unite the axes of inputs that are broadcast against each other."""
    found: list[np.ndarray | None] = []
    if len(inputs) == 1 and call.table.stack(inputs[0]) is not None:
        return (None,) * result.dim()
    given = [call.axes(t) for t in inputs]
    for back in range(result.dim(), 0, -1):
        mine = [
            axes[-back]
            for t, axes in zip(inputs, given, strict=True)
            if t.dim() >= back and t.shape[-back] > 1
        ]
        labels = mine[0] if mine else None
        for other in mine[1:]:
            labels = call.unite(labels, other)
        found.append(labels)
    return tuple(found)


def reduced(call: Call) -> Any:
    """Label the result of a reduction over some axes."""
    source = call.args[0] if call.args else call.tensors[0]
    if len(call.tensors) > 1 and call.name in ("max", "min"):
        return elementwise(call)
    axes, result = call.axes(source), call.results[0]
    place = 2 if call.name in ("norm", "vector_norm", "linalg_vector_norm", "linalg_norm") else 1
    named = call.kwargs.get("dim", call.kwargs.get("axis"))
    given = named if named is not None else call.get(place, "dim")
    if given is None or isinstance(given, bool) or given == []:
        gone = set(range(source.dim()))
    else:
        given = (given,) if isinstance(given, int) else given
        gone = {int(axis) % source.dim() for axis in given}
    for axis in gone:
        _lost(call, axes[axis])
    kept = result.dim() == source.dim()
    left = [None if i in gone else axes[i] for i in range(source.dim()) if kept or i not in gone]
    return [tuple(left) for _ in call.results]


def _lost(call: Call, labels: np.ndarray | None) -> None:
    if labels is None:
        return
    if call.name in SUMS:
        call.trace.multiplied.append(labels)
    elif call.name in AVERAGES:
        call.trace.averaged.append(labels)
    else:
        call.fix_axis(labels)


def along_an_axis(call: Call) -> Any:
    """Label a result in which each place of one axis depends on all its places."""
    source = call.args[0]
    place = 2 if call.name == "topk" else 1
    axis = call.get(place, "dim", -1)
    axis = -1 if axis is None else int(axis)
    axes = list(call.axes(source))
    call.fix_axis(axes[axis])
    if call.name == "topk":
        axes[axis] = None
    return [tuple(axes) for _ in call.results]


def pooled(call: Call) -> Any:
    """Label `[B, C, …]` after its spatial axes were pooled or resized."""
    source = call.args[0]
    spatial = call.results[0].dim() - (1 if call.results[0].dim() < source.dim() else 0)
    kept = source.dim() - (int(_digits(call.name)) if _digits(call.name) else spatial - 2)
    axes = call.axes(source)
    for labels in axes[kept:]:
        call.fix_axis(labels)
    for other in call.tensors:
        if other is not source:
            call.fix(other)
    return [(*axes[:kept], *(None,) * (r.dim() - kept)) for r in call.results]


def _digits(name: str) -> str:
    found = [c for c, after in itertools.pairwise(name) if c.isdigit() and after == "d"]
    return found[-1] if found else ""


def batch_norm(call: Call) -> Axes:
    """Label `[B, C, …]` normalised per channel."""
    axes = list(call.axes(call.args[0]))
    for weight in call.tensors:
        if weight is not call.args[0] and weight.dim() == 1:
            axes[1] = call.unite(axes[1], call.axes(weight)[0])
    for labels in (axes[0], *axes[2:]):  # a weight that is normalised over what it reads
        call.fix_axis(labels)
    return tuple(axes)


def layer_norm(call: Call) -> Axes:
    """Label a tensor normalised over its last axes, whose statistics change with the channels."""
    source, shape = call.args[0], call.get(1, "normalized_shape")
    axes = list(call.axes(source))
    count = len(shape)
    for weight in (call.get(2, "weight"), call.get(3, "bias")):
        if isinstance(weight, Tensor):
            for back in range(1, count + 1):
                if source.shape[-back] > 1:
                    axes[-back] = call.unite(axes[-back], call.axes(weight)[-back])
    for number, labels in zip(shape, axes[-count:], strict=True):
        call.size(number, labels)
        if labels is not None:
            call.trace.averaged.append(labels)
    return tuple(axes)


def group_norm(call: Call) -> Axes:
    """Label `[B, C, …]` normalised over groups of channels; all groups keep equally many."""
    source, groups = call.args[0], call.get(1, "num_groups")
    axes = list(call.axes(source))
    for weight in (call.get(2, "weight"), call.get(3, "bias")):
        if isinstance(weight, Tensor):
            axes[1] = call.unite(axes[1], call.axes(weight)[0])
    if axes[1] is not None:
        if len(axes[1]) == groups:
            call.size(groups, axes[1])
        else:
            call.labels.tie([*axes[1].reshape(int(groups), -1)])
            call.trace.averaged.append(axes[1])
    for labels in axes[2:]:
        call.fix_axis(labels)
    return tuple(axes)


def prelu(call: Call) -> Axes:
    """Label `[B, C, …]` after a PReLU with a slope for each channel, or one for all."""
    source, weight = call.args[0], call.args[1]
    axes = list(call.axes(source))
    if weight.numel() > 1:
        axes[1] = call.unite(axes[1], call.axes(weight)[0])
    return tuple(axes)


def gated(call: Call) -> Axes:
    """Label a GLU: one half of an axis times the sigmoid of the other."""
    axes = list(call.axes(call.args[0]))
    axis = int(call.get(1, "dim", -1)) % len(axes)
    labels = axes[axis]
    if labels is not None:
        first, second = labels.reshape(2, -1)
        call.labels.unite(first, second)
        axes[axis] = first
    return tuple(axes)


def weight_norm(call: Call) -> Axes:
    """Label a weight computed from its direction and its length along one axis."""
    direction, length, axis = call.args[0], call.args[1], call.get(2, "dim", 0)
    axes = list(call.axes(direction))
    for place, labels in enumerate(call.axes(length)):
        if length.shape[place] > 1 and place == int(axis) % direction.dim():
            axes[place] = call.unite(axes[place], labels)
    return tuple(axes)


def normalised(call: Call) -> Axes:
    """Label a tensor divided by its norm along an axis."""
    axes = call.axes(call.args[0])
    labels = axes[int(call.get(2, "dim", 1))]
    if labels is not None:
        call.trace.multiplied.append(labels)
    return axes


def compared(call: Call) -> Axes:
    """Label the cosine or distance of two tensors along an axis, which disappears."""
    one, other = call.args[0], call.args[1]
    axis = int(call.get(2, "dim", 1)) if call.name == "cosine_similarity" else -1
    shape = np.broadcast_shapes(tuple(one.shape), tuple(other.shape))
    axes = list(broadcast(call, [one, other], one.new_empty(shape)))
    labels = axes.pop(axis)
    if labels is not None:
        call.trace.multiplied.append(labels)
    return tuple(axes)


def gathered(call: Call) -> Axes:
    """Label places gathered along one axis by an index tensor."""
    source, axis = call.args[0], int(call.get(1, "dim"))
    index = call.get(2, "index")
    axes, theirs = list(call.axes(source)), call.axes(index)
    axis %= source.dim()
    call.fix_axis(axes[axis])
    call.fix_axis(theirs[axis])
    for place in range(source.dim()):
        if place != axis and index.shape[place] > 1:
            same = source.shape[place] == index.shape[place]
            axes[place] = call.unite(axes[place], theirs[place]) if same else None
    axes[axis] = None
    return tuple(axes)


RULES: dict[str, Callable] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCTIONS, reduced),
    **dict.fromkeys(ALONG_AN_AXIS, along_an_axis),
    **dict.fromkeys(POOLINGS, pooled),
    **dict.fromkeys(("batch_norm", "instance_norm"), batch_norm),
    **dict.fromkeys(("layer_norm", "rms_norm"), layer_norm),
    "group_norm": group_norm,
    "prelu": prelu,
    "glu": gated,
    "weight_norm": weight_norm,
    "normalize": normalised,
    **dict.fromkeys(("cosine_similarity", "pairwise_distance"), compared),
    "gather": gathered,
    **MOVING,
    **RESHAPING,
    **JOINING,
    **CONTRACTING,
    **MULTIPLYING,
    **RECURRENT,
}
