"""Static chains, the menu and its router, healing."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas.jobs.adapt.config import Healing
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.grading import Grades
from nas.jobs.adapt.healing import heal, logits_of
from nas.jobs.adapt.questions import Exact, Judged
from nas.jobs.adapt.router import menu_of, prompt_features, routed, trained_router
from nas.jobs.adapt.static import FULL, Choice, best_static, static_chains
from search_spaces.layer_chain.chain import Rules
from search_spaces.layer_chain.shortened import shortened
from tests.search_spaces.layer_chain.models import SIZE, small_llama

RULES = Rules(SIZE.layers)


def evaluator(count: int = 8, seed: int = 0) -> ChainEvaluator:
    """Return questions whose correct answers are the full chain's."""
    model, rng = small_llama(), np.random.default_rng(seed)
    prompts = [tuple(map(int, rng.integers(SIZE.tokens, size=5 + n % 3))) for n in range(count)]
    answers = [int(model(torch.tensor([prompt]))[0, -1].argmax()) for prompt in prompts]
    asked = [Exact(prompt, (answer,)) for prompt, answer in zip(prompts, answers, strict=True)]
    return ChainEvaluator(model, asked, 2**26)


def test_influence_of_a_single_prompt_is_as_computed_directly() -> None:
    one = evaluator(1)
    found, model = Grades(one).influence(), small_llama()
    hidden, around = model.enter(one.tokens)
    states = [hidden]
    for layer in range(model.layers):
        states.append(model.call(layer, states[-1], around))
    for layer in range(model.layers):
        cosine = functional.cosine_similarity(states[layer], states[layer + 1], dim=-1).mean()
        torch.testing.assert_close(float(found.blocks[layer]), float(1 - cosine), atol=1e-5, rtol=0)
    last = functional.cosine_similarity(states[1][0, -1], states[4][0, -1], dim=0)
    torch.testing.assert_close(
        float(found.angles[1, 4]), float(last.arccos() / torch.pi), atol=1e-4, rtol=0
    )


def test_every_method_gives_chains_and_the_full_chain_is_right() -> None:
    grades = Grades(evaluator())
    choices = static_chains(grades, RULES, simulations=40, seed=0)
    assert choices[0] == Choice(FULL, RULES.full)
    assert grades([RULES.full])[0].accuracy == 1
    for method in ("block-influence", "angular-distance", "greedy"):
        lengths = [len(c.chain) for c in choices if c.method == method]
        assert lengths == list(range(SIZE.layers - 1, 0, -1))
    influence = grades.influence().blocks
    first = next(c.chain for c in choices if c.method == "block-influence")
    assert set(RULES.full) - set(first) == {int(influence.argmin())}
    greedy = next(c.chain for c in choices if c.method == "greedy")
    others = [RULES.full[:i] + RULES.full[i + 1 :] for i in range(SIZE.layers)]
    assert grades([greedy])[0] == max(grades(others))
    best = best_static(grades, choices, tolerance=0.3)
    assert grades([best.chain])[0].accuracy >= 0.7
    fitting = [c.chain for c in choices if grades([c.chain])[0].accuracy >= 0.7]
    assert len(best.chain) == min(map(len, fitting))


def judged(right: list[int]) -> list[Judged]:
    return [Judged((one,), bool(one), float(one), 1.0) for one in right]


def test_a_menu_covers_most_samples_with_few_chains() -> None:
    chains = [(0, 1, 2), (0,), (1,), (0, 2)]
    answers = [judged(line) for line in ([1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0])]
    assert menu_of(chains, answers, 1) == [0]
    assert menu_of(chains, answers, 4) == [0, 2, 1]  # the last two save calls


def test_a_router_learns_which_chain_is_right() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 5, generator=generator)
    hard = features[:, 2] > 0
    right = torch.stack([torch.ones(200), (~hard).float()], dim=1)  # short: easy ones only
    router = trained_router(features, right, held=50, seed=0)
    chosen = router.choose(features, [8, 2], price=0.01)
    assert np.mean([place == (not h) for place, h in zip(chosen, hard, strict=True)]) > 0.9
    assert set(router.choose(features, [8, 2], price=1.0)) == {1}
    answers = [judged([1] * 200), judged([int(not h) for h in hard])]
    result = routed(chosen, [tuple(range(8)), (0, 1)], answers)
    assert result.pass_at_1 > 0.9 and result.layer_calls < 6


def test_features_depend_only_on_the_prompt() -> None:
    one = evaluator(3)
    features = prompt_features(one)
    assert features.shape == (3, 2 * SIZE.width + 1)
    assert features[:, -1].tolist() == [len(row.tokens) for row in one.rows]


@pytest.mark.parametrize("way", ["full", "lora"])
def test_healing_moves_answers_towards_the_whole_network(way: Healing) -> None:
    if way == "lora":
        pytest.importorskip("peft")
    whole, taught = small_llama(), evaluator(16)
    short = shortened(whole, (0, 1, 2))

    def distance() -> float:
        with torch.no_grad():
            learnt, known = (logits_of(m, taught.tokens).log_softmax(-1) for m in (short, whole))
        return float(functional.kl_div(learnt, known, log_target=True, reduction="batchmean"))

    before = distance(), sum(taught.answers_of(short))
    lengths = torch.tensor([len(row.tokens) for row in taught.rows])
    short = heal(short, whole, taught.tokens, lengths, 60, 0, way)
    assert distance() < 0.5 * before[0]
    assert sum(taught.answers_of(short)) > before[1]
    assert all(taught.answers_of(whole))
