"""The six synthetic tasks of MAD, which predict how well an architecture models language.

Poli et al. 2024, Mechanistic design and scaling of hybrid architectures,
https://arxiv.org/abs/2403.17844, section 3, and the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nas.core.answers import IGNORED
from nas.core.task import BadData
from nas.tasks.copying import SelectiveCopying
from nas.tasks.generated import TIMES, GeneratedTask, Problem, generated
from nas.tasks.in_context_recall import InContextRecall

Kind = Literal[
    "in-context-recall",
    "noisy-recall",
    "fuzzy-recall",
    "selective-copying",
    "compression",
    "memorisation",
]
SYMBOLS = 15  # of compression; MAD's vocabulary of 16 has a token that ends the sequence, too
FACTS = 127  # pairs to memorise


@dataclass(frozen=True)
class Compression:
    """Reads `length` symbols and a token that ends them, then answers which symbol was where.

    Questions are tokens for "i places before the end", in random order. In MAD, a network of its
    own decodes all symbols from the last output; here the state must hold them. A network that
    looks back, such as attention, need not compress anything.

    places: how far questions go back; in longer sequences, what is further back must be forgotten.
    """

    places: int

    name = "compression"
    continual = False

    @property
    def tokens(self) -> int:
        return SYMBOLS + 1 + self.places

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        symbols = rng.integers(SYMBOLS, size=(count, length))
        asked = rng.random((count, min(length, self.places))).argsort(axis=1)
        end = np.full((count, 1), SYMBOLS)
        found = np.take_along_axis(symbols, length - 1 - asked, axis=1)
        nothing = np.full((count, length + 1), IGNORED)
        return (
            np.concatenate([symbols, end, SYMBOLS + 1 + asked], axis=1),
            np.concatenate([nothing, found], axis=1),
        )


@dataclass(frozen=True)
class Memorisation:
    """Reads keys, each followed by a question token, and answers values that never change.

    The weights must hold the values: sequences do not contain them.
    """

    name = "memorisation"
    tokens = 2 * FACTS + 1
    continual = False

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `[count, T]` tokens and answers; T is `length`, or one less if it is odd."""
        keys = rng.integers(FACTS, size=(count, length // 2))
        answers = np.stack([np.full_like(keys, IGNORED), facts()[keys]], axis=-1)
        tokens = np.stack([keys, np.full_like(keys, 2 * FACTS)], axis=-1)
        return tokens.reshape(count, -1), answers.reshape(count, -1)


def facts() -> np.ndarray:
    """Return the value of each key, `[FACTS]`, the same for every seed."""
    return FACTS + np.random.default_rng(0).permutation(FACTS)


def load_mad(
    *,
    kind: Kind = "in-context-recall",
    shortest: int | None = None,
    longest: int | None = None,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return one of the six tasks, with MAD's vocabularies.

    MAD trains on 12,800 sequences in many epochs; here every sequence is new.
    shortest, longest: steps in training. The default is MAD's one length: 128 for recall, 256 for
        selective copying, 32 for compression and memorisation. If only `longest` is given,
        `shortest` is the same.
    times: lengths of the test sets, as multiples of `longest`.
    Raises `BadData` for an unknown kind, and for other invalid options.
    """
    lengths = {"selective-copying": 256, "compression": 32, "memorisation": 32}
    longest = lengths.get(kind, 128) if longest is None else longest
    problem, least = _problem(kind, longest)
    return generated(
        problem, longest if shortest is None else shortest, longest, times, batch, least
    )


def _problem(kind: Kind, longest: int) -> tuple[Problem, int]:
    """Return a kind's problem, and its shortest length."""
    if kind not in get_args(Kind):
        raise BadData(f'unknown kind "{kind}"; choose {", ".join(get_args(Kind))}')
    if kind == "selective-copying":
        return SelectiveCopying(symbols=14, copied=16), 33
    if kind == "compression":
        return Compression(places=longest), 1
    if kind == "memorisation":
        return Memorisation(), 2
    options = {"noisy-recall": {"noise": 0.2}, "fuzzy-recall": {"motif": 3}}
    recall = InContextRecall(kind, **options.get(kind, {}))  # type: ignore[arg-type]
    return recall, recall.least
