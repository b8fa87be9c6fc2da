"""Depth reduction by a plain text."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from nas.core.errors import BadInput
from nas.core.settings import Named
from nas.jobs.adapt.improvement import improved
from nas.jobs.adapt.language import DecoderSource, Language
from nas.jobs.adapt.small_decoder import decoder_source, decoder_task, held_out_items
from nas.jobs.adapt.static import METHODS, chains_by
from nas.jobs.adapt.text.evaluator import TextEvaluator
from nas.jobs.adapt.text.windows import read_windows
from search_spaces.layer_chain.chain import Rules, skips_and_repeats
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.layer_chain.shortened import shortened
from tests.search_spaces.layer_chain.models import SIZE, small_llama

RULES = Rules(SIZE.layers, skips_and_repeats([1], []))


def windows(count: int = 4, length: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(SIZE.tokens, (count, length), generator=generator)


def test_a_chain_is_graded_as_its_network_and_as_computed_directly() -> None:
    model, tokens, chain = small_llama(), windows(), (0, 2, 2, 5)
    grades = TextEvaluator(model, tokens, 2**24)
    (found,), alone = grades([chain]), grades.grade_of(shortened(model, chain))
    logits, full = (run_chain(model, tokens, c)[:, :-1] for c in (chain, RULES.full))
    loss = float(functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()))
    learnt, taught = logits.log_softmax(-1), full.log_softmax(-1)
    divergence = float((taught.exp() * (taught - learnt)).sum(-1).mean())
    for grade in (found, alone):
        assert -grade.log_likelihood == pytest.approx(loss, rel=1e-4)
        assert grade.divergence == pytest.approx(divergence, rel=1e-3)
        assert grade.perplexity == pytest.approx(math.exp(loss), rel=1e-3)


def test_the_full_chain_has_no_divergence_and_is_close_to_itself() -> None:
    grades = TextEvaluator(small_llama(), windows(), 2**24)
    full, half = grades([RULES.full, (0, 1, 2)])
    assert full.divergence == pytest.approx(0, abs=1e-6)
    assert full.is_close_to(full, 0.0)
    ratio = half.perplexity / full.perplexity
    assert half.is_close_to(full, ratio - 0.99) and not half.is_close_to(full, ratio - 1.01)


def test_searched_chains_are_never_worse_than_greedy_ones_and_can_be_optimal() -> None:
    grades = TextEvaluator(small_llama(), windows(), 2**24)
    greedy = chains_by("greedy", grades, RULES, 0, 0)
    found = improved(greedy, grades, RULES, 1000, seed=0)
    assert [len(chain) for chain in found] == [5, 4, 3, 2, 1]
    for before, after in zip(greedy, found, strict=True):
        assert grades.known[after] >= grades.known[before]
    everything = [c for n in (5, 1) for c in itertools.combinations(RULES.full, n)]
    best = {
        n: max(c for c in zip(grades(everything), everything, strict=True) if len(c[1]) == n)
        for n in (5, 1)
    }
    assert found[0] == best[5][1] and found[-1] == best[1][1]


def test_every_method_gives_a_chain_of_every_length() -> None:
    grades = TextEvaluator(small_llama(), windows(), 2**24)
    for method in METHODS:
        lengths = [len(chain) for chain in chains_by(method, grades, RULES, 5, 0)]
        assert lengths == [5, 4, 3, 2, 1]


@pytest.fixture(scope="module")
def language() -> Language:
    """Return an untrained decoder that reads bytes."""
    task = decoder_task(Named(name="python-text"))
    return DecoderSource("", decoder_source(2, task)).load()


def test_windows_follow_each_other_and_the_test_ones_come_last(
    tmp_path: Path, language: Language
) -> None:
    file = tmp_path / "text"
    file.write_text("".join(chr(97 + i % 26) for i in range(1000)))
    found = read_windows(file, language, count=5, length=10)
    assert found.test.shape == found.fit.shape == (5, 10)
    assert torch.equal(found.heal[1], found.heal[0].add(10 - 97).remainder(26).add(97))
    assert len(found.heal) == 75 and found.test[0, 0] == 97 + 750 % 26


def test_a_text_that_is_too_short_or_not_text_is_refused(
    tmp_path: Path, language: Language
) -> None:
    file = tmp_path / "text"
    file.write_text("a" * 39)
    with pytest.raises(BadInput, match=r"has 3 windows of 10 tokens, but needs four"):
        read_windows(file, language, count=5, length=10)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="byte 0 is not UTF-8"):
        read_windows(file, language, count=5, length=10)


def test_items_of_a_text_task_ask_for_what_follows() -> None:
    task = decoder_task(Named(name="python-text"))
    text = bytes(task.test.tolist()).decode(errors="ignore")  # type: ignore[union-attr]
    items = held_out_items(task, 20)
    assert len(items) == 20 and len({item.prompt for item in items}) == 20
    assert all(item.prompt + item.answer in text for item in items)
    with pytest.raises(BadInput, match="can be trained on arithmetic"):
        decoder_task(Named(name="digits"))
