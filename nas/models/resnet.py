"""ResNet-18 and ResNet-34 with torchvision's parameter names.

He et al. 2016, table 1 (https://arxiv.org/abs/1512.03385): four stages of 64 to 512 channels,
shortcuts by 1×1 convolutions where the shape changes.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (64, 128, 256, 512)
Stem = Literal["small", "large"]


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: `[B, C, h, w]` to `[B, width, h / stride, w / stride]`."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNet(nn.Module):
    """Maps images `[B, channels, height, width]` to logits `[B, classes]`.

    blocks: the number of blocks in each of the four stages.
    stem: "large" starts with a 7×7 convolution of stride 2 and pooling, as for ImageNet; "small"
        with a 3×3 convolution, as is usual for CIFAR.
    """

    def __init__(self, blocks: tuple[int, ...], classes: int, channels: int, stem: Stem) -> None:
        super().__init__()
        kernel, stride = (7, 2) if stem == "large" else (3, 1)
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "large" else nn.Identity()
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks[0], stride=1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks[1], stride=2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks[2], stride=2)
        self.layer4 = _stage(WIDTHS[2], WIDTHS[3], blocks[3], stride=2)
        self.fc = nn.Linear(WIDTHS[3], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))


def resnet18(classes: int = 10, channels: int = 3, stem: Stem = "small") -> ResNet:
    return ResNet((2, 2, 2, 2), classes, channels, stem)


def resnet34(classes: int = 10, channels: int = 3, stem: Stem = "small") -> ResNet:
    return ResNet((3, 4, 6, 3), classes, channels, stem)
