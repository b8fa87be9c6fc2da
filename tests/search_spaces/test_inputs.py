"""One tensor, several, or named ones are read alike."""

from itertools import islice

import pytest
import torch
from torch import nn

from compress.timing import speeds
from nas.core.settings import Named
from nas.jobs.compress.distilled import Asked
from nas.models.source import find_model
from search_spaces.inputs import answer_of, call, first, form_of, repeated, zeros
from search_spaces.space import ModelSize
from tests.own_training import TwoInputs

POINTS, GROUPS = torch.rand(3, 6), torch.arange(3)
NAMED = {"points": POINTS, "group": GROUPS}


class Sum(nn.Module):
    def forward(self, points, group):
        return points.sum(1) + group


@pytest.mark.parametrize("inputs", [(POINTS, GROUPS), NAMED])
def test_several_inputs_are_passed_cut_and_repeated_together(inputs) -> None:
    expected = POINTS.sum(1) + GROUPS
    assert torch.equal(call(Sum(), inputs), expected)
    assert torch.equal(call(Sum(), first(inputs, 2)), expected[:2])
    assert torch.equal(call(Sum(), repeated(inputs, 5)), expected[[0, 1, 2, 0, 1]])
    assert call(Sum(), zeros(form_of(inputs))).shape == expected.shape


def test_what_is_the_same_for_all_examples_is_not_cut() -> None:
    table, flag = torch.rand(7, 2), "text"
    cut = first((POINTS, table, flag), 1)
    assert [len(part) for part in cut] == [1, 7, 4]


def test_a_network_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="returned a NoneType without a tensor"):
        answer_of(None)


def test_networks_of_named_inputs_are_timed() -> None:
    (speed,) = speeds([TwoInputs()], NAMED, repeats=1)
    assert set(speed.milliseconds) == {1, 64}
    assert speed.peak_bytes > 0


def test_a_teacher_of_named_inputs_is_asked() -> None:
    own = "tests.own_training"
    named = Named(name=f"{own}:named_batches")
    source, task = find_model(f"{own}:TwoInputs", None, named, ModelSize())
    for batch in islice(Asked(task, source).training_batches(0), 2):
        expected = call(source.build(0).network, batch.inputs)
        torch.testing.assert_close(batch.targets, expected)
