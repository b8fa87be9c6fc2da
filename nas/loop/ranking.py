"""Which candidates are best by several training-free scores together."""

from collections.abc import Mapping, Sequence

from nas.core.errors import BadInput


def guiding_values(values: Mapping[str, float], scores: Mapping[str, bool]) -> tuple[float, ...]:
    """One value a score, the first of those that bear its name; lower is better.

    values: of a candidate, by names that are a score's or go on from it after a hyphen.
    scores: name → whether higher is better.
    Raises `BadInput` when no value bears a score's name.

    >>> guiding_values({"a": 3.0, "b-1": 5.0, "b-2": 1.0}, {"a": True, "b": False})
    (-3.0, 5.0)
    """
    found = []
    for score, higher_is_better in scores.items():
        own = [v for name, v in values.items() if name == score or name.startswith(f"{score}-")]
        if not own:
            raise BadInput(f'score "{score}" gives no value of its name, but {", ".join(values)}')
        found.append(-own[0] if higher_is_better else own[0])
    return tuple(found)


def rank_sums(rows: Mapping[int, Sequence[float]]) -> dict[int, int]:
    """The sum over all columns of each row's rank: 1 for the lowest value, equal ones share theirs.

    >>> rank_sums({7: (0.1, 30.0), 8: (0.2, 10.0), 9: (0.2, 20.0)})
    {7: 4, 8: 3, 9: 4}
    """
    sums = dict.fromkeys(rows, 0)
    for column in zip(*rows.values(), strict=True):
        places = {value: place for place, value in reversed([*enumerate(sorted(column), 1)])}
        for number, value in zip(rows, column, strict=True):
            sums[number] += places[value]
    return sums
