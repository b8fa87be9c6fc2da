"""In-context recall: predict the values of keys that occurred before, in noise or fuzzy."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np

from nas.core.answers import IGNORED

SYMBOLS = 8  # tokens that keys consist of, and as many for values
PAIRS = 8  # different pairs in each sequence
NOISE = 16  # different tokens of noise
ABSENT = -1


@dataclass(frozen=True)
class InContextRecall:
    """Reads pairs drawn from eight of its own, and predicts the values of those seen before.

    Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844: in-context, noisy and fuzzy recall. In
    the authors' code, fuzzy keys and values are drawn from all motifs, so few occur twice.

    motif: the most tokens of a key, and of a value; each number is equally likely. A value's
        first token is asked for at the key's last one, unless a longer key of the sequence begins
        with this key; the following ones at the tokens before them.
    noise: share of pairs that are replaced by two tokens of noise.
    """

    name: str
    motif: int = 1
    noise: float = 0.0

    continual = True

    @property
    def tokens(self) -> int:
        return 2 * SYMBOLS + (NOISE if self.noise else 0)

    @property
    def least(self) -> int:
        """The shortest length in which some pair occurs twice, if there is no noise."""
        return 2 * self.motif * (PAIRS + 1)

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        motifs, chances, is_prefix = _motifs(self.motif)
        rows = np.arange(count)[:, None]
        key_numbers = _different(count, chances, PAIRS, rng)
        value_numbers = rng.choice(len(motifs), (count, PAIRS), p=chances)
        which = rng.integers(PAIRS, size=(count, (length + 1) // 2))  # a pair has 2 or more tokens
        is_noise = rng.random(which.shape) < self.noise
        keys = motifs[key_numbers][rows, which]  # [count, pairs read, motif]
        values = motifs[value_numbers][rows, which]
        values = np.where(values == ABSENT, ABSENT, values + SYMBOLS)
        begins = is_prefix[key_numbers[:, :, None], key_numbers[:, None]]  # [count, PAIRS, PAIRS]
        unclear = np.take_along_axis(np.asarray(begins.any(axis=-1)), which, axis=1)
        if self.noise:
            for part in keys, values:
                part[is_noise] = ABSENT
                part[is_noise, 0] = rng.integers(NOISE, size=is_noise.sum()) + 2 * SYMBOLS
        asked = _seen_before(which, is_noise) & ~is_noise
        at_keys = np.full_like(keys, IGNORED)
        last = (keys != ABSENT).sum(-1, keepdims=True) - 1
        first = np.where(asked & ~unclear, values[..., 0], IGNORED)
        np.put_along_axis(at_keys, last, first[..., None], axis=-1)
        at_values = np.full_like(values, IGNORED)
        at_values[..., :-1] = values[..., 1:]
        at_values[(at_values == ABSENT) | ~asked[..., None]] = IGNORED
        tokens = np.concatenate([keys, values], axis=-1).reshape(count, -1)
        answers = np.concatenate([at_keys, at_values], axis=-1).reshape(count, -1)
        return _packed(tokens, tokens, length), _packed(answers, tokens, length)


@cache
def _motifs(longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all motifs, padded with ABSENT, their chances, and which ones begin which others."""
    found = [m for size in range(1, longest + 1) for m in permutations(range(SYMBOLS), size)]
    motifs = np.array([[*m, *[ABSENT] * (longest - len(m))] for m in found])
    sizes = np.array([len(m) for m in found])
    chances = 1 / (np.bincount(sizes)[sizes] * longest)
    agree = (motifs[:, None] == motifs[None]) | (motifs[:, None] == ABSENT)
    is_prefix = agree.all(-1) & (sizes[:, None] < sizes)
    return motifs, chances, is_prefix


def _different(
    count: int, chances: np.ndarray, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw different numbers `[count, wanted]`, one after the other, with the given chances."""
    times = rng.exponential(size=(count, len(chances))) / chances
    return times.argsort(axis=1)[:, :wanted]


def _seen_before(which: np.ndarray, is_noise: np.ndarray) -> np.ndarray:
    """Return whether a pair was read before, `[count, pairs read]`."""
    read = (which[..., None] == np.arange(PAIRS)) & ~is_noise[..., None]
    before = np.cumsum(read, axis=1) - read
    return np.take_along_axis(before, which[..., None], axis=-1)[..., 0] > 0


def _packed(values: np.ndarray, tokens: np.ndarray, length: int) -> np.ndarray:
    """Return the values at tokens that are not ABSENT, `[count, length]`, in order."""
    present = tokens != ABSENT
    places = np.cumsum(present, axis=1) - 1
    kept = present & (places < length)
    packed = np.empty((len(values), length), np.int64)
    packed[np.nonzero(kept)[0], places[kept]] = values[kept]
    return packed
