"""The adapt job: searches chains for groups of samples on workers."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.seeds import candidate_seed
from nas.core.task import Measured
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.language import DecoderSource, question_of
from nas.jobs.adapt.oracle import Found, Search, search_each, shares
from nas.jobs.adapt.questions import Judged
from nas.scores.size import count_parameters
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.chain import Rules
from search_spaces.space import ModelShape, Space

SMALLEST = 1e-12  # lower bound of a probability before taking its logarithm


@dataclass(frozen=True)
class SampleGroups(Space):
    """The search space of an adaptation: an architecture is a group of samples."""

    groups: int

    name = "samples"

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.integer("group", 0, self.groups - 1),))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        raise TypeError("a group of samples is not a network")


@dataclass(frozen=True)
class AdaptJob:
    """Everything that an evaluation needs besides the group; sent once to each worker.

    items: the samples to search chains for. group: the number of samples per group.
    likelihoods: see `question_of`. memory_bytes: for hidden states, see `PrefixTrie`.
    """

    space: SampleGroups
    source: DecoderSource
    items: tuple[Item, ...]
    group: int
    rules: Rules
    search: Search
    likelihoods: bool
    memory_bytes: int
    seed: int

    objective = Objective("mean length of the shortest right chain", "layer calls")
    checkpoint_suffix = ".json"

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Measure the full chain's accuracy on each group."""
        torch.set_num_threads(1)
        return [attempt("ask", lambda group=group: self._screen(group)) for _, group in candidates]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Search a chain for every sample of a group; the checkpoint holds the chains."""
        torch.set_num_threads(1)
        return attempt("search", lambda: self._search(architecture))

    def samples(self, group: Architecture) -> range:
        """Return the numbers of a group's items."""
        (index,) = cast(tuple[int], group.spec)
        return range(index * self.group, min(len(self.items), (index + 1) * self.group))

    def evaluator(self, items: Sequence[Item], at_once: int = 1) -> ChainEvaluator:
        """Return an evaluator of items; `at_once` of them share the memory."""
        language = self.source.load()
        questions = [question_of(item, language, self.likelihoods) for item in items]
        return ChainEvaluator(language.decoder, questions, self.memory_bytes // at_once)

    def _screen(self, group: Architecture) -> Screened:
        started = time.perf_counter()
        evaluator = self.evaluator([self.items[n] for n in self.samples(group)])
        (judged,) = evaluator.answers([self.rules.full])
        right = sum(one.correct for one in judged) / len(judged)
        parameters = count_parameters(self.source.load().module)
        scores = {"full_accuracy": right}
        return Screened(parameters, 0, scores, time.perf_counter() - started)

    def _search(self, group: Architecture) -> Trained:
        started = time.perf_counter()
        numbers = self.samples(group)
        evaluator = self.evaluator([self.items[n] for n in numbers])
        seeds = [candidate_seed(self.seed, n) for n in numbers]
        found = [
            replace(one, difficulty=self.items[n].difficulty)
            for n, one in zip(
                numbers, search_each(evaluator, self.rules, self.search, seeds), strict=True
            )
        ]
        values = shares(found)
        right = sum(one.tried[one.chosen].correct for one in found) / len(found)
        return Trained(
            step=self.search.simulations,
            objective=values["mean_chain_length"],
            validation=Measured(_cross_entropy(found), right),
            checkpoint=found_to_bytes(found),
            seconds=time.perf_counter() - started,
            measures={
                "layer_calls": evaluator.trie.layer_calls,
                "layer_calls_naive": _naive_calls(evaluator, found),
                "launches": evaluator.trie.launches,
                "peak_bytes": evaluator.trie.peak_bytes,
            },
        )


def _cross_entropy(found: Sequence[Found]) -> float:
    """Return the mean cross-entropy of the correct answers with the chosen chains, in nats."""
    likelihoods = [one.tried[one.chosen].likelihood for one in found]
    return -sum(math.log(max(one, SMALLEST)) for one in likelihoods) / len(likelihoods)


def _naive_calls(evaluator: ChainEvaluator, found: Sequence[Found]) -> int:
    """Return the layer calls that running the same chains one after another would take."""
    return sum(
        len(chain) * len(question.rows)
        for question, one in zip(evaluator.questions, found, strict=True)
        for chain in one.tried
    )


def found_to_bytes(found: Sequence[Found]) -> bytes:
    """Return the results as JSON; `found_from_bytes` reads them."""
    return json.dumps(
        [
            {
                "full": one.full,
                "tried": list(one.tried.items()),
                "controls": one.controls,
                "chosen": one.chosen,
                "difficulty": one.difficulty,
            }
            for one in found
        ]
    ).encode()


def found_from_bytes(data: bytes) -> list[Found]:
    return [
        Found(
            tuple(one["full"]),
            {tuple(chain): Judged(tuple(a), *rest) for chain, (a, *rest) in one["tried"]},
            tuple(one["controls"]),
            tuple(one["chosen"]),
            one["difficulty"],
        )
        for one in json.loads(data)
    ]
