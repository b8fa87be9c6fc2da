"""Known sequence mixers by name, as networks of any width and depth."""

from collections.abc import Mapping

from kernels.cell.zoo import ZOO as CELLS
from kernels.mixer.spec import MixerSpec, Recurrence
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.sequence_mixer.spec import (
    CellMixing,
    ConvolutionMixing,
    MemoryMixing,
    Mixing,
    NetworkSpec,
    RecurrenceMixing,
    StateSpaceMixing,
)

HEADS, SIZE = 2, 16  # two heads of 16 key and 16 value features


def _recurrence(decay: str, erase: str = "none", writes: int = 1, **settings) -> Mixing:
    heads, keys = settings.pop("heads", HEADS), settings.pop("keys", SIZE)
    step = Recurrence(decay, writes, erase, keys, SIZE)  # type: ignore[arg-type]
    if erase != "none":
        settings["feature_map"] = "l2"
    return RecurrenceMixing(MixerSpec(step, heads, **settings))


_GATED = {"short_convolution": 4, "readout": "gated-norm"}

STRIPES: dict[str, tuple[Mixing, ...]] = {
    # Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236
    "linear-attention": (_recurrence("none", feature_map="elu", normaliser=True, strength="one"),),
    # Sun et al. 2023, https://arxiv.org/abs/2307.08621, without its rotations of queries and keys
    "retnet": (_recurrence("head", gate="constant", readout="gated-norm", strength="one"),),
    # Dao and Gu 2024, https://arxiv.org/abs/2405.21060, without the skip D
    "mamba2": (_recurrence("head", gate="softplus-exp", **_GATED),),
    # Yang et al. 2024, https://arxiv.org/abs/2312.06635
    "gla": (_recurrence("feature", gate="low-rank", readout="gated-norm", strength="one"),),
    # Qin et al. 2024, https://arxiv.org/abs/2404.07904, without its lower bounds of the gates
    "hgrn2": (_recurrence("feature", feature_map="complement", strength="one"),),
    # Yang et al. 2024, https://arxiv.org/abs/2406.06484
    "deltanet": (_recurrence("none", "key", short_convolution=4),),
    # Yang et al. 2025, https://arxiv.org/abs/2412.06464
    "gated-deltanet": (_recurrence("head", "key", gate="softplus-exp", **_GATED),),
    # Siems et al. 2025, https://arxiv.org/abs/2502.10297, with eigenvalues down to -1
    "deltaproduct": (_recurrence("none", "key", 2, low=-1, **_GATED),),
    # Kimi Linear, https://arxiv.org/abs/2510.26692
    "kda": (_recurrence("feature", "key", gate="softplus-exp", **_GATED),),
    # Peng et al. 2025, https://arxiv.org/abs/2503.14456, without its token shift and bonus
    "rwkv7": (_recurrence("feature", "own", gate="low-rank", readout="gated-norm"),),
    # Beck et al. 2024, https://arxiv.org/abs/2405.04517, section 2.3
    "mlstm": (_recurrence("head", gate="exponential", normaliser=True, readout="gated-norm"),),
    # Feng et al. 2024, https://arxiv.org/abs/2405.13956
    "aaren": (_recurrence("none", gate="exponential", normaliser=True, feature_map="one", keys=1),),
    # Feng et al. 2024, https://arxiv.org/abs/2410.01201, section 3.1
    "minimal-gru": (CellMixing(read_recipe(CELLS["min-gru"]).spec),),
    # Gu et al. 2022, https://arxiv.org/abs/2206.11893
    "s4d": (StateSpaceMixing(states=64),),
    # Zhang et al. 2015, https://arxiv.org/abs/1512.08301
    "fsmn": (MemoryMixing(taps=16, stride=1),),
    # Bai et al. 2018, https://arxiv.org/abs/1803.01271
    "tcn": tuple(ConvolutionMixing(taps=3, dilation=d) for d in (1, 2, 4, 8)),
}

ZOO: Mapping[str, Architecture] = {
    name: NetworkSpec(stripe).architecture() for name, stripe in STRIPES.items()
}
