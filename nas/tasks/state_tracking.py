"""State tracking: the product of all elements of a group that were read so far."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.tasks.generated import TIMES, GeneratedTask, generated
from nas.tasks.groups import Group, named_group


@dataclass(frozen=True)
class StateTracking:
    """Reads elements x of a group and answers y[t] = x[t] · y[t - 1] at every step.

    Parity is the group Z2. Transformers and diagonal linear recurrences cannot do it for every
    length if the group is not solvable, such as A5 and S5, unless TC⁰ = NC¹ (Merrill et al. 2024,
    https://arxiv.org/abs/2404.08819).
    """

    group: Group

    name = "state-tracking"
    continual = True

    @property
    def tokens(self) -> int:
        return len(self.group)

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        elements = rng.integers(len(self.group), size=(count, length))
        states = elements.copy()
        for t in range(1, length):
            states[:, t] = self.group.table[elements[:, t], states[:, t - 1]]
        return elements, states


def load_state_tracking(
    *,
    group: str = "S3",
    shortest: int = 3,
    longest: int = 40,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return the task of a group: Z2 (parity), S3, A5, Z60, A4_x_Z5 …, see `nas.tasks.groups`.

    shortest, longest: lengths in training. Lengths from 3 to 40 follow Grazzi et al. 2025,
        https://arxiv.org/abs/2411.12537; states learnt at one length often fail at longer ones.
    times: lengths of the test sets, as multiples of `longest`.
    Raises `BadData` for an unknown or too large group, and for other invalid options.
    """
    return generated(StateTracking(named_group(group)), shortest, longest, times, batch)
