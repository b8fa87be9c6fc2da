"""How fast and how large a network is, as measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed and size of one network.

    milliseconds, milliseconds_all_threads: median forward pass by batch size, with one thread and
        with all of PyTorch's threads.
    peak_bytes: most memory held at once by tensors that a forward pass of the largest batch makes.
    bytes: all weights and statistics; a safetensors file adds a few kilobytes of names.
    """

    parameters: int
    bytes: int
    milliseconds: dict[int, float]
    milliseconds_all_threads: dict[int, float]
    peak_bytes: int
