"""Images as sequences: by rows, columns, pixels or square windows."""

from torch import Tensor
from torch.nn import functional

from search_spaces.sequence_mixer.spec import Order
from search_spaces.space import DataShape

SIDE = 4  # of a window, in pixels


def features_per_step(data: DataShape, order: Order) -> int:
    """Return the features of a step of data that are not tokens."""
    if data.kind != "images":
        return data.inputs
    sizes = {"rows": data.width, "columns": data.height, "pixels": 1, "windows": SIDE**2}
    return data.inputs * sizes[order]


def steps_of(images: Tensor, order: Order) -> Tensor:
    """Return images `[B, channels, height, width]` as sequences `[B, T, features]`.

    The pixels of a window are one step; windows that reach over the edges read zeros there.
    """
    if order == "rows":
        return images.permute(0, 2, 1, 3).flatten(2)
    if order == "columns":
        return images.permute(0, 3, 1, 2).flatten(2)
    if order == "pixels":
        return images.flatten(2).mT
    bottom, right = (-size % SIDE for size in images.shape[2:])
    padded = functional.pad(images, (0, right, 0, bottom))
    return functional.unfold(padded, SIDE, stride=SIDE).mT
