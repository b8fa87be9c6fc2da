"""Which candidates advance to the next stage."""

import random
from collections.abc import Iterator

import pytest

from nas.loop.halving import Rungs, halved


def promoted(values: dict[int, float], unfinished: int, places: int) -> list[int]:
    """Return those certain to be among the best `places`, as defined: by sorting all of them."""
    ranked = sorted(values, key=lambda number: (values[number], number))
    return ranked[: max(0, places - unfinished)]


def climbing(
    values: dict[int, float],
    losses: dict[int, dict[int, float]],
    unfinished: int,
    rungs: list[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """Yield all who are certain to enter a rung but have not finished it, as defined."""
    for step, places in rungs:
        going = promoted(values, unfinished, places)
        attainable = min(places, len(values) + unfinished)
        yield from ((number, step) for number in going if number not in losses[step])
        unfinished = attainable - sum(number in losses[step] for number in going)
        values = losses[step]


def entered(values: dict[int, float], unfinished: int, places: int) -> list[int]:
    rungs = Rungs([(1, places)])
    for number, value in values.items():
        rungs.enter(number, value)
    return [number for number, _ in rungs.due(unfinished)]


def test_the_best_advance_when_all_have_finished() -> None:
    assert entered({0: 0.3, 1: 0.1, 2: 0.2, 3: 0.4}, unfinished=0, places=2) == [1, 2]


def test_a_candidate_advances_only_when_its_place_is_certain() -> None:
    values = {0: 0.3, 1: 0.1, 2: 0.2}
    assert entered(values, unfinished=2, places=3) == [1]
    assert entered(values, unfinished=3, places=3) == []
    assert entered(values, unfinished=9, places=3) == []


def test_equal_values_rank_by_number() -> None:
    assert entered({5: 0.1, 3: 0.1, 4: 0.1}, unfinished=0, places=2) == [3, 4]


def test_there_can_be_fewer_candidates_than_places() -> None:
    assert entered({7: 0.1}, unfinished=0, places=3) == [7]


@pytest.mark.parametrize("seed", range(60))
def test_events_in_any_order_promote_those_whom_sorting_all_of_them_promotes(seed: int) -> None:
    """Candidates finish stages in a random order; some fail in training, or resume with rungs."""
    rng = random.Random(seed)
    total = rng.randint(1, 14)
    plan = [(step, rng.randint(1, total)) for step in range(1, rng.randint(2, 4))]
    rungs = Rungs(plan)
    values: dict[int, float] = {}
    losses: dict[int, dict[int, float]] = {step: {} for step, _ in plan}
    training: set[tuple[int, int]] = set()
    resumed = total // 4 if rng.random() < 0.5 else 0
    unfinished = total
    while True:
        if unfinished and (not training or rng.random() < 0.5):
            number = total - unfinished
            values[number] = rng.choice([rng.random(), 0.5])
            rungs.enter(number, values[number])
            unfinished -= 1
            if number < resumed:
                losses[1][number] = rng.random()
                rungs.finish(number, 1, losses[1][number])
        elif training:
            number, step = rng.choice(sorted(training))
            training.remove((number, step))
            if rng.random() < 0.2:
                rungs.fail(number)
                for known in (values, *losses.values()):
                    known.pop(number, None)
            else:
                losses[step][number] = rng.random()
                rungs.finish(number, step, losses[step][number])
        else:
            break
        training |= set(rungs.due(unfinished))
        assert training >= set(climbing(values, losses, unfinished, plan))
    assert not list(climbing(values, losses, 0, plan))
    for step, places in plan:
        assert len(losses[step]) <= places + resumed


def test_the_selection_does_not_depend_on_the_order_of_results() -> None:
    values = {number: random.Random(number).random() for number in range(12)}
    best = set(sorted(values, key=values.__getitem__)[:5])
    for seed in range(50):
        rungs, went = Rungs([(1, 5)]), set()
        for finished, number in enumerate(random.Random(seed).sample(list(values), k=12)):
            rungs.enter(number, values[number])
            went |= {number for number, _ in rungs.due(11 - finished)}
            assert went <= best
        assert went == best


@pytest.mark.parametrize(
    ("first", "stages", "reduction", "places"),
    [(8, 3, 2, (8, 4, 2)), (9, 3, 3, (9, 3, 1)), (2, 4, 2, (2, 1, 1, 1)), (1, 1, 2, (1,))],
)
def test_places_are_divided_and_never_run_out(
    first: int, stages: int, reduction: int, places: tuple[int, ...]
) -> None:
    assert halved(first, stages, reduction) == places
