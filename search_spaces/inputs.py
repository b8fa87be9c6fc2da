"""What a network reads and returns: a tensor, a tuple of tensors, or a dictionary of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def call(network: nn.Module, inputs: Any) -> Any:
    """Return what the network returns: `network(x)`, `network(*inputs)` or `network(**inputs)`."""
    if isinstance(inputs, Mapping):
        return network(**inputs)
    return network(*inputs) if isinstance(inputs, tuple | list) else network(inputs)


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """Return the value with the function applied to its tensors; all else stays as it is.

    >>> mapped(len, {"a": torch.zeros(3), "b": (torch.zeros(2), "text")})
    {'a': 3, 'b': (2, 'text')}
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {name: mapped(function, part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple(mapped(function, part) for part in value)
    return value


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in the value, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_of(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)


def answer_of(returned: Any) -> Tensor:
    """Return the tensor of what a network returned that answers the task.

    It is the tensor itself, `logits` of a dictionary or of an object that has them, and else the
    first tensor. Raises `ValueError` if there is none.

    >>> answer_of({"loss": torch.tensor(1.0), "logits": torch.tensor([2.0])})
    tensor([2.])
    >>> answer_of((torch.tensor([3.0]), None))
    tensor([3.])
    """
    if isinstance(returned, Tensor):
        return returned
    logits = returned.get("logits") if isinstance(returned, Mapping) else None
    logits = getattr(returned, "logits", None) if logits is None else logits
    if isinstance(logits, Tensor):
        return logits
    found = next(tensors_of(returned), None)
    if found is None:
        raise ValueError(
            f"the network returned a {type(returned).__name__} without a tensor: "
            "return a tensor, a tuple or a dictionary of tensors"
        )
    return found


def count(inputs: Any) -> int:
    """Return the number of examples: the length of the first tensor."""
    return len(next(tensors_of(inputs)))


def first(inputs: Any, number: int) -> Any:
    """Return the first examples: tensors that hold one entry per example are cut."""
    examples = count(inputs)
    return mapped(lambda t: t[:number] if t.dim() and len(t) == examples else t, inputs)


def repeated(inputs: Any, number: int) -> Any:
    """Return this many examples: those of the inputs, over and over."""
    examples = count(inputs)
    order = torch.arange(number) % examples
    return mapped(lambda t: t[order] if t.dim() and len(t) == examples else t, inputs)


def form_of(inputs: Any) -> Any:
    """Return the shapes and types of the inputs as JSON, from which `zeros` makes an example.

    >>> zeros(form_of((torch.ones(2, 1), torch.ones(2, dtype=torch.long))))
    (tensor([[0.],
            [0.]]), tensor([0, 0]))
    """
    if isinstance(inputs, Tensor):
        return {"shape": list(inputs.shape), "type": str(inputs.dtype).removeprefix("torch.")}
    if isinstance(inputs, Mapping):
        return {"named": {name: form_of(part) for name, part in inputs.items()}}
    if isinstance(inputs, tuple | list):
        return [form_of(part) for part in inputs]
    return {"value": inputs}


def zeros(form: Any) -> Any:
    """Return inputs of zeros of a form, see `form_of`."""
    if isinstance(form, list):
        return tuple(zeros(part) for part in form)
    if "named" in form:
        return {name: zeros(part) for name, part in form["named"].items()}
    if "value" in form:
        return form["value"]
    return torch.zeros(form["shape"], dtype=getattr(torch, form["type"]))
