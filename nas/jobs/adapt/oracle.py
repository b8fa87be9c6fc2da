"""What chains could do for each sample, beside what chance does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nas.jobs.adapt.config import By, Objective
from nas.jobs.adapt.evaluator import ChainEvaluator, States
from nas.jobs.adapt.influence import influence_of
from nas.jobs.adapt.questions import Judged
from nas.jobs.adapt.tree import ChainSearch, reward
from search_spaces.layer_chain.chain import Chain, Rules


@dataclass(frozen=True, slots=True)
class Search:
    """How a chain is searched for.

    simulations: chains of each sample that are run, besides the full one.
    batch: chains that a tree proposes before it learns; the samples' batches run together.
    objective: "shorter" uses all simulations; "correct" stops at the first right answer.
    by: see `reward`.
    """

    simulations: int = 200
    batch: int = 8
    objective: Objective = "shorter"
    by: By = "gold"


@dataclass(frozen=True)
class Found:
    """Of one sample: what each tried chain answers, the full one among them.

    controls: whether as many perturbations of the full chain's last states answer right, one a
        chain, each as large as that chain's own change of them, in a random direction.
    chosen: the chain of the highest reward.
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
        """The shortest chain with the right answer."""
        right = [chain for chain, judged in self.tried.items() if judged.correct]
        return min(right, key=lambda chain: (len(chain), chain), default=None)


class _Sample:
    """One tree, what it has tried and its controls, while the search goes on."""

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
        self.tree = ChainSearch(rules, np.random.default_rng(seed), weakest)
        self.noise = torch.Generator().manual_seed(seed)
        self.tried: dict[Chain, Judged] = {}
        self.controls: list[bool] = []
        self.learn({rules.full: judged})

    @property
    def wanted(self) -> int:
        """How many chains to run next."""
        if self.search.objective == "correct" and any(j.correct for j in self.tried.values()):
            return 0
        return min(self.search.batch, self.search.simulations + 1 - len(self.tried))

    def learn(self, judged: dict[Chain, Judged]) -> None:
        self.tried |= judged
        self.tree.learn({chain: self._reward(chain) for chain in judged})

    def found(self) -> Found:
        chosen = max(self.tried, key=lambda chain: (self._reward(chain), -len(chain)))
        return Found(self.rules.full, self.tried, tuple(self.controls), chosen)

    def _reward(self, chain: Chain) -> float:
        return reward(self.tried[chain], chain, self.rules, self.full, self.search.by)


def search_each(
    evaluator: ChainEvaluator, rules: Rules, search: Search, seeds: Sequence[int]
) -> list[Found]:
    """One tree a question of the evaluator, each with its own seed.

    Trees are opened with chains that skip the layers of least influence on all the questions.
    """
    everyone = range(len(evaluator.questions))
    states = evaluator.states([(n, rules.full) for n in everyone])
    judged = evaluator.judge(everyone, states)
    weakest = influence_of(evaluator).blocks.argsort(stable=True).tolist()
    samples = [
        _Sample(rules, search, weakest, *known) for known in zip(states, judged, seeds, strict=True)
    ]
    while True:
        proposed = [sample.tree.propose(sample.wanted) for sample in samples]
        requests = [(n, chain) for n in everyone for chain in proposed[n]]
        if not requests:
            return [sample.found() for sample in samples]
        asked, ends = [n for n, _ in requests], evaluator.states(requests)
        moved = [
            perturbed(samples[n].states, end, samples[n].noise)
            for n, end in zip(asked, ends, strict=True)
        ]
        new: list[dict[Chain, Judged]] = [{} for _ in everyone]
        for (n, chain), told in zip(requests, evaluator.judge(asked, ends), strict=True):
            new[n][chain] = told
        for n, told in zip(asked, evaluator.judge(asked, moved), strict=True):
            samples[n].controls.append(told.correct)
        for sample, told in zip(samples, new, strict=True):
            sample.learn(told)


def perturbed(full: States, states: States, generator: torch.Generator) -> States:
    """Every state of `full` moved as far as that of `states` is from it, in a random direction."""
    moved = []
    for at_first, changed in zip(full, states, strict=True):
        direction = torch.randn(at_first.shape, generator=generator).to(at_first)
        size = (changed - at_first).norm(dim=-1, keepdim=True)
        moved.append(at_first + direction * size / direction.norm(dim=-1, keepdim=True))
    return tuple(moved)


def shares(found: Sequence[Found]) -> dict[str, float]:
    """The two shares of CoLa (Li et al. 2025, abstract) and the control.

    All but `full_accuracy` need the right answers: they say what is possible, not what a
    user gets. Shares of no samples are NaN.
    calls_saved: of the right samples that have a shorter right chain, mean share of the calls.
    control_pass_at_n: of the wrong samples, those that one of the perturbations puts right.
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
