"""Draws new candidates near known ones: neighbours, mutants, and random ones."""

from collections.abc import Collection, Sequence

import numpy as np

from policies.encoding import Answer, Answers

CHANGES = 3  # most answers that a mutant has redrawn


def candidates_near(
    ranked: Sequence[Answers], finished: Collection[Answers], count: int, rng: np.random.Generator
) -> list[Answers]:
    """Return up to `2 * count` new candidates.

    ranked: known candidates, best first.
    finished: candidates to leave out.

    A third are neighbours, which differ in one answer: first those of the best candidate, then
    those of the next, so candidates whose neighbours are all finished make room for others. A third
    are mutants of the same candidates, with two or three answers redrawn. A third are random: they
    take their decisions from a known candidate and redraw every answer.
    """
    near: dict[Answers, None] = {}
    parents: list[Answers] = []
    for parent in ranked:
        left = count - len(near)
        if left <= 0:
            break
        new = [record for record in neighbours(parent) if record not in finished]
        near |= dict.fromkeys(new if len(new) <= left else _drawn(new, left, rng))
        parents.append(parent)
    mutants = _drawn(parents, count // 2, rng)
    for record, changes in zip(mutants, rng.integers(2, CHANGES + 1, len(mutants)), strict=True):
        places = rng.permutation(len(record))[:changes]
        near[_redrawn(record, places.tolist(), rng.random(len(places)).tolist())] = None
    for record in _drawn(ranked, count // 2, rng):
        near[_redrawn(record, range(len(record)), rng.random(len(record)).tolist())] = None
    return [record for record in near if record not in finished]


def neighbours(record: Answers) -> list[Answers]:
    """Return every candidate that differs in one answer."""
    return [
        (*record[:i], Answer(name, other, options), *record[i + 1 :])
        for i, (name, taken, options) in enumerate(record)
        for other in range(options)
        if other != taken
    ]


def _drawn(records: Sequence[Answers], count: int, rng: np.random.Generator) -> list[Answers]:
    return [records[i] for i in rng.integers(len(records), size=count).tolist()]


def _redrawn(record: Answers, places: Sequence[int], uniform: Sequence[float]) -> Answers:
    """Return the record with the answers at `places` redrawn by numbers from 0 to 1."""
    new = list(record)
    for i, u in zip(places, uniform, strict=True):
        name, _, options = new[i]
        new[i] = Answer(name, int(u * options), options)
    return tuple(new)
