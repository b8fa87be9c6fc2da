"""The job of depth reduction: finds chains of every length by each method on workers."""

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn

from nas.core.executor import CandidateFailed, attempt
from nas.core.job import Objective, Screened, Trained
from nas.core.task import Measured
from nas.jobs.adapt.language import DecoderSource
from nas.jobs.adapt.static import METHODS, Method, chains_by
from nas.jobs.adapt.text.evaluator import TextEvaluator, TextGrade
from nas.jobs.adapt.text.windows import Windows
from nas.scores.size import count_parameters
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.space import ModelShape, Space


@dataclass(frozen=True)
class Methods(Space):
    """A space whose architectures are the methods that choose chains."""

    name = "static-method"

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.choose("method", METHODS),))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        raise TypeError("a method is not a network")


@dataclass(frozen=True, slots=True)
class Depth:
    """A chain with its grades on the windows that chose it, and on the test windows."""

    chain: Chain
    fit: TextGrade
    test: TextGrade


@dataclass(frozen=True)
class TextJob:
    """Everything that an evaluation needs besides the method; sent once to each worker.

    simulations: see `chains_by`. memory_bytes: for hidden states, see `PrefixTrie`.
    """

    source: DecoderSource
    windows: Windows
    rules: Rules
    simulations: int
    memory_bytes: int
    seed: int

    space = Methods()
    objective = Objective("loss of the chains, mean over lengths", "nats")
    checkpoint_suffix = ".json"

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        torch.set_num_threads(1)
        return [attempt("load", self._screen) for _ in candidates]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Find and grade chains; the checkpoint holds one `Depth` per length."""
        torch.set_num_threads(1)
        return attempt("choose", lambda: self._train(method_of(architecture)))

    def evaluators(self) -> tuple[TextEvaluator, TextEvaluator]:
        """Return new evaluators of the windows that choose chains, and of the test windows."""
        decoder = self.source.load().decoder
        fit, test = (
            TextEvaluator(decoder, windows, self.memory_bytes // 2)
            for windows in (self.windows.fit, self.windows.test)
        )
        return fit, test

    def _screen(self) -> Screened:
        started = time.perf_counter()
        fit, _ = self.evaluators()
        (full,) = fit([self.rules.full])
        parameters = count_parameters(self.source.load().module)
        scores = {"full_perplexity": full.perplexity}
        return Screened(parameters, 0, scores, time.perf_counter() - started)

    def _train(self, method: Method) -> Trained:
        started = time.perf_counter()
        fit, test = self.evaluators()
        chains = chains_by(method, fit, self.rules, self.simulations, self.seed)
        graded, calls = len(fit.known), fit.trie.layer_calls
        depths = [Depth(*known) for known in zip(chains, fit(chains), test(chains), strict=True)]
        loss = -sum(depth.fit.log_likelihood for depth in depths) / len(depths)
        return Trained(
            step=1,
            objective=loss,
            validation=Measured(loss, math.exp(min(loss, 700.0))),
            checkpoint=json.dumps([asdict(depth) for depth in depths]).encode(),
            seconds=time.perf_counter() - started,
            measures={"chains_graded": graded, "layer_calls": calls},
        )


def method_of(architecture: Architecture) -> Method:
    (method,) = cast(tuple[Method], architecture.spec)
    return method


def depths_from_bytes(data: bytes) -> list[Depth]:
    """Return the depths of a checkpoint."""
    return [depth_from(one) for one in json.loads(data)]


def depth_from(data: dict[str, Any]) -> Depth:
    """Return a depth from its JSON object."""
    return Depth(tuple(data["chain"]), TextGrade(**data["fit"]), TextGrade(**data["test"]))
