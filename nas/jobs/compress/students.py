"""Makes the students of a teacher."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compress.structure.student import draw_weights, narrowing
from nas.models.narrowed_files import network_of
from nas.models.source import ModelSource
from nas.models.space import Answering
from search_spaces.architecture import Architecture
from search_spaces.layer_removal.space import student_of


@dataclass(frozen=True)
class StudentMaker:
    """Makes students of a teacher.

    example: inputs of the teacher, two examples or more.
    inherit: with the teacher's weights, else with fresh ones.
    """

    source: ModelSource
    example: Any
    inherit: bool = True

    def __call__(self, architecture: Architecture, generator: torch.Generator) -> nn.Module:
        removed, widths = student_of(architecture)
        model = self.family(removed)(dict(widths))
        if not self.inherit:
            draw_weights(model, generator)
        return model

    def family(self, removed: Iterable[str]) -> Callable[[Mapping[str, int]], nn.Module]:
        """Return what makes students without these layers, of any widths, with the teacher's
        weights."""
        teacher = self.source.build(0)
        make = narrowing(network_of(teacher), self.example, removed)
        if not isinstance(teacher, Answering):
            return make
        return lambda widths: Answering(make(widths))
