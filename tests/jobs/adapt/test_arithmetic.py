"""Step-by-step arithmetic as a task and as questions."""

import pytest
import torch

from nas.core.errors import BadInput
from nas.core.task import BadData
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.language import DecoderSource, question_of
from nas.jobs.adapt.questions import Exact
from nas.jobs.adapt.small_decoder import decoder_source
from nas.tasks.arithmetic import IGNORED, TEST, VALIDATION, load_arithmetic

TASK = load_arithmetic(batch=64)


def value(text: str) -> int:
    """Evaluate an expression from left to right, without precedence."""
    total = int(text[0])
    for sign, digit in zip(text[1::2], text[2::2], strict=True):
        total = {"+": total + int(digit), "-": total - int(digit), "*": total * int(digit)}[sign]
    return total % TASK.modulus


def test_targets_are_the_values_so_far() -> None:
    batch = next(TASK.training_batches(0))
    assert batch.inputs.shape == (64, TASK.operations + 1)
    for tokens, targets in zip(batch.inputs, batch.targets, strict=True):
        for end, target in enumerate(targets.tolist(), start=1):
            assert target in (value(TASK.text(tokens[:end])), IGNORED)


def test_held_out_expressions_are_never_trained_on() -> None:
    asked = {text for n in (1, 2, 3) for text, _ in TASK.held_out(n, 1000, TEST)}
    trained = set()
    for batch, _ in zip(TASK.training_batches(0), range(50), strict=False):
        for tokens, targets in zip(batch.inputs, batch.targets, strict=True):
            trained |= {TASK.text(tokens[: end + 1]) for end in (1, 2, 3) if targets[end] >= 0}
    assert len(asked) > 1000 and len(trained) > 1000
    assert not asked & trained
    for text, answer in TASK.held_out(8, 20, TEST):
        assert int(answer) == value(text)


def test_only_held_out_expressions_are_measured() -> None:
    for batches in (TASK.validation_batches(), TASK.test_batches()):
        counts = [int((batch.targets != IGNORED).sum()) for batch in batches]
        assert len(counts) == TASK.operations and min(counts) > 100

    def answered(right: bool):
        for batch in TASK.validation_batches():
            known = batch.targets.clamp(min=0)
            logits = torch.nn.functional.one_hot(known, TASK.tokens).float() * 20
            yield (logits if right else -logits), batch.targets

    assert TASK.measure(answered(True)).metric == 1
    assert TASK.measure(answered(False)).metric == 0
    assert TASK.held_out(5, 9, TEST) != TASK.held_out(5, 9, VALIDATION)


def test_a_text_is_read_or_refused() -> None:
    assert TASK.text(TASK.encode("3+5*2-4")) == "3+5*2-4"
    for text in ("", "+3", "3+", "3+7", "3 + 5", "12"):
        with pytest.raises(ValueError, match="cannot read"):
            TASK.encode(text)
    with pytest.raises(BadData, match="at most 10"):
        load_arithmetic(modulus=11)


def test_an_expression_is_a_question() -> None:
    language = DecoderSource("", decoder_source(2, TASK), TASK).load()
    question = question_of(Item("3+5", answer="1"), language, likelihoods=False)
    assert question == Exact((3, 12), (1,))
    with pytest.raises(BadInput, match="cannot read"):
        question_of(Item("three", answer="1"), language, likelihoods=False)
