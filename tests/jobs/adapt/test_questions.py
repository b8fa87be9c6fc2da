"""Judging logits by each kind of question."""

import math

import pytest
import torch

from nas.jobs.adapt.questions import Exact, Judged, Letters, Likelihoods, Row, read

SHARES = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.1, 0.6, 0.2, 0.1]])  # four tokens, two positions
LOGITS = SHARES.log()


def test_letters_are_compared_with_each_other_at_the_last_position() -> None:
    question = Letters((7, 8), (1, 2), gold=1)
    (row,) = question.rows
    assert row == Row((7, 8), 1, options=(1, 2))
    judged = question.judged([LOGITS[:1, [1, 2]]])
    assert judged.answer in ((0,), (1,))
    assert judged.likelihood == pytest.approx(0.5)
    assert Letters((7,), (0, 3), gold=0).judged([LOGITS[:, [0, 3]]]) == Judged(
        (0,), True, pytest.approx(0.5), pytest.approx(0.5)
    )


def test_an_exact_answer_is_right_at_every_position() -> None:
    question = Exact((9,), (0, 1))
    assert question.rows == (Row((9, 0), 0, targets=(0, 1)),)
    judged = question.judged([read(LOGITS, torch.tensor([0, 1]))])
    assert judged.correct and judged.answer == (0, 1)
    assert judged.likelihood == judged.confidence == pytest.approx(0.3)
    wrong = Exact((9,), (0, 2)).judged([read(LOGITS, torch.tensor([0, 2]))])
    assert not wrong.correct
    assert (wrong.likelihood, wrong.confidence) == (pytest.approx(0.1), pytest.approx(0.3))


def test_likelihoods_are_normalised_by_their_length() -> None:
    question = Likelihoods((9,), ((1,), (0, 1)), gold=1)
    assert question.rows == (Row((9,), 0, (1,)), Row((9, 0), 0, (0, 1)))
    judged = question.judged(
        [read(LOGITS[:1], torch.tensor([1])), read(LOGITS, torch.tensor([0, 1]))]
    )
    short, long = math.log(0.2), (math.log(0.5) + math.log(0.6)) / 2
    share = math.exp(long) / (math.exp(long) + math.exp(short))
    assert judged == Judged((1,), True, pytest.approx(share), pytest.approx(share))


@pytest.mark.parametrize(
    ("options", "gold", "message"),
    [((3,), 0, "two or more"), ((3, 3), 0, "different"), ((3, 4), 2, "must be 0 to 1, not 2")],
)
def test_the_refusal_of_a_bad_question_gives_the_reason(options, gold, message) -> None:
    with pytest.raises(ValueError, match=message):
        Letters((1,), options, gold)
    if len(set(options)) == len(options):
        with pytest.raises(ValueError, match=message):
            Likelihoods((1,), tuple((option,) for option in options), gold)


def test_an_answer_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Exact((1,), ())
