"""A menu of a few chains, and a small network that picks one for each input.

As in Dr.LLM (Heakl et al. 2025, https://arxiv.org/abs/2510.12773), the decoder is unchanged and the
choice is made once, from the prompt. Dr.LLM decides layer by layer; we choose whole chains from a
menu, so inputs with the same choice can run as one batch.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.questions import Judged
from search_spaces.layer_chain.chain import Chain

HIDDEN, STEPS, LEARNING_RATE = 64, 1000, 3e-3
WEIGHT_DECAYS = (0.01, 0.3, 1.0, 3.0)  # there are few examples with many features
PRICE = 0.3  # of the longest chain in the menu, in correct answers


class Routed(NamedTuple):
    """The share of correct answers with the chosen chains, and the mean number of layer calls."""

    pass_at_1: float
    layer_calls: float


def worth_most(tried: Mapping[Chain, Judged]) -> Chain:
    """Return the chain with the highest likelihood of the correct answer, less its price."""
    longest = max(map(len, tried))
    return max(tried, key=lambda chain: tried[chain].likelihood - PRICE * len(chain) / longest)


def menu_of(chains: Sequence[Chain], judged: Sequence[Sequence[Judged]], size: int) -> list[int]:
    """Return the places of the chains that together answer the samples best for their price.

    The first is the best single chain; each further one adds the most (greedy cover). An answer
    counts by its likelihood, because with many chains some are right by luck, at low likelihood.
    judged: each chain's answers to all samples.
    """
    lengths = torch.tensor([len(chain) for chain in chains], dtype=torch.double)
    right = torch.tensor([[one.likelihood for one in line] for line in judged])
    values = right - PRICE * (lengths / lengths.max())[:, None]  # [chains, samples]
    best = torch.full((values.shape[1],), -1.0, dtype=values.dtype)
    menu: list[int] = []
    while len(menu) < min(size, len(chains)):
        gains = torch.maximum(values, best).mean(dim=1)
        place = int(gains.argmax())
        if menu and gains[place] <= best.mean() + 1e-12:
            break
        menu.append(place)
        best = torch.maximum(best, values[place])
    return menu


class Router(nn.Module):
    """Maps prompt features `[N, f]` to logits that each menu chain is correct, `[N, menu]`."""

    def __init__(self, features: Tensor, size: int) -> None:
        super().__init__()
        self.mean = nn.Buffer(features.mean(dim=0))
        self.scale = nn.Buffer(features.std(dim=0).clamp(min=1e-6))
        self.layers = nn.Sequential(
            nn.Linear(features.shape[1], HIDDEN), nn.GELU(), nn.Linear(HIDDEN, size)
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers((features - self.mean) / self.scale)

    @torch.no_grad()
    def choose(self, features: Tensor, lengths: Sequence[int], price: float) -> list[int]:
        """Return each sample's menu place: the likeliest to be correct, less `price` per call."""
        chances = self(features).sigmoid()
        return (chances - price * torch.tensor(lengths)).argmax(dim=1).tolist()


def trained_router(features: Tensor, right: Tensor, held: int, seed: int) -> Router:
    """Train a router on all but the first `held` samples, which choose the weight decay.

    features: `[N, f]`. right: `[N, menu]`, likelihoods of correct answers, 0 to 1.
    """
    routers = [_trained(features[held:], right[held:], decay, seed) for decay in WEIGHT_DECAYS]

    @torch.no_grad()
    def loss(router: Router) -> float:
        return float(_loss(router(features[:held]), right[:held]))

    return min(routers, key=loss)


def _trained(features: Tensor, right: Tensor, decay: float, seed: int) -> Router:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        router = Router(features, right.shape[1])
    optimizer = torch.optim.AdamW(router.parameters(), LEARNING_RATE, weight_decay=decay)
    for _ in range(STEPS):
        loss = _loss(router(features), right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return router.eval()


def _loss(logits: Tensor, right: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, right)


@torch.no_grad()
def prompt_features(evaluator: ChainEvaluator) -> Tensor:
    """Return prompt features `[N, 2 d + 1]`: mean embedding, last embedding and length."""
    features = []
    for question in evaluator.questions:
        row = question.rows[0]
        entered = evaluator.decoder.enter(torch.tensor([row.tokens]))[0][0, : row.first + 1].cpu()
        length = torch.tensor([float(len(entered))])
        features.append(torch.cat([entered.mean(dim=0).float(), entered[-1].float(), length]))
    return torch.stack(features)


def routed(
    chosen: Sequence[int], chains: Sequence[Chain], judged: Sequence[Sequence[Judged]]
) -> Routed:
    """Measure a choice of chains.

    chosen: each sample's place in the menu. judged: each chain's answers to all samples.
    """
    right = [judged[place][n].correct for n, place in enumerate(chosen)]
    calls = [len(chains[place]) for place in chosen]
    return Routed(sum(right) / len(right), sum(calls) / len(calls))
