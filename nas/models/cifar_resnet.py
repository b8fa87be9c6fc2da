"""ResNets for images of 32×32 pixels: 20, 32, 44, 56 and 110 layers.

He et al. 2016, section 4.2 (https://arxiv.org/abs/1512.03385): three stages of 16, 32 and 64
channels, shortcuts without parameters. The parameters have the names of the public checkpoints
(akamaster/pytorch_resnet_cifar10).
"""

from torch import Tensor, nn
from torch.nn import functional

from compress.structure.place_channels import PlaceChannels, centred

WIDTHS = (16, 32, 64)


class CifarBlock(nn.Module):
    """Two convolutions and a shortcut: `[B, C, h, w]` to `[B, width, h / stride, w / stride]`."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        same = stride == 1 and inputs == width
        self.shortcut = nn.Identity() if same else PlaceChannels(centred(inputs, width), stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """Maps images `[B, channels, height, width]` to logits `[B, classes]`.

    blocks: the blocks in each of the three stages; the network has 6 × blocks + 2 layers.
    """

    normalisation = "imagenet"  # the public checkpoints were trained on such images

    def __init__(self, blocks: int, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks, stride=1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks, stride=2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks, stride=2)
        self.linear = nn.Linear(WIDTHS[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = CifarBlock(inputs, width, stride)
    return nn.Sequential(first, *(CifarBlock(width, width, 1) for _ in range(blocks - 1)))


def resnet8(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(1, classes, channels)


def resnet14(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(2, classes, channels)


def resnet20(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(3, classes, channels)


def resnet32(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(5, classes, channels)


def resnet44(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(7, classes, channels)


def resnet56(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(9, classes, channels)


def resnet110(classes: int = 10, channels: int = 3) -> CifarResNet:
    return CifarResNet(18, classes, channels)
