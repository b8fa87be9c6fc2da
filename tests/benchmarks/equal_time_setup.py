"""The teacher, the images and the fine-tuning of `equal_time.py`: the same ones for all methods."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.learning.distillation import distillation_loss
from compress.timing import milliseconds
from nas.models.cifar_resnet import resnet56
from nas.models.weights import load_weights
from nas.tasks.loader_task import LoaderTask
from tests.benchmarks.cifar_networks import BATCH, answered, augmented, images

STEPS = 60  # of fine-tuning
RATE = 0.02
TRAINED = 9_000  # images of the first file; its other 1,000 select


def teacher() -> nn.Module:
    """Return ResNet-56, its two shortcuts without parameters written as 1×1 convolutions.

    The function is the same; Torch-Pruning cannot follow a choice of channels by index.
    """
    model = resnet56()
    load_weights(model, Path(os.environ["TEACHER"]))
    for stage in (model.layer2, model.layer3):
        placed = stage[0].shortcut
        width = len(placed.places)
        conv = nn.Conv2d(width // 2, width, 1, placed.stride, bias=False)
        nn.init.zeros_(conv.weight)
        for channel, place in enumerate(placed.places):
            if place >= 0:
                conv.weight.data[channel, place] = 1
        stage[0].shortcut = conv
    return model.eval()


def training_images() -> tuple[Tensor, Tensor]:
    pixels, classes = images("train_0")
    return pixels[:TRAINED], classes[:TRAINED]


def validation_images() -> tuple[Tensor, Tensor]:
    pixels, classes = images("train_0")
    return pixels[TRAINED:], classes[TRAINED:]


def examples(n: int) -> Tensor:
    return images("test1k")[0][:n]


def task() -> LoaderTask:
    """Return what `nas compress` sees: batches to score students with, and the validation."""
    parts = (training_images(), validation_images(), images("test1k"))
    batches = [list(zip(x.split(BATCH), y.split(BATCH), strict=True)) for x, y in parts]
    return LoaderTask("classification", *batches)


@cache
def views() -> tuple[Tensor, Tensor, Tensor]:
    """Return images flipped and moved, their classes, and the teacher's logits for them."""
    pixels, classes = training_images()
    generator = torch.Generator().manual_seed(0)
    seen = augmented(pixels, 32, generator)
    model = teacher().to(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = torch.cat([answered(model, part) for part in seen.split(250)])
    return seen, classes, logits


def fit(model: nn.Module, steps: int, seed: int = 0) -> None:
    """Fine-tune a network in place: the classes, and the teacher's softened answers."""
    seen, classes, logits = views()
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.2)
    for chosen in _orders(len(seen), steps, seed):
        answers = answered(model, seen[chosen])
        loss = functional.cross_entropy(answers, classes[chosen])
        loss = loss + distillation_loss(answers, logits[chosen], "kl", 4.0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        rate.step()
    model.eval().to(memory_format=torch.contiguous_format)


def _orders(n: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat(
        [torch.randperm(n, generator=generator) for _ in range(-(-steps * BATCH // n))]
    )
    return iter(order[: steps * BATCH].view(steps, BATCH))


def share_of_time(model: nn.Module, batch: int = 16) -> float:
    """Return the milliseconds of a network as a share of the teacher's, in turns with it."""
    slow, fast = milliseconds((teacher(), model.eval()), examples(batch), repeats=15)
    return fast / slow
