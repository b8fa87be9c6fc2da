"""A recurrence with a matrix state: which decays, writes and erasures its step has."""

from dataclasses import dataclass
from typing import Literal, get_args

Gate = Literal["constant", "sigmoid", "softplus-exp", "low-rank", "exponential"]
FeatureMap = Literal["none", "silu", "l2", "elu", "one", "complement"]
Readout = Literal["plain", "gated-norm"]
Strength = Literal["gated", "one"]
Decay = Literal["none", "head", "feature"]
Erase = Literal["none", "key", "own"]
MOST_WRITES = 4


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The step of a linear recurrence whose state S is `[K, V]` for each head.

        S ← diag(a) S                                    decay
        S ← S + k_j (b_j v_j - b_j e_jᵀ S)   j = 1 … n    erase and write
        y = qᵀ S                                         read

    decay: "none", one factor a head, or one factor a key feature.
    writes: n, 1 to 4.
    erase: "none" only adds (e = 0), "key" is the delta rule (e = k), "own" takes e separately.
    keys, values: K and V.

    Linear attention, RetNet, Mamba-2, GLA, DeltaNet, Gated DeltaNet, DeltaProduct, KDA and RWKV-7
    are such steps; see Yang et al. 2024, https://arxiv.org/abs/2406.06484, table 4, and Siems et
    al. 2025, https://arxiv.org/abs/2502.10297, section 3.
    """

    decay: Decay
    writes: int
    erase: Erase
    keys: int
    values: int

    def __post_init__(self) -> None:
        for name, value, known in (
            ("decay", self.decay, ("none", "head", "feature")),
            ("erase", self.erase, ("none", "key", "own")),
        ):
            if value not in known:
                raise ValueError(f'unknown {name} "{value}"; choose {", ".join(known)}')
        if not 1 <= self.writes <= MOST_WRITES:
            raise ValueError(f"writes must be 1 to {MOST_WRITES}, not {self.writes}")
        if self.keys < 1 or self.values < 1:
            raise ValueError(f"keys and values must be at least 1, not {self.keys}, {self.values}")

    @property
    def decays(self) -> int:
        """The number of decay factors of a head and step."""
        return {"none": 0, "head": 1, "feature": self.keys}[self.decay]

    @property
    def state_numbers(self) -> int:
        """The numbers that a head carries from step to step."""
        return self.keys * self.values


@dataclass(frozen=True, slots=True)
class MixerSpec:
    """A sequence mixer: a recurrence, and how a layer computes its tensors from the input.

    heads: H.
    low: the lowest eigenvalue of a step, 0 or -1. With -1, b is 2σ if the recurrence erases, else
        a is 2σ - 1 (Grazzi et al. 2025, https://arxiv.org/abs/2411.12537, section 4).
    gate: how a comes from the input.
        "constant": trained, starting at 1 - 2^(-5 - h) for head h (RetNet).
        "sigmoid": σ(Wx + bias).
        "softplus-exp": exp(-A Δ) with Δ = softplus(Wx + bias), which also scales b (Mamba-2).
        "low-rank": σ(W₂W₁x + bias)^(1/16), rank 16 (GLA).
        "exponential": σ(Wx + bias) beside b = exp(Wx), divided by a running maximum: mLSTM,
            and Aaren, whose recurrence does not decay.
    feature_map: of queries and keys: "none", "silu", "l2" (length 1), "elu" (elu + 1), "one"
        (both are 1, with K = 1), or "complement": keys are 1 - a (HGRN-2).
    short_convolution: taps of a causal convolution of queries, keys and values before the
        recurrence; 0 for none.
    readout: "plain", or "gated-norm": normalised for each head and gated by the input.
    normaliser: whether outputs are divided by those of values that are all 1.
    strength: "gated" for b as above, or "one": b is 1.
    """

    recurrence: Recurrence
    heads: int = 1
    low: Literal[0, -1] = 0
    gate: Gate = "sigmoid"
    feature_map: FeatureMap = "none"
    short_convolution: int = 0
    readout: Readout = "plain"
    normaliser: bool = False
    strength: Strength = "gated"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("low", self.low, (0, -1)),
            ("gate", self.gate, get_args(Gate)),
            ("feature map", self.feature_map, get_args(FeatureMap)),
            ("readout", self.readout, get_args(Readout)),
            ("strength", self.strength, get_args(Strength)),
        ):
            if value not in known:
                raise ValueError(
                    f'unknown {name} "{value}"; choose {", ".join(str(each) for each in known)}'
                )
        erases, decays = self.recurrence.erase != "none", self.recurrence.decays > 0
        rules = {
            "erasing needs keys of length 1: set feature_map to l2": erases
            and self.feature_map != "l2",
            "low -1 needs a decay or an erasure": self.low == -1 and not (erases or decays),
            "a negative decay needs the gate sigmoid": self.low == -1
            and not erases
            and self.gate != "sigmoid",
            "the normaliser needs positive weights: set erase to none and low to 0": self.normaliser
            and (erases or self.low == -1),
            "keys that are 1 - a need one decay a key feature and one write": (
                self.feature_map == "complement"
                and (self.recurrence.decay != "feature" or self.recurrence.writes > 1)
            ),
            "exponential gates need at most one decay a head, one write and no erasure": (
                self.gate == "exponential"
                and (self.recurrence.decay == "feature" or self.recurrence.writes > 1 or erases)
            ),
            "strengths of 1 need another gate than exponential and softplus-exp, and low 0": (
                self.strength == "one"
                and (self.gate in ("exponential", "softplus-exp") or self.low == -1)
            ),
            "queries and keys that are 1 have one feature: set keys to 1": (
                self.feature_map == "one" and self.recurrence.keys > 1
            ),
        }
        broken = [rule for rule, is_broken in rules.items() if is_broken]
        if broken:
            raise ValueError(broken[0])
        if self.heads < 1 or self.short_convolution < 0:
            raise ValueError("heads must be at least 1, short_convolution at least 0")

    @property
    def features(self) -> dict[str, int]:
        """The projected features of queries, keys, erase keys and values, all heads together."""
        own, mapped = self.recurrence, self.feature_map
        numbers = {
            "q": own.keys * (mapped != "one"),
            "k": own.writes * own.keys * (mapped not in ("one", "complement")),
            "e": own.writes * own.keys * (own.erase == "own"),
            "v": own.writes * own.values,
        }
        return {name: self.heads * number for name, number in numbers.items()}

    @property
    def state_numbers(self) -> int:
        """The numbers that a step carries for one sequence."""
        numbers = self.recurrence.keys * (self.recurrence.values + self.normaliser)
        numbers = self.heads * (numbers + (self.gate == "exponential"))
        return numbers + max(0, self.short_convolution - 1) * sum(self.features.values())
