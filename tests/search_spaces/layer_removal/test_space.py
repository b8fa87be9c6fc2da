"""The space of students, without any network."""

import numpy as np
import pytest

from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, enumerated, replayed
from search_spaces.layer_removal.space import Channels, LayerRemovalSpace, Outline, student_of

OUTLINE = Outline(
    removable=(("block.1",), ("conv.3", "conv.4")),
    channels=(
        Channels(("stem", "block.1.out"), 20),
        Channels(("block.1.inner",), 10),
        Channels(("block.10.inner",), 4),
    ),
)
ANSWERS = {
    "remove/block.1": "keep",
    "remove/conv.3": "keep",
    "width/stem": 10,
    "width/block.1.inner": 10,
    "width/block.10.inner": 10,
}


def refuse(*_: object):
    raise AssertionError("decisions build nothing")


SPACE = LayerRemovalSpace(OUTLINE, refuse)


def test_a_norm_goes_with_its_convolution_and_channels_with_their_last_maker() -> None:
    answers = {**ANSWERS, "remove/block.1": "remove", "remove/conv.3": "remove", "width/stem": 5}
    del answers["width/block.1.inner"]  # the whole group is removed, so its width is not asked for
    student = student_of(SPACE.decide(replayed(answers)))
    assert student.removed == ("block.1", "conv.3", "conv.4")
    assert student.widths == (("stem", 10),)


def test_full_widths_and_equal_rounded_widths_are_the_same_student() -> None:
    removed = {**ANSWERS, "remove/conv.3": "remove"}
    rounded = {**removed, "width/block.10.inner": 3}  # 1.2 of 4 channels
    again = {**removed, "width/block.10.inner": 2}  # 0.8
    first, second = SPACE.decide(replayed(rounded)), SPACE.decide(replayed(again))
    assert first.digest() == second.digest()
    assert student_of(SPACE.decide(replayed(removed))).widths == ()


def test_the_teacher_itself_is_not_a_student() -> None:
    with pytest.raises(InvalidArchitecture, match="this is the teacher"):
        SPACE.decide(replayed(ANSWERS))


def test_the_smallest_student_is_in_the_space_and_no_other_is_narrower() -> None:
    smallest = student_of(SPACE.smallest())
    assert smallest == (("block.1", "conv.3", "conv.4"), (("stem", 2), ("block.10.inner", 1)))
    small = LayerRemovalSpace(Outline((("a",),), (Channels(("b",), 20),)), refuse)
    every = {architecture for architecture, _ in enumerated(small.decide)}
    assert len(every) == 2 * 10 - 1
    assert small.smallest() in every


def test_a_record_restores_its_student() -> None:
    architecture, _ = genome.sample(SPACE, np.random.default_rng(0))
    assert student_of(Architecture.from_json(architecture.to_json())) == student_of(architecture)
