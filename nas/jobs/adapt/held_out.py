"""Judges what serves all inputs on held-out items, beside two controls that know nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.oracle import perturbed
from search_spaces.layer_chain.chain import Chain


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answers of one way to serve all inputs.

    right: for each held-out item. calls: mean layer calls per item; None if no decoder is asked.
    by_chance: for each item, whether a random perturbation of the full chain's last states, as
        large as the change by the chain, gives the right answer; empty without a change.
    written: tokens per second that it writes; None if not measured.
    """

    name: str
    right: tuple[bool, ...]
    calls: float | None = None
    by_chance: tuple[bool, ...] = ()
    written: float | None = None


def judgement_from(data: dict[str, Any]) -> Judgement:
    """Return a judgement from its JSON object."""
    lists = {key: tuple(data[key]) for key in ("right", "by_chance")}
    return Judgement(**{**data, **lists})


def majority(fit: ChainEvaluator, test: ChainEvaluator) -> Judgement:
    """Give the most frequent right answer of the fit items to every test item."""
    often = Counter(question.right_answer for question in fit.questions)
    ((answer, _),) = often.most_common(1)
    right = tuple(question.right_answer == answer for question in test.questions)
    return Judgement("always the most frequent answer", right)


def judgement(
    name: str, test: ChainEvaluator, chains: Sequence[Chain], seed: int, written: float | None
) -> Judgement:
    """Judge one chain per test item."""
    everyone = range(len(test.questions))
    full = tuple(range(test.decoder.layers))
    ends = test.states(list(zip(everyone, chains, strict=True)))
    right = tuple(one.correct for one in test.judge(everyone, ends))
    calls = sum(map(len, chains)) / len(chains)
    if set(chains) == {full}:
        return Judgement(name, right, calls, (), written)
    generator = torch.Generator().manual_seed(seed)
    at_first = test.states([(n, full) for n in everyone])
    moved = [perturbed(first, end, generator) for first, end in zip(at_first, ends, strict=True)]
    by_chance = tuple(one.correct for one in test.judge(everyone, moved))
    return Judgement(name, right, calls, by_chance, written)
