"""Makes static chains, a healed network and a router, which serve all inputs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.grading import Grades
from nas.jobs.adapt.healing import accuracy_of, heal
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
from nas.jobs.adapt.static import best_static, static_chains
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.shortened import shortened

CANDIDATES = 64  # chains that a menu is made from
PRICES = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)  # of a call, in correct answers


class Static(NamedTuple):
    """One chain for all inputs, the method that chose it, and its accuracy on the test items."""

    method: str
    chain: Chain
    pass_at_1: float


@dataclass(frozen=True)
class Generated:
    """The free-text accuracy of the full and the static chain."""

    full: float
    static: float


@dataclass(frozen=True)
class Healed:
    """A chain of half the layers, with its accuracy before and after training."""

    chain: Chain
    before: float
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

    statics: the full chain comes first; `best_static` is the place of the one to use.
    """

    statics: tuple[Static, ...] = ()
    best_static: int = 0
    generated: Generated | None = None
    healed: Healed | None = None
    menu: Menu | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "SharedChains":
        """Return the object that `to_json` wrote."""
        data = json.loads(text)
        healed, menu = data["healed"], data["menu"]
        return cls(
            tuple(Static(method, tuple(chain), right) for method, chain, right in data["statics"]),
            data["best_static"],
            data["generated"] and Generated(**data["generated"]),
            healed and Healed(tuple(healed["chain"]), healed["before"], healed["pass_at_1"]),
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
    job: AdaptJob, evaluators: Evaluators, config: AdaptConfig
) -> tuple[list[Static], int]:
    """Return static chains of every length by every method, and the place of the one to use."""
    fitted, tested = Grades(evaluators.fit), Grades(evaluators.test)
    choices = static_chains(fitted, job.rules, config.simulations, config.seed)
    best = best_static(fitted, choices, config.tolerance)
    grades = tested(choice.chain for choice in choices)
    statics = [Static(c.method, c.chain, g.accuracy) for c, g in zip(choices, grades, strict=True)]
    return statics, choices.index(best)


def menu_for(
    found: Sequence[Found], statics: Sequence[Static], evaluators: Evaluators, config: AdaptConfig
) -> tuple[Menu, Router]:
    """Make a menu from the most frequent chains and the static ones, and train its router.

    A quarter of the fit items chooses the highest price that costs no more than the tolerance.
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
    return Menu(tuple(chains), tested, best), router


def healed_chain(
    job: AdaptJob, statics: Sequence[Static], evaluators: Evaluators, config: AdaptConfig
) -> tuple[Healed, torch.nn.Module]:
    """Train the best static chain of at most half the layers on the fit items."""
    grades = Grades(evaluators.fit)
    half = [s.chain for s in statics if len(s.chain) <= max(1, job.rules.layers // 2)]
    chain = max(zip(grades(half), half, strict=True))[1]
    whole = job.source.load().module
    short = shortened(whole, chain)
    before = accuracy_of(short, evaluators.test)
    lengths = torch.tensor([len(row.tokens) for row in evaluators.fit.rows])
    heal(short, whole, evaluators.fit.tokens, lengths, config.heal_steps, config.seed)
    return Healed(chain, before, accuracy_of(short, evaluators.test)), short
