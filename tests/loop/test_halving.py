"""Which candidates advance to the next stage."""

import random

import pytest

from nas.loop.halving import halved, promoted


def test_the_best_advance_when_all_have_finished() -> None:
    assert promoted({0: 0.3, 1: 0.1, 2: 0.2, 3: 0.4}, unfinished=0, places=2) == [1, 2]


def test_a_candidate_advances_only_when_its_place_is_certain() -> None:
    values = {0: 0.3, 1: 0.1, 2: 0.2}
    assert promoted(values, unfinished=2, places=3) == [1]
    assert promoted(values, unfinished=3, places=3) == []
    assert promoted(values, unfinished=9, places=3) == []


def test_equal_values_rank_by_number() -> None:
    assert promoted({5: 0.1, 3: 0.1, 4: 0.1}, unfinished=0, places=2) == [3, 4]


def test_there_can_be_fewer_candidates_than_places() -> None:
    assert promoted({7: 0.1}, unfinished=0, places=3) == [7]


def test_the_selection_does_not_depend_on_the_order_of_results() -> None:
    values = {number: random.Random(number).random() for number in range(12)}
    best = set(sorted(values, key=values.__getitem__)[:5])
    for seed in range(50):
        order = random.Random(seed).sample(list(values), k=len(values))
        went: set[int] = set()
        for finished in range(len(order) + 1):
            known = {number: values[number] for number in order[:finished]}
            now = set(promoted(known, len(order) - finished, places=5))
            assert went <= now <= best
            went = now
        assert went == best


@pytest.mark.parametrize(
    ("first", "stages", "reduction", "places"),
    [(8, 3, 2, (8, 4, 2)), (9, 3, 3, (9, 3, 1)), (2, 4, 2, (2, 1, 1, 1)), (1, 1, 2, (1,))],
)
def test_places_are_divided_and_never_run_out(
    first: int, stages: int, reduction: int, places: tuple[int, ...]
) -> None:
    assert halved(first, stages, reduction) == places
