"""VGG with batch normalisation, for small images.

Simonyan and Zisserman 2015, table 1 (https://arxiv.org/abs/1409.1556); one linear layer in place
of three, as is usual for CIFAR.
"""

from torch import Tensor, nn

Plan = tuple[tuple[int, ...], ...]  # widths of the convolutions before each pooling

VGG11: Plan = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
VGG13: Plan = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
VGG16: Plan = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
VGG19: Plan = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)


class Vgg(nn.Module):
    """Maps images `[B, channels, height, width]`, 32×32 or larger, to logits `[B, classes]`."""

    def __init__(self, plan: Plan, classes: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for widths in plan:
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def vgg11(classes: int = 10, channels: int = 3) -> Vgg:
    return Vgg(VGG11, classes, channels)


def vgg13(classes: int = 10, channels: int = 3) -> Vgg:
    return Vgg(VGG13, classes, channels)


def vgg16(classes: int = 10, channels: int = 3) -> Vgg:
    return Vgg(VGG16, classes, channels)


def vgg19(classes: int = 10, channels: int = 3) -> Vgg:
    return Vgg(VGG19, classes, channels)
