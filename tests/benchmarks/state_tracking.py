"""Which networks track the state of a group, at the trained length and beyond?

python -m tests.benchmarks.state_tracking [NETWORK …] [--groups Z2,S3] [--seeds 3] [SETTING=VALUE …]

NETWORK: whatever `nas train` takes, the name of a known cell or a file with an architecture of any
space; SPACE/NAME, an architecture of a space's zoo; or KIND:LOW:LAYERS, a mixer of 32 channels
without short convolutions whose eigenvalues lie in [LOW, 1], 0 or -1: diagonal, or delta-N, which
writes N times a step. The default is gru and lstm. SETTING: of a search, such as
training.steps=2000.

Trains each network on state tracking with lengths from 3 to 40, and prints the accuracy at 1, 2, 4
and 8 times the longest length, over the second half of each sequence, as mean ± standard error
over seeds, with the accuracy of the worst seed at 8 times, and seconds of processor time per seed.
The last row of a group is the accuracy of guessing.
"""

import sys
import time
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev

from kernels.mixer.spec import MixerSpec, Recurrence
from nas import api
from nas.core.settings import read_config
from nas.jobs.search.config import SearchConfig
from nas.models.architecture_files import read_architecture
from nas.tasks.groups import named_group
from search_spaces.architecture import Architecture
from search_spaces.sequence_mixer.spec import NetworkSpec, RecurrenceMixing

DEFAULTS = (
    "model.layers=1",
    "model.hidden=32",
    "model.embedding=32",
    "training.steps=600",
    "training.learning_rate=0.004",
    "training.clip=1.0",
    "training.cooling=true",
    "training.device=cpu",
)


def main(arguments: list[str]) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("given", nargs="*")
    parser.add_argument("--groups", default="Z2,S3")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_intermixed_args(arguments)
    settings = [text for text in options.given if "=" in text]
    networks = [text for text in options.given if "=" not in text] or ["gru", "lstm"]
    print("| group | network | parameters | 1x | 2x | 4x | 8x | worst at 8x | seconds | seeds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for group in options.groups.split(","):
        for network in networks:
            runs = [trained(network, group, seed, settings) for seed in range(options.seeds)]
            cells = [
                with_error([facts[f"test_{times}x"] for facts in runs]) for times in (1, 2, 4, 8)
            ]
            worst = min(facts["test_8x"] for facts in runs)
            seconds = mean(facts["processor_seconds"] for facts in runs)
            row = [group, network, runs[0]["parameters"], *cells, f"{worst:.3f}", f"{seconds:.1f}"]
            print("|", " | ".join(map(str, [*row, len(runs)])), "|", flush=True)
        guess = 1 / len(named_group(group))
        print(f"| {group} | guessing | 0 |{f' {guess:.3f} |' * 4} {guess:.3f} | – | – |")


def trained(network: str, group: str, seed: int, settings: list[str]) -> dict:
    """Return what `nas train` prints, and the seconds of processor time."""
    config = read_config(
        SearchConfig,
        None,
        [*DEFAULTS, f"task.group={group}", *settings],
        {"task.name": "state-tracking", "seed": seed},
    )
    architecture = named(network)
    if architecture.space != config.space.name:
        config = config.model_copy(update={"space": type(config.space)(name=architecture.space)})
    started = time.process_time()
    facts = api.train(architecture, config)
    return {**facts, "processor_seconds": time.process_time() - started}


def named(network: str) -> Architecture:
    if network.count(":") == 2:
        kind, low, layers = network.split(":")
        return linear_mixer(kind, int(low), int(layers))
    space, _, name = network.rpartition("/")
    if not space or Path(network).exists():
        return read_architecture(network)
    return import_module(f"search_spaces.{space.replace('-', '_')}.zoo").ZOO[name]


def linear_mixer(kind: str, low: int, layers: int) -> Architecture:
    """Return a mixer of the comparisons of Grazzi et al. 2025 and Siems et al. 2025."""
    if kind == "diagonal":
        mixer = MixerSpec(Recurrence("head", 1, "none", 1, 1), 32, low)  # type: ignore[arg-type]
    else:
        step = Recurrence("none", int(kind.removeprefix("delta-")), "key", 16, 16)
        mixer = MixerSpec(step, 2, low, feature_map="l2", readout="gated-norm")  # type: ignore[arg-type]
    return NetworkSpec((RecurrenceMixing(mixer),), 32, layers).architecture()


def with_error(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ± {stdev(values) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])
