"""Searches a chain for each sample, with random perturbations as a control."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nas.jobs.adapt.config import By, Method, Objective
from nas.jobs.adapt.evaluator import ChainEvaluator, States
from nas.jobs.adapt.influence import influence_of
from nas.jobs.adapt.questions import Judged
from nas.jobs.adapt.reward import reward
from nas.jobs.adapt.searches.search import SEARCHES
from search_spaces.layer_chain.chain import Chain, Rules


@dataclass(frozen=True, slots=True)
class Search:
    """The settings of a chain search.

    simulations: the chains to run per sample, besides the full one.
    batch: the chains that a search proposes before it learns; the samples' batches run together.
    objective: "shorter" uses all simulations; "correct" stops at the first correct answer.
    by: see `reward`. method: see `nas.jobs.adapt.searches`.
    """

    simulations: int = 200
    batch: int = 8
    objective: Objective = "shorter"
    by: By = "gold"
    method: Method = "both-ends"


@dataclass(frozen=True)
class Found:
    """The result of one sample's search: the answers of all chains tried, including the full one.

    controls: for each chain, whether a random perturbation of the full chain's last states gives
        the correct answer; it is as large as the chain's own change of these states.
    chosen: the chain with the highest reward.
    difficulty: the sample's group, "" for none.
    """

    full: Chain
    tried: dict[Chain, Judged]
    controls: tuple[bool, ...]
    chosen: Chain
    difficulty: str = ""

    @property
    def right_at_first(self) -> bool:
        return self.tried[self.full].correct

    @property
    def shortest(self) -> Chain | None:
        """The shortest chain with the correct answer."""
        right = [chain for chain, judged in self.tried.items() if judged.correct]
        return min(right, key=lambda chain: (len(chain), chain), default=None)


class _Sample:
    """The state of one sample's search: the chains tried and the controls."""

    def __init__(
        self,
        rules: Rules,
        search: Search,
        weakest: Sequence[int],
        full: States,
        judged: Judged,
        seed: int,
    ) -> None:
        self.search, self.rules, self.states, self.full = search, rules, full, judged
        self.method = SEARCHES[search.method](rules, np.random.default_rng(seed), weakest)
        self.noise = torch.Generator().manual_seed(seed)
        self.tried: dict[Chain, Judged] = {}
        self.controls: list[bool] = []
        self.learn({rules.full: judged})

    @property
    def wanted(self) -> int:
        """The number of chains to run next."""
        if self.search.objective == "correct" and any(j.correct for j in self.tried.values()):
            return 0
        return min(self.search.batch, self.search.simulations + 1 - len(self.tried))

    def learn(self, judged: dict[Chain, Judged]) -> None:
        self.tried |= judged
        self.method.learn({chain: self._reward(chain) for chain in judged})

    def found(self) -> Found:
        chosen = max(self.tried, key=lambda chain: (self._reward(chain), -len(chain)))
        return Found(self.rules.full, self.tried, tuple(self.controls), chosen)

    def _reward(self, chain: Chain) -> float:
        return reward(self.tried[chain], chain, self.rules, self.full, self.search.by)


def search_each(
    evaluator: ChainEvaluator, rules: Rules, search: Search, seeds: Sequence[int]
) -> list[Found]:
    """Search a chain for each question of the evaluator, with one search and seed per question.

    Every search is given the layers in order of their influence over all questions.
    """
    everyone = range(len(evaluator.questions))
    states = evaluator.states([(n, rules.full) for n in everyone])
    judged = evaluator.judge(everyone, states)
    weakest = (
        influence_of(evaluator.decoder, (row.tokens for row in evaluator.rows))
        .blocks.argsort(stable=True)
        .tolist()
    )
    samples = [
        _Sample(rules, search, weakest, *known) for known in zip(states, judged, seeds, strict=True)
    ]
    while True:
        proposed = [sample.method.propose(sample.wanted) for sample in samples]
        requests = [(n, chain) for n in everyone for chain in proposed[n]]
        if not requests:
            return [sample.found() for sample in samples]
        asked, ends = [n for n, _ in requests], evaluator.states(requests)
        moved = [
            perturbed(samples[n].states, end, samples[n].noise)
            for n, end in zip(asked, ends, strict=True)
        ]
        new: list[dict[Chain, Judged]] = [{} for _ in everyone]
        for (n, chain), answer in zip(requests, evaluator.judge(asked, ends), strict=True):
            new[n][chain] = answer
        for n, answer in zip(asked, evaluator.judge(asked, moved), strict=True):
            samples[n].controls.append(answer.correct)
        for sample, answers in zip(samples, new, strict=True):
            sample.learn(answers)


def perturbed(full: States, states: States, generator: torch.Generator) -> States:
    """Move every state of `full` in a random direction, as far as `states` differs from it."""
    moved = []
    for at_first, changed in zip(full, states, strict=True):
        direction = torch.randn(at_first.shape, generator=generator).to(at_first)
        size = (changed - at_first).norm(dim=-1, keepdim=True)
        moved.append(at_first + direction * size / direction.norm(dim=-1, keepdim=True))
    return tuple(moved)


def shares(found: Sequence[Found]) -> dict[str, float]:
    """Return the two shares of CoLa (Li et al. 2025, abstract) and the control.

    All but `full_accuracy` use the correct answers: they show what is possible, not what a user
    gets. A share of zero samples is NaN.
    calls_saved: the mean share of layer calls saved, over the correctly answered samples that have
        a shorter correct chain.
    control_pass_at_n: the share of wrongly answered samples that a perturbation corrects.
    """
    right = [one for one in found if one.right_at_first]
    wrong = [one for one in found if not one.right_at_first]
    shorter = [c for one in right if (c := one.shortest) and len(c) < len(one.full)]
    depth = len(found[0].full) if found else 0
    return {
        "samples": len(found),
        "full_accuracy": _share(len(right), len(found)),
        "right_with_shorter_chain": _share(len(shorter), len(right)),
        "calls_saved": _share(sum(depth - len(c) for c in shorter), depth * len(shorter)),
        "wrong_put_right": _share(sum(one.shortest is not None for one in wrong), len(wrong)),
        "control_pass_at_n": _share(sum(any(one.controls) for one in wrong), len(wrong)),
        "mean_chain_length": _share(
            sum(len(one.shortest or one.full) for one in found), len(found)
        ),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
