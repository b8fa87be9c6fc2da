"""Makes static chains, a healed network and a router, which serve all inputs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.grading import Grades
from nas.jobs.adapt.held_out import Judgement, judgement_from
from nas.jobs.adapt.job import AdaptJob
from nas.jobs.adapt.oracle import Found
from nas.jobs.adapt.questions import Judged
from nas.jobs.adapt.router import (
    Routed,
    Router,
    menu_of,
    prompt_features,
    routed,
    trained_router,
    worth_most,
)
from nas.jobs.adapt.stages import Tick
from nas.jobs.adapt.static import best_static, graded_for, static_chains
from search_spaces.layer_chain.chain import Chain

CANDIDATES = 64  # chains that a menu is made from
PRICES = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)  # of a call, in correct answers


class Static(NamedTuple):
    """One chain for all inputs, the method that chose it, and its accuracy on the test items."""

    method: str
    chain: Chain
    pass_at_1: float


@dataclass(frozen=True)
class Menu:
    """A router's chains and results.

    chains: what the router chooses from. routed: results on the test items, by price of a call.
    best: the place in `routed` that the fit items chose.
    """

    chains: tuple[Chain, ...]
    routed: tuple[Routed, ...]
    best: int


@dataclass(frozen=True)
class SharedChains:
    """The chains and the router that serve all inputs.

    settings: of the stages that found them. done: the stages that ended, see `stages_of`.
    judgements: results on the test items by name. difficulties: of each test item.
    half: the chain that was healed.
    statics: the full chain comes first; `best_static` is the place of the one to use.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    done: tuple[str, ...] = ()
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    difficulties: tuple[str, ...] = ()
    statics: tuple[Static, ...] = ()
    best_static: int = 0
    half: Chain = ()
    menu: Menu | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "SharedChains":
        """Return the object that `to_json` wrote."""
        data = json.loads(text)
        menu = data["menu"]
        return cls(
            data["settings"],
            tuple(data.get("done", ())),  # absent in runs of earlier versions
            {key: judgement_from(one) for key, one in data["judgements"].items()},
            tuple(data["difficulties"]),
            tuple(Static(method, tuple(chain), right) for method, chain, right in data["statics"]),
            data["best_static"],
            tuple(data["half"]),
            menu
            and Menu(
                tuple(map(tuple, menu["chains"])),
                tuple(Routed(*routed) for routed in menu["routed"]),
                menu["best"],
            ),
        )


class Evaluators(NamedTuple):
    fit: ChainEvaluator
    test: ChainEvaluator


def statics_of(
    job: AdaptJob, evaluators: Evaluators, config: AdaptConfig, tick: Tick
) -> tuple[list[Static], int]:
    """Return static chains of every length by every method, and the place of the one to use."""
    wanted = graded_for(job.rules.layers) + config.simulations
    fitted, tested = Grades(evaluators.fit, tick, wanted), Grades(evaluators.test)
    choices = static_chains(fitted, job.rules, config.simulations, config.seed)
    best = best_static(fitted, choices, config.tolerance)
    grades = tested(choice.chain for choice in choices)
    statics = [Static(c.method, c.chain, g.accuracy) for c, g in zip(choices, grades, strict=True)]
    return statics, choices.index(best)


def menu_for(
    found: Sequence[Found], statics: Sequence[Static], evaluators: Evaluators, config: AdaptConfig
) -> tuple[Menu, Router, list[Chain]]:
    """Make a menu from the most frequent chains and the static ones, and train its router.

    Also returns the chain of every test item. A quarter of the fit items chooses the highest price
    that costs no more than the tolerance.
    """
    full = found[0].full
    often = Counter(worth_most(one.tried) for one in found)
    known = [full, *(s.chain for s in statics), *(c for c, _ in often.most_common(CANDIDATES))]
    candidates = list(dict.fromkeys(known))
    judged = evaluators.fit.answers(candidates)
    chosen = menu_of(candidates, judged, config.menu)
    chains = [candidates[place] for place in chosen]
    right = torch.tensor([[one.likelihood for one in judged[place]] for place in chosen]).T
    features, held = prompt_features(evaluators.fit), max(1, len(right) // 4)
    router = trained_router(features, right, held, config.seed)
    lengths = [len(chain) for chain in chains]
    least = sum(one.correct for one in judged[0][:held]) / held - config.tolerance
    of_menu = [judged[place] for place in chosen]

    def at(price: float, features: Tensor, answers: Sequence[Sequence[Judged]]) -> Routed:
        return routed(router.choose(features, lengths, price), chains, answers)

    tried = [at(price, features[:held], of_menu) for price in PRICES]
    best = max((i for i, r in enumerate(tried) if r.pass_at_1 >= least), default=0)
    answers, asked = evaluators.test.answers(chains), prompt_features(evaluators.test)
    tested = tuple(at(price, asked, answers) for price in PRICES)
    used = [chains[place] for place in router.choose(asked, lengths, PRICES[best])]
    return Menu(tuple(chains), tested, best), router, used


def half_chain(statics: Sequence[Static], fit: ChainEvaluator) -> Chain:
    """Return the best static chain of at most half the layers."""
    layers = len(statics[0].chain)
    half = [s.chain for s in statics if len(s.chain) <= max(1, layers // 2)]
    return max(zip(Grades(fit)(half), half, strict=True))[1]
