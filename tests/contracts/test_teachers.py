"""A named model of each family keeps the contract of a teacher."""

import numpy as np
import pytest
import torch
from torch import nn

from nas.core.registry import load_task, resolve
from nas.tasks.classification import Classification, Examples
from nas.testing import check_teacher
from search_spaces.space import DataShape

DIGITS = load_task("digits", {})


def drawn(shape: DataShape, *size: int) -> Classification:
    """A classification of 8 random inputs."""
    inputs = torch.randint(256, (8, *size), generator=torch.Generator().manual_seed(0)).numpy()
    dtype = "uint8" if shape.kind == "images" else "float32"
    examples = Examples(inputs.astype(dtype), np.arange(8) % shape.outputs)
    scaled = ((128.0,) * shape.inputs, (60.0,) * shape.inputs) if shape.kind == "images" else ()
    return Classification("drawn", shape, examples, examples, examples, 8, *scaled)


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "vgg11"])
def test_a_model_of_images_keeps_the_contract(name: str) -> None:
    shape = DataShape("images", 3, 4, every_step=False, height=32, width=32)
    check_teacher(resolve("models", name), drawn(shape, 3, 32, 32))


@pytest.mark.parametrize("name", ["lstm-classifier", "gru-classifier"])
def test_a_model_of_sequences_keeps_the_contract(name: str) -> None:
    shape = DataShape("features", 4, 3, every_step=False)
    check_teacher(resolve("models", name), drawn(shape, 9, 4))


def convolutions(classes: int = 10, channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


def test_what_is_not_broken_passes() -> None:
    check_teacher(convolutions, DIGITS)


def of_a_width(classes: int, channels: int, width: int) -> nn.Module:
    return convolutions(classes, 1)


def nothing_to_learn(classes: int, channels: int) -> nn.Module:
    return nn.Flatten()


def ten_too_many(classes: int, channels: int) -> nn.Module:
    return convolutions(classes + 10, channels)


def of_three_channels(classes: int, channels: int) -> nn.Module:
    return convolutions(classes, 3)


def never_the_same(classes: int, channels: int) -> nn.Module:
    network = convolutions(classes, channels)
    torch.nn.init.normal_(network[0].weight, generator=torch.Generator().manual_seed(torch.seed()))  # type: ignore
    return network


class DropsAlways(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return nn.functional.dropout(self.network(x), 0.5, training=True)


def drops_always(classes: int, channels: int) -> nn.Module:
    return DropsAlways(convolutions(classes, channels))


def one_layer(classes: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))


BROKEN = [
    (of_a_width, "needs width, but only classes and channels are passed"),
    (nothing_to_learn, "makes a Flatten: return an nn.Module with weights"),
    (ten_too_many, r"the network returns \(64, 20\): return logits \(64, 10\)"),
    (of_three_channels, "raises RuntimeError: .* return one tensor of logits"),
    (never_the_same, "the same torch.manual_seed gives other weights"),
    (drops_always, "answers differently each time"),
    (one_layer, "nothing of the network can be removed or narrowed"),
]


@pytest.mark.parametrize(
    ("make", "words"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_broken_is_caught(make, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_teacher(make, DIGITS)
