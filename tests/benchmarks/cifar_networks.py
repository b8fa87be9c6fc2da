"""ResNet-56 and MobileNetV2 on CIFAR-10: the images, the recipe and the teachers of the peers.

NAS_DATA=FOLDER python -m tests.benchmarks.cifar_networks NETWORK FILE [--seed 0]

Trains a teacher on the training images 0 to 19,999 and writes its weights to FILE. Needs the
environment of `outside_networks.py`, for timm. FOLDER/vision holds `cifar_codec.py`, three
files of 10,000 training images and one of 1,000 test images.
"""

import argparse
import importlib.util
import os
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.models.cifar_resnet import resnet56
from tests.benchmarks.outside_zoo import prepare_torchvision

DATA = Path(os.environ.get("NAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
BATCH = 128
SIDES = (*(16,) * 6, *(24,) * 4, *(32,) * 4)  # of the images, epoch by epoch
EPOCHS, RATES = (0, 3, 14), (0.01, 0.2, 0.0)  # the rate between them is on a line
MEAN, SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def images(name: str) -> tuple[Tensor, Tensor]:
    """Return the images `[n, 3, 32, 32]` and classes `[n]` of train_0, train_1, train_2, test1k."""
    spec = importlib.util.spec_from_file_location("codec", DATA / "vision" / "cifar_codec.py")
    assert spec and spec.loader
    codec = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(codec)
    pixels, classes = codec.load(DATA / "vision" / f"cifar10_{name}.npz")
    scaled = (torch.tensor(pixels).float() / 255 - torch.tensor(MEAN)) / torch.tensor(SCALE)
    return scaled.permute(0, 3, 1, 2).contiguous(), torch.tensor(classes.astype(np.int64))


def training_images() -> tuple[Tensor, Tensor]:
    parts = images("train_0"), images("train_1")
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def mobilenet() -> nn.Module:
    """MobileNetV2 for images of 32×32: the first two strides are 1; 94 million MACs."""
    prepare_torchvision()
    import timm

    model = timm.create_model("mobilenetv2_100", num_classes=10)
    model.conv_stem.stride = model.blocks[1][0].conv_dw.stride = (1, 1)
    return model


NETWORKS = {"resnet56": resnet56, "mobilenet": mobilenet}


def augmented(pixels: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Flip half of the images, move each by up to 4 pixels, and resize them."""
    n = len(pixels)
    padded = functional.pad(pixels, (4, 4, 4, 4))
    flips = torch.rand(n, generator=generator) < 0.5
    padded[flips] = padded[flips].flip(-1)
    moves = torch.randint(9, (n, 2), generator=generator).tolist()
    cut = [p[:, i : i + 32, j : j + 32] for p, (i, j) in zip(padded, moves, strict=True)]
    stacked = torch.stack(cut)
    return stacked if side == 32 else functional.interpolate(stacked, size=side, mode="area")


def batches(n: int, generator: torch.Generator) -> Tensor:
    """One epoch: the indices of whole batches in a random order, `[batches, BATCH]`."""
    return torch.randperm(n, generator=generator)[: n - n % BATCH].view(-1, BATCH)


def train_teacher(name: str, file: Path, seed: int) -> None:
    """Train, and write the weights after each epoch."""
    torch.manual_seed(seed)
    model = NETWORKS[name]().to(memory_format=torch.channels_last)
    pixels, classes = training_images()
    held, held_classes = (part[:1000] for part in images("train_2"))  # printed, selects nothing
    optimizer = torch.optim.SGD(
        model.parameters(), RATES[0], momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    started = time.perf_counter()
    for epoch in range(len(SIDES)):
        generator = torch.Generator().manual_seed(1000 * seed + epoch)
        model.train()
        order = batches(len(pixels), generator)
        for step, chosen in enumerate(order):
            rate = float(np.interp(epoch + step / len(order), EPOCHS, RATES))
            optimizer.param_groups[0]["lr"] = rate
            answers = answered(model, augmented(pixels[chosen], SIDES[epoch], generator))
            loss = functional.cross_entropy(answers, classes[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.save(model.state_dict(), file)
        right, seconds = accuracy(model, held, held_classes), time.perf_counter() - started
        print(f"{SIDES[epoch]}×{SIDES[epoch]}: {right:.4f}, {seconds:.0f} s", flush=True)


def answered(model: nn.Module, inputs: Tensor) -> Tensor:
    """The answers to a batch, computed in bfloat16 where this is enough."""
    with torch.autocast("cpu", torch.bfloat16):
        return model(inputs.to(memory_format=torch.channels_last)).float()


def accuracy(model: nn.Module, pixels: Tensor, classes: Tensor) -> float:
    model.eval()
    with torch.inference_mode():
        found = torch.cat([answered(model, part).argmax(-1) for part in pixels.split(250)])
    return float((found == classes).float().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    train_teacher(asked.network, asked.file, asked.seed)
