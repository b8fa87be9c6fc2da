"""Ranks candidates by several training-free scores together."""

from collections.abc import Mapping, Sequence

from nas.core.errors import BadInput


def guiding_values(values: Mapping[str, float], scores: Mapping[str, bool]) -> tuple[float, ...]:
    """Return one value per score, the first that has its name; lower is better.

    values: a candidate's values; each name is a score's name, or starts with it and a hyphen.
    scores: name → whether higher is better.
    Raises `BadInput` if no value has a score's name.

    >>> guiding_values({"a": 3.0, "b-1": 5.0, "b-2": 1.0}, {"a": True, "b": False})
    (-3.0, 5.0)
    """
    found = []
    for score, higher_is_better in scores.items():
        own = [v for name, v in values.items() if name == score or name.startswith(f"{score}-")]
        if not own:
            wrong = ", ".join(values)
            raise BadInput(f'score "{score}" must return "{score}" or "{score}-…", not {wrong}')
        found.append(-own[0] if higher_is_better else own[0])
    return tuple(found)


def rank_sums(rows: Mapping[int, Sequence[float]]) -> dict[int, int]:
    """Return each row's sum of ranks over all columns: 1 is the lowest value, ties share a rank.

    >>> rank_sums({7: (0.1, 30.0), 8: (0.2, 10.0), 9: (0.2, 20.0)})
    {7: 4, 8: 3, 9: 4}
    """
    sums = dict.fromkeys(rows, 0)
    for column in zip(*rows.values(), strict=True):
        places = {value: place for place, value in reversed([*enumerate(sorted(column), 1)])}
        for number, value in zip(rows, column, strict=True):
            sums[number] += places[value]
    return sums
