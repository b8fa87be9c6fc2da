"""What is left of a trained network: which layers it keeps, then how wide they are.

The two stages of N2N learning (Ashok et al. 2018, https://arxiv.org/abs/1709.06030, section 3):
each layer is kept or removed, then each that remains is shrunk to a share of its width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.space import ModelShape

SHARES = 10  # a width is a number of tenths


class Channels(NamedTuple):
    """Channels that change together: paths of the layers that make them, and how many they are.

    A layer that makes several kinds of channels is `PATH#2` in the second.
    """

    makers: tuple[str, ...]
    width: int


class LayerFeatures(NamedTuple):
    """A layer's path, and its kind and sizes in numbers, as many for every layer."""

    path: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a network, what can be taken away.

    removable: groups of paths that go together, such as a convolution and its norm.
    channels: in the order of the calls.
    layers: all of them in order, for controllers that look at what they decide on.
    kept: (path, reason) of layers that stay as they are.
    """

    removable: tuple[tuple[str, ...], ...]
    channels: tuple[Channels, ...]
    layers: tuple[LayerFeatures, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


class Student(NamedTuple):
    """removed: paths. widths: (maker, channels kept) of what is narrowed."""

    removed: tuple[str, ...]
    widths: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LayerRemovalSpace:
    """outline: of the teacher. make: the student that an architecture describes.

    narrowest: tenths of its width that a layer keeps at least; 10 narrows none.
    """

    outline: Outline
    make: Callable[[Architecture, torch.Generator], nn.Module]
    narrowest: int = 1

    name = "layer-removal"

    def decide(self, decisions: Decisions) -> Architecture:
        """Stage 1, `remove/PATH`, then stage 2, `width/PATH` in tenths of what remains."""
        removal, widths = decisions.scope("remove"), decisions.scope("width")
        removed = tuple(
            path
            for paths in self.outline.removable
            if removal.choose(paths[0], ("keep", "remove")) == "remove"
            for path in paths
        )
        narrowed = []
        for maker, width in self._remaining(removed):
            kept = max(1, round(width * widths.integer(maker, self.narrowest, SHARES) / SHARES))
            if kept < width:
                narrowed.append((maker, kept))
        if not removed and not narrowed:
            raise InvalidArchitecture("nothing is taken away: this is the teacher")
        return Architecture(self.name, Student(removed, tuple(narrowed)))

    def layers_decided(self) -> tuple[dict[str, int], dict[str, int]]:
        """Which of the outline's layers a decision is about: of the removals, and of the widths.

        A block that may be removed is spoken of by its first layer.
        """
        paths = [layer.path for layer in self.outline.layers]
        removals = {
            f"remove/{block}": next(i for i, path in enumerate(paths) if _is_within(path, (block,)))
            for block, *_ in self.outline.removable
        }
        makers = (maker for channels in self.outline.channels for maker in channels.makers)
        return removals, {f"width/{m}": paths.index(m.partition("#")[0]) for m in makers}

    def smallest(self) -> Architecture:
        """Everything removed that can be, and the rest as narrow as can be."""
        removed = tuple(path for paths in self.outline.removable for path in paths)
        widths = (
            (maker, width, max(1, round(width * self.narrowest / SHARES)))
            for maker, width in self._remaining(removed)
        )
        narrowed = tuple((maker, least) for maker, width, least in widths if least < width)
        return Architecture(self.name, Student(removed, narrowed))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """The student; its shape is the teacher's."""
        return self.make(architecture, generator)

    def _remaining(self, removed: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        """What can still be narrowed: the first maker that is left, and the width."""
        for makers, width in self.outline.channels:
            left = [maker for maker in makers if not _is_within(maker, removed)]
            if left and width > 1:
                yield left[0], width


def student_of(architecture: Architecture) -> Student:
    """What an architecture of this space says."""
    return Student(*cast(tuple, architecture.spec))


def _is_within(path: str, removed: tuple[str, ...]) -> bool:
    path = path.partition("#")[0]
    return any(path == gone or path.startswith(f"{gone}.") for gone in removed)
