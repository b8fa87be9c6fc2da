"""A chain: the layers of a decoder in the order of their calls.

Layers are skipped and looped as in CoLa (Li et al. 2025, https://arxiv.org/abs/2507.07996): an
edit skips a block of k calls or repeats it r times, anywhere in the result of earlier edits. A
chain is its own canonical form: edits that lead to equal chains give one candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.decisions import Decisions

Chain = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a block of neighbouring calls.

    block: number of calls, at least 1.
    times: how often the block is called after the edit; 0 skips it.
    Raises `ValueError` for an edit that would change nothing.
    """

    block: int
    times: int

    def __post_init__(self) -> None:
        if self.block < 1 or self.times < 0 or self.times == 1:
            raise ValueError(
                f"an edit needs block at least 1 and times 0 or at least 2, "
                f"not block {self.block} and times {self.times}"
            )

    @property
    def growth(self) -> int:
        """The number of calls that the edit adds to the chain."""
        return self.block * (self.times - 1)

    def apply(self, chain: Chain, start: int) -> Chain:
        """Return the chain with the block at `start` skipped or repeated."""
        end = start + self.block
        return chain[:start] + chain[start:end] * self.times + chain[end:]

    def starts(self, chain: Chain) -> list[int]:
        """Return where the edit applies, one start for each resulting chain.

        Neighbouring starts give the same chain if the first block's first call equals the second
        block's last call.
        """
        return [
            start
            for start in range(len(chain) - self.block + 1)
            if not start or chain[start - 1] != chain[start - 1 + self.block]
        ]


def skips_and_repeats(skips: Sequence[int], repeats: Sequence[tuple[int, int]]) -> tuple[Edit, ...]:
    """Return edits. skips: sizes of blocks. repeats: (size of a block, how often it is called)."""
    return tuple(Edit(k, 0) for k in skips) + tuple(Edit(k, times) for k, times in repeats)


SIZES = (1, 2, 3, 4)  # CoLa's: k and r are both 1 to 4, and r = 1 changes nothing
COLA = skips_and_repeats(SIZES, [(k, times) for k in SIZES for times in SIZES if times > 1])


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that define which chains exist.

    layers: number of the decoder's layers.
    edits: the allowed edits.
    most: the largest number of successive edits.
    shortest, longest: limits on the number of calls; longest 0 allows twice the layers.
    Raises `ValueError` if the full chain is outside the limits.
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
        """The chain that calls every layer once."""
        return tuple(range(self.layers))

    def fitting(self, chain: Chain) -> list[Edit]:
        """Return the edits that keep the chain within the limits."""
        return [
            edit
            for edit in self.edits
            if edit.block <= len(chain) and self.shortest <= len(chain) + edit.growth <= self.limit
        ]

    def neighbours(self, chain: Chain) -> list[Chain]:
        """Return every other chain one edit away, each once, in the order of the edits."""
        found = (e.apply(chain, start) for e in self.fitting(chain) for start in e.starts(chain))
        return list(dict.fromkeys(found))

    def decide(self, decisions: Decisions) -> Chain:
        """Return the full chain after the decided edits.

        `edit/I/kind` is 0 to stop, or the number of a fitting edit; `edit/I/start` is the number of
        one of its starts.
        """
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
    """Return the chain if a decoder with `layers` layers can call it, or raise `ValueError`."""
    if not chain:
        raise ValueError("the chain is empty: call at least one layer")
    for layer in chain:
        if not 0 <= layer < layers:
            raise ValueError(
                f"layer {layer} does not exist: the decoder has {layers} layers (0 to {layers - 1})"
            )
    return tuple(chain)
