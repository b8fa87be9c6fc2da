"""Early exit, the controls, and the table of what serves all inputs."""

import json

import torch

from nas.jobs.adapt.accelerated_exit import RANK, accelerated_exit, fitted
from nas.jobs.adapt.early_exit import early_exit, left
from nas.jobs.adapt.held_out import judgement, majority
from nas.jobs.adapt.held_out_table import held_out_table, share_error
from nas.jobs.adapt.questions import Exact, Judged
from nas.jobs.adapt.shared_chains import SharedChains
from tests.jobs.adapt.test_shared_chains import evaluator


def answers(text: str) -> list[Judged]:
    """Return one item's answers after each layer; the right one is a, capitals are sure."""
    return [
        Judged((ord(one.lower()),), one in "aA", 0.5, 0.9 if one.isupper() else 0.4) for one in text
    ]


def test_an_item_is_answered_when_two_layers_agree_and_are_sure() -> None:
    items = [answers("baAAA"), answers("bbaaA"), answers("cbabA"), answers("BBBBa")]
    by_depth = list(zip(*items, strict=True))
    found = left(by_depth, 0.8)
    assert found.calls == (3, 5, 5, 2)
    assert found.right == (True, True, True, False) and found.same == (True, True, True, False)
    assert left(by_depth, 0.0).calls == (3, 2, 5, 2)
    assert left(by_depth, 1.1).calls == (5, 5, 5, 5)


def test_early_exit_keeps_the_accuracy_on_the_fit_items() -> None:
    fit, test = evaluator(12), evaluator(12, seed=1)
    found = early_exit(fit, test, tolerance=0.0)
    assert all(1 < calls <= fit.decoder.layers for calls in found.calls)
    assert found.right == found.same  # the full chain is right everywhere


def test_accelerators_find_a_linear_change_and_are_of_low_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(300, 24, generator=generator)
    change = torch.randn(24, 3, generator=generator) @ torch.randn(3, 24, generator=generator)
    last = states + states @ change + 2
    found = fitted(states, last)
    assert torch.linalg.matrix_rank(found.change, rtol=1e-4) <= RANK
    assert float((found.moved(states) - last).norm()) < 0.03 * float((states - last).norm())


def test_accelerated_exit_keeps_the_answers_of_the_last_layer() -> None:
    fit, test = evaluator(24), evaluator(12, seed=1)
    found = accelerated_exit(fit, test, tolerance=0.0)
    stays = [n for n, calls in enumerate(found.calls) if calls == fit.decoder.layers]
    assert all(found.right[n] for n in stays)  # the full chain is right everywhere
    assert all(2 <= calls <= fit.decoder.layers for calls in found.calls)


def test_the_majority_answer_is_the_most_frequent_one_of_the_fit_items() -> None:
    fit, test = evaluator(3), evaluator(4, seed=1)
    fit.questions = tuple(Exact((1,), (n,)) for n in (2, 2, 3))
    test.questions = tuple(Exact((1,), (n,)) for n in (2, 3, 2, 2))
    assert majority(fit, test).right == (True, False, True, True)


def test_the_table_has_errors_controls_and_difficulties_and_survives_json() -> None:
    one = evaluator(4)
    full = judgement("the full chain", one, [(0, 1, 2, 3, 4, 5)] * 4, 0, 50.0)
    short = judgement("short", one, [(0,), (0, 1), (0,), (1,)], 0, None)
    assert full.by_chance == () and len(short.by_chance) == 4 and short.calls == 1.25
    shared = SharedChains({}, (), {"full": full, "short": short}, ("b", "a", "a", "b"))
    assert SharedChains.from_json(shared.to_json()) == shared
    assert json.loads(shared.to_json())["difficulties"] == ["b", "a", "a", "b"]
    text = "\n".join(held_out_table(shared))
    assert "on 4 held-out items" in text and "1.000 ± 0.000" in text
    assert share_error(0.5, 100) == 0.05
    assert [line.split()[-2:] for line in text.splitlines() if "items  " in line][-1] == ["2", "2"]
