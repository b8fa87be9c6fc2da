"""The space of sequence mixers: canonical networks, the zoo, bad options and bad files."""

import numpy as np
import pytest

from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.sequence_mixer.graph import graph
from search_spaces.sequence_mixer.questions import MIXINGS
from search_spaces.sequence_mixer.space import SequenceMixerSpace
from search_spaces.sequence_mixer.spec import (
    ConvolutionMixing,
    MemoryMixing,
    NetworkSpec,
    network_of,
)
from search_spaces.sequence_mixer.zoo import STRIPES, ZOO
from search_spaces.space import DataShape

A, B = MemoryMixing(4, 1), ConvolutionMixing(3, 2)


def test_the_zoo_survives_files():
    for name, architecture in ZOO.items():
        again = Architecture.from_json(architecture.to_json())
        assert network_of(again) == NetworkSpec(STRIPES[name])


def test_equal_networks_have_one_digest():
    once = NetworkSpec((A, B), 32, 2).architecture()
    assert NetworkSpec((A, B, A, B), 32, 1).architecture() == once
    assert NetworkSpec((A, A, A), 32, 1).architecture() == NetworkSpec((A,), 32, 3).architecture()
    assert NetworkSpec((B, A), 32, 2).architecture() != once
    assert network_of(once).blocks(9) == (A, B, A, B)


def test_every_kind_of_mixing_is_drawn():
    kinds, space = set(), SequenceMixerSpace()
    for seed in range(60):
        architecture, _ = genome.sample(space, np.random.default_rng(seed))
        kinds |= {type(mixing).__name__ for mixing in network_of(architecture).stripe}
    assert kinds == {
        *("RecurrenceMixing", "CellMixing", "ConvolutionMixing"),
        *("MemoryMixing", "AttentionMixing", "StateSpaceMixing"),
    }


def test_a_drawing_names_the_blocks():
    drawn = graph(NetworkSpec((A, STRIPES["deltaproduct"][0]), 32, 1))
    labels = [data["label"] for _, data in drawn.nodes(data=True)]
    assert labels[:2] == ["x, 32", "memory 4, every 1"]
    assert labels[3] == "2×16×16, erase key, 2 writes, [-1, 1]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (30,)}, "multiples of 4"),
        ({"widths": ()}, "multiples of 4"),
        ({"stripe": 0}, "stripe must be a whole number"),
        ({"state": -1}, "state must be a whole number"),
        ({"mixings": ("loop",)}, "unknown mixing loop; choose from recurrence"),
        ({"mixings": ()}, "no mixing given"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SequenceMixerSpace(**options)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ((32, 1), "write a network as"),
        ((32, 1, "swiglu", "rows", False, ()), "write a network as"),
        ((0, 1, "swiglu", "rows", False, (("memory", 4, 1),)), "width must be"),
        ((32, 1, "glu", "rows", False, (("memory", 4, 1),)), 'unknown channel mixer "glu"'),
        ((32, 1, "none", "rows", False, (("loop", 4),)), 'block 0: unknown kind "loop"'),
        ((32, 1, "none", "rows", False, (("memory", 4, 0),)), "block 0: stride must be"),
        ((32, 1, "none", "rows", False, (("memory",),)), "block 0"),
        ((32, 1, "none", "rows", False, (("state-space", 3),)), "block 0: states must be even"),
        (
            (32, 1, "none", "rows", False, (("recurrence", "none", 1, "key", 4, 4),)),
            "block 0: erasing needs keys of length 1",
        ),
        ((32, 1, "none", "rows", False, (("cell", (("h_new_0", "nothing", ("x",)),)),)), "block 0"),
    ],
)
def test_bad_architectures_name_the_block(spec, message):
    with pytest.raises(InvalidArchitecture, match=message):
        network_of(Architecture("sequence-mixer", spec))


def test_questions_about_images_need_images():
    space = SequenceMixerSpace(images=True)
    space.check(DataShape("images", 1, 10, False, height=8, width=8))
    with pytest.raises(ValueError, match="for tasks of images: remove it"):
        space.check(DataShape("tokens", 5, 5, True))
    architecture, answers = genome.sample(space, np.random.default_rng(0))
    assert {"order", "both_ways"} <= set(answers)
    assert network_of(architecture).order == answers["order"]


@pytest.mark.parametrize("mixings", [MIXINGS, ("window",)])
def test_a_state_too_small_for_any_mixer_is_refused_at_once(mixings):
    with pytest.raises(ValueError, match=r"state is 1: none of 200 random mixers .* raise it"):
        SequenceMixerSpace(state=1, mixings=mixings)
