"""Fuzzy in-context recall: answers follow from pairs that were read before."""

from collections.abc import Iterator
from itertools import islice

from nas.core.answers import IGNORED
from nas.tasks.mad import load_mad


def test_fuzzy_answers_follow_from_earlier_pairs() -> None:
    asked = 0
    for batch in islice(load_mad(kind="fuzzy-recall").training_batches(0), 2):
        for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            answers = {t: target for t, target in enumerate(targets) if target != IGNORED}
            values: dict[tuple[int, ...], tuple[int, ...]] = {}
            certain, possible = {}, {}
            for start, key, value in pairs_of(row):
                assert len(set(key)) == len(key) <= 3 >= len(value) == len(set(value))
                last, complete = start + len(key) - 1, start + len(key) + len(value) < len(row)
                if key in values:
                    known = values[key]
                    assert known[: len(value)] == value and (known == value or not complete)
                    places = [t for t in range(last, last + len(known)) if t < len(row)]
                    possible |= dict(zip(places, known, strict=False))
                    certain |= dict(zip(places[1:], known[1:], strict=False))
                elif complete:
                    values[key] = value
            assert certain.items() <= answers.items() <= possible.items()
            longer = {key[:n] for key in values for n in range(1, len(key))}
            for start, key, _ in pairs_of(row):
                assert key not in longer or start + len(key) - 1 not in answers
            asked += len(answers) - len(certain)
    assert asked > 1000


def pairs_of(row: list[int]) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Yield where each pair starts, its key (tokens below 8) and as much of its value as fits."""
    t = 0
    while t < len(row):
        start = t
        while t < len(row) and row[t] < 8:
            t += 1
        middle = t
        while t < len(row) and row[t] >= 8:
            t += 1
        yield start, tuple(row[start:middle]), tuple(row[middle:t])
