"""N-parity with growing N: the parity of the last N bits needs a longer and longer memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.answers import tensor
from nas.core.task import Batch
from nas.tasks.generated import TIMES
from nas.tasks.growing_memory import Curriculum, GrowingMemory, growing_memory, with_question

PAD = 2  # after 0 and 1; 3 and 4 are the bits that count
MARKED_TOKENS = 5


@dataclass(frozen=True)
class NParity:
    """The sum modulo 2 of a sequence's last N bits, each 1 with the sequence's u ~ U(0, 1).

    In the paper, the network has a head for every N. Here, one head serves all N.

    marks: whether the bits that count have tokens of their own: the network sees where the count
        begins but must carry it to the end. Otherwise a last token says N, so the network must
        keep every answer that could be asked for, as it must for a head for every N.
    """

    largest: int
    marks: bool

    name = "n-parity"

    @property
    def tokens(self) -> int:
        return MARKED_TOKENS if self.marks else self.largest + 1

    def draw(self, counts: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> Batch:
        longest = int(lengths.max())
        bits = rng.random((len(counts), longest)) < rng.random((len(counts), 1))
        places = np.arange(longest)
        inside = places < lengths[:, None]
        counted = inside & (places >= (lengths - counts)[:, None])
        parity = (bits & counted).sum(axis=1) % 2
        if self.marks:
            tokens = np.where(inside, bits + 3 * counted, PAD)
        else:
            tokens, lengths = with_question(bits, lengths, counts)
        return Batch(tensor(tokens), tensor(parity), tensor(lengths))


def load_n_parity(
    *,
    largest: int = 10,
    steps_per_n: int = 50,
    curriculum: Curriculum = "all",
    marks: bool = True,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GrowingMemory:
    """Return the task up to N = largest: `batch` sequences per step; N grows after `steps_per_n`.

    Labels are balanced for odd N; for even N the share of ones is N / (2N + 2), as u is uniform.
    curriculum, times: see `GrowingMemory`. marks: see `NParity`.
    """
    problem = NParity(largest, marks)
    return growing_memory(problem, largest, steps_per_n, batch, curriculum, times)
