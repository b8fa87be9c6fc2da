"""Places channels among zeros: the parameter-free shortcut of CIFAR ResNets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PlaceChannels(nn.Module):
    """Takes every `stride`-th pixel of `[B, C, height, width]` and rearranges its channels.

    places: for each output channel, the input channel that it copies; -1 for zeros.

    With zeros on both sides this is shortcut A of He et al. 2016, section 4.2
    (https://arxiv.org/abs/1512.03385). Any of its channels can be taken away on either side.
    """

    def __init__(self, places: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.places = tuple(places)
        self.stride = stride
        copied = torch.tensor([place >= 0 for place in self.places])
        self.register_buffer("index", torch.tensor(self.places).clamp(min=0), persistent=False)
        self.register_buffer("copied", copied.float().view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        thinned = x[:, :, :: self.stride, :: self.stride]
        return thinned.index_select(1, self.get_buffer("index")) * self.get_buffer("copied")


def centred(inputs: int, outputs: int) -> tuple[int, ...]:
    """Return places that put `inputs` channels in the middle of `outputs`.

    >>> centred(2, 4)
    (-1, 0, 1, -1)
    """
    before = (outputs - inputs) // 2
    after = outputs - inputs - before
    return (-1,) * before + tuple(range(inputs)) + (-1,) * after
