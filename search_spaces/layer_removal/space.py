"""The space of smaller versions of a trained network: which layers stay, and how wide they are.

It follows the two stages of N2N learning (Ashok et al. 2018, https://arxiv.org/abs/1709.06030,
section 3): keep or remove each layer, then shrink each remaining layer to a share of its width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.space import ModelShape, Space

SHARES = 10  # widths are decided in tenths


class Channels(NamedTuple):
    """Channels that change together: paths of the layers that make them, and how many they are.

    A layer that makes several kinds of channels is `PATH#2` in the second.
    """

    makers: tuple[str, ...]
    width: int


class LayerFeatures(NamedTuple):
    """A layer's path, and its kind and sizes as numbers, equally many for every layer."""

    path: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a network that can be removed.

    removable: groups of paths that are removed together, such as a convolution and its norm.
    channels: in the order of the calls.
    layers: all layers in order, for controllers that use features of the layers.
    kept: (path, reason) of layers that stay as they are.
    """

    removable: tuple[tuple[str, ...], ...]
    channels: tuple[Channels, ...]
    layers: tuple[LayerFeatures, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()

    def remaining(self, removed: tuple[str, ...]) -> Iterator[tuple[str, Channels]]:
        """Yield the groups that can still be narrowed, each after its first remaining maker."""
        for group in self.channels:
            left = [maker for maker in group.makers if not is_within(maker, removed)]
            if left and group.width > 1:
                yield left[0], group


class Student(NamedTuple):
    """removed: paths. widths: (maker, channels kept) for each narrowed group."""

    removed: tuple[str, ...]
    widths: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LayerRemovalSpace(Space):
    """outline: of the teacher. make: builds the student that an architecture describes.

    narrowest: the fewest tenths of its width that a layer keeps; 10 does not narrow any layer.
    adjust: changes each student that was decided on, so that it meets limits for example.
    """

    outline: Outline
    make: Callable[[Architecture, torch.Generator], nn.Module]
    narrowest: int = 1
    adjust: Callable[[Student], Student] | None = None

    name = "layer-removal"

    def decide(self, decisions: Decisions) -> Architecture:
        """Decide `remove/PATH` (stage 1), then `width/PATH`, in tenths, of the rest (stage 2)."""
        removal, widths = decisions.scope("remove"), decisions.scope("width")
        removed = tuple(
            path
            for paths in self.outline.removable
            if removal.choose(paths[0], ("keep", "remove")) == "remove"
            for path in paths
        )
        narrowed = []
        for maker, (_, width) in self.outline.remaining(removed):
            kept = max(1, round(width * widths.integer(maker, self.narrowest, SHARES) / SHARES))
            if kept < width:
                narrowed.append((maker, kept))
        student = Student(removed, tuple(narrowed))
        if self.adjust is not None:
            student = self.adjust(student)
        if student == Student((), ()):
            raise InvalidArchitecture("nothing is removed or narrowed: this is the teacher")
        return Architecture(self.name, student)

    def layers_decided(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the index of each decision's layer, for removals and for widths.

        The first layer of a removable block stands for the block.
        """
        paths = [layer.path for layer in self.outline.layers]
        removals = {
            f"remove/{block}": next(i for i, path in enumerate(paths) if is_within(path, (block,)))
            for block, *_ in self.outline.removable
        }
        makers = (maker for channels in self.outline.channels for maker in channels.makers)
        return removals, {f"width/{m}": paths.index(m.partition("#")[0]) for m in makers}

    def smallest(self) -> Architecture:
        """Return the architecture that removes everything removable and narrows the rest most."""
        removed = tuple(path for paths in self.outline.removable for path in paths)
        return Architecture(
            self.name, scaled(self.outline, Student(removed, ()), 0, self.narrowest)
        )

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Return the student; it has the teacher's shape and ignores `shape`."""
        return self.make(architecture, generator)


def student_of(architecture: Architecture) -> Student:
    """Return the student that an architecture of this space describes."""
    return Student(*cast(tuple, architecture.spec))


def scaled(outline: Outline, student: Student, scale: float, narrowest: int) -> Student:
    """Return the student with its widths times `scale`, between the narrowest and the whole."""
    now, widths = shares(outline, student), []
    for maker, (_, width) in outline.remaining(student.removed):
        least = max(1, round(width * narrowest / SHARES))
        kept = min(width, max(least, round(width * now[maker] * scale)))
        if kept < width:
            widths.append((maker, kept))
    return Student(student.removed, tuple(widths))


def shares(outline: Outline, student: Student) -> dict[str, float]:
    """Return the share of its width that each remaining group keeps, by its first remaining
    maker."""
    widths = dict(student.widths)
    return {
        first: next((widths[maker] for maker in makers if maker in widths), width) / width
        for first, (makers, width) in outline.remaining(student.removed)
    }


def is_within(path: str, removed: tuple[str, ...]) -> bool:
    path = path.partition("#")[0]
    return any(path == gone or path.startswith(f"{gone}.") for gone in removed)
