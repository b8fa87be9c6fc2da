"""What chains could do for each sample, were the right answer known, beside what chance does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.adapting.questions import Exam, Judged
from nas.adapting.tree import ChainSearch, reward
from search_spaces.layer_chain.chain import Chain, Rules


@dataclass(frozen=True)
class Found:
    """Of one sample: what each tried chain answers, the full one among them.

    controls: what as many perturbations of the full chain's last state answer, one a chain, each
        as long as that chain's own change of it, in a random direction.
    """

    full: Chain
    tried: dict[Chain, Judged]
    controls: tuple[Judged, ...]

    @property
    def right_at_first(self) -> bool:
        return self.tried[self.full].correct

    @property
    def shortest(self) -> Chain | None:
        """The shortest chain with the right answer."""
        right = [chain for chain, judged in self.tried.items() if judged.correct]
        return min(right, key=lambda chain: (len(chain), chain), default=None)


def search_each(exam: Exam, rules: Rules, simulations: int, batch: int, seed: int) -> list[Found]:
    """One tree a sample; `simulations` chains of each are run, besides the full one.

    batch: chains that a tree proposes before it learns; the samples' batches run together.
    """
    rows = range(len(exam.questions))
    streams = np.random.SeedSequence(seed).spawn(len(rows))
    searches = [ChainSearch(rules, np.random.default_rng(stream)) for stream in streams]
    full = exam.last_states([(row, rules.full) for row in rows])
    tried = [{rules.full: judged} for judged in exam.judge(rows, full)]
    controls: list[list[Judged]] = [[] for _ in rows]
    noise = torch.Generator().manual_seed(seed)
    for row in rows:
        searches[row].learn({rules.full: reward(tried[row][rules.full], rules.full, rules)})
    while True:
        wanted = [min(batch, simulations + 1 - len(tried[row])) for row in rows]
        proposed = [searches[row].propose(wanted[row]) for row in rows]
        requests = [(row, chain) for row in rows for chain in proposed[row]]
        if not requests:
            return [
                Found(rules.full, chains, tuple(control))
                for chains, control in zip(tried, controls, strict=True)
            ]
        states, asked = exam.last_states(requests), [row for row, _ in requests]
        for (row, chain), judged in zip(requests, exam.judge(asked, states), strict=True):
            tried[row][chain] = judged
        for row, judged in zip(
            asked, exam.judge(asked, perturbed(full[asked], states, noise)), strict=True
        ):
            controls[row].append(judged)
        for row in rows:
            searches[row].learn({c: reward(tried[row][c], c, rules) for c in proposed[row]})


def perturbed(full: Tensor, states: Tensor, generator: torch.Generator) -> Tensor:
    """`full` moved as far as `states` are from it, in random directions; all `[N, d]`."""
    direction = torch.randn(full.shape, generator=generator).to(full)
    size = (states - full).norm(dim=-1, keepdim=True)
    return full + direction * size / direction.norm(dim=-1, keepdim=True)


def summary(found: Sequence[Found], exam: Exam) -> dict[str, float]:
    """The two shares of CoLa (Li et al. 2025, abstract), the control, and what it cost.

    All but `full_accuracy` need the right answers: they say what is possible, not what a
    user gets. Shares of no samples are NaN.
    """
    right = [one for one in found if one.right_at_first]
    wrong = [one for one in found if not one.right_at_first]
    shorter = [one for one in right if one.shortest and len(one.shortest) < len(one.full)]
    best = [one.shortest or one.full for one in found]
    return {
        "samples": len(found),
        "full_accuracy": _share(len(right), len(found)),
        "right_with_shorter_chain": _share(len(shorter), len(right)),
        "wrong_put_right": _share(sum(one.shortest is not None for one in wrong), len(wrong)),
        "control_pass_at_n": _share(
            sum(any(judged.correct for judged in one.controls) for one in wrong), len(wrong)
        ),
        "mean_chain_length": _share(sum(map(len, best)), len(best)),
        "layer_calls": exam.trie.layer_calls,
        "layer_calls_naive": sum(len(chain) for one in found for chain in one.tried),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
