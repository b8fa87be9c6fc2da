"""A chain: the layers of a decoder in the order in which they are called.

Layers are skipped and looped as in CoLa (Li et al. 2025, https://arxiv.org/abs/2507.07996): an
edit skips a block of k calls or repeats it r times, anywhere in the chain that earlier edits left.
A chain is its own canonical form: edits that lead to equal chains are one candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.decisions import Decisions

Chain = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is done to a block of neighbouring calls.

    block: how many calls, from 1.
    times: how often the block is called afterwards; 0 skips it.
    Raises `ValueError` for what would change nothing.
    """

    block: int
    times: int

    def __post_init__(self) -> None:
        if self.block < 1 or self.times < 0 or self.times == 1:
            raise ValueError(f"a block of {self.block} called {self.times} times is no edit")

    @property
    def growth(self) -> int:
        """How many calls longer the chain becomes."""
        return self.block * (self.times - 1)

    def apply(self, chain: Chain, start: int) -> Chain:
        """The chain whose block from `start` on is skipped or repeated."""
        end = start + self.block
        return chain[:start] + chain[start:end] * self.times + chain[end:]

    def starts(self, chain: Chain) -> list[int]:
        """Where the edit applies, one start for each chain that comes of it.

        Neighbouring starts give the same chain where the call that only the first block holds
        is the one that only the second holds.
        """
        return [
            start
            for start in range(len(chain) - self.block + 1)
            if not start or chain[start - 1] != chain[start - 1 + self.block]
        ]


def skips_and_repeats(skips: Sequence[int], repeats: Sequence[tuple[int, int]]) -> tuple[Edit, ...]:
    """skips: sizes of blocks. repeats: (size of a block, how often it is called)."""
    return tuple(Edit(k, 0) for k in skips) + tuple(Edit(k, times) for k, times in repeats)


SIZES = (1, 2, 3, 4)  # CoLa's: k and r are both 1 to 4, and r = 1 changes nothing
COLA = skips_and_repeats(SIZES, [(k, times) for k in SIZES for times in SIZES if times > 1])


@dataclass(frozen=True, slots=True)
class Rules:
    """Which chains there are.

    layers: of the decoder.
    edits: what may be done to a chain.
    most: edits made one after the other.
    shortest, longest: numbers of calls; 0 as the longest allows twice the layers.
    Raises `ValueError` when the full chain is not within the limits.
    """

    layers: int
    edits: tuple[Edit, ...] = COLA
    most: int = 4
    shortest: int = 1
    longest: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.layers <= self.limit:
            raise ValueError(
                f"the full chain has {self.layers} calls: set shortest to 1 … {self.layers} "
                f"(it is {self.shortest}) and longest to at least {self.layers} ({self.limit})"
            )

    @property
    def limit(self) -> int:
        return self.longest or 2 * self.layers

    @property
    def full(self) -> Chain:
        """Every layer once."""
        return tuple(range(self.layers))

    def fitting(self, chain: Chain) -> list[Edit]:
        """The edits that keep the chain within its limits."""
        return [
            edit
            for edit in self.edits
            if edit.block <= len(chain) and self.shortest <= len(chain) + edit.growth <= self.limit
        ]

    def neighbours(self, chain: Chain) -> list[Chain]:
        """Every other chain one edit away, each once, in the order of the edits."""
        found = (e.apply(chain, start) for e in self.fitting(chain) for start in e.starts(chain))
        return list(dict.fromkeys(found))

    def decide(self, decisions: Decisions) -> Chain:
        """The full chain, edited: `edit/I/kind`, 0 to stop or the number of a fitting edit, then
        `edit/I/start`, the number of one of its starts."""
        chain = self.full
        for i in range(self.most):
            step, fitting = decisions.scope(f"edit/{i}"), self.fitting(chain)
            kind = step.integer("kind", 0, len(fitting))
            if not kind:
                break
            starts = fitting[kind - 1].starts(chain)
            chain = fitting[kind - 1].apply(
                chain, starts[step.integer("start", 0, len(starts) - 1)]
            )
        return chain


def checked(chain: Sequence[int], layers: int) -> Chain:
    """The chain, if a decoder of so many layers can call it; raises `ValueError` otherwise."""
    if not chain:
        raise ValueError("the chain is empty: it must call at least one layer")
    for layer in chain:
        if not 0 <= layer < layers:
            raise ValueError(
                f"layer {layer} does not exist: the decoder has {layers} layers (0 to {layers - 1})"
            )
    return tuple(chain)
