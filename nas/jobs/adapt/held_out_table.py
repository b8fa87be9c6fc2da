"""The table and the facts of what serves all inputs, on held-out items."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from nas.jobs.adapt.held_out import Judgement
from nas.jobs.adapt.shared_chains import SharedChains
from nas.reporting.table import aligned


def held_out_table(shared: SharedChains) -> list[str]:
    """Return the lines of the table, and of the shares by difficulty if items have several."""
    judged = list(shared.judgements.values())
    if not judged:
        return []
    head = ["right (pass@1)", "by chance", "layer calls", "tokens/s"]
    n = len(judged[0].right)
    table = [[f"on {n} held-out items", *head], *([one.name, *_cells(one)] for one in judged)]
    lines = ["", *_left_aligned(table), *_by_difficulty(shared)]
    if shared.statics:
        static = shared.statics[shared.best_static].chain
        lines += ["", f"static: {' '.join(map(str, static))}"]
    if shared.half:
        lines.append(f"half the layers: {' '.join(map(str, shared.half))}")
    return lines


def held_out_facts(shared: SharedChains) -> dict[str, Any]:
    """Return the results by name, each with its standard error and its shares by difficulty."""
    return {
        key: {
            "pass_at_1": mean(one.right),
            "standard_error": share_error(mean(one.right), len(one.right)),
            "n": len(one.right),
            "by_chance": mean(one.by_chance) if one.by_chance else None,
            "layer_calls": one.calls,
            "tokens_per_second": one.written,
            "by_difficulty": {group: mean(right) for group, right in _groups(shared, one).items()},
        }
        for key, one in shared.judgements.items()
    }


def share_error(share: float, count: int) -> float:
    """Return the standard error of a share of `count` independent items."""
    return (share * (1 - share) / count) ** 0.5


def _cells(one: Judgement) -> list[str]:
    share = mean(one.right)
    return [
        f"{share:.3f} ± {share_error(share, len(one.right)):.3f}",
        f"{mean(one.by_chance):.3f}" if one.by_chance else "–",
        "–" if one.calls is None else f"{one.calls:.2f}",
        "–" if one.written is None else f"{one.written:.0f}",
    ]


def _by_difficulty(shared: SharedChains) -> list[str]:
    judged = list(shared.judgements.values())
    groups = _groups(shared, judged[0])
    if len(groups) < 2:
        return []
    counts = [str(len(right)) for right in groups.values()]
    rows = [
        [one.name, *(f"{mean(right):.2f}" for right in _groups(shared, one).values())]
        for one in judged
    ]
    return ["", *_left_aligned([["by difficulty", *groups], ["items", *counts], *rows])]


def _groups(shared: SharedChains, one: Judgement) -> dict[str, list[bool]]:
    """Return the answers by difficulty, easiest first."""
    groups: dict[str, list[bool]] = {}
    for difficulty, right in zip(shared.difficulties, one.right, strict=True):
        groups.setdefault(difficulty, []).append(right)
    return dict(sorted(groups.items()))


def _left_aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return `aligned` rows with the first column aligned to the left."""
    width = max(len(row[0]) for row in table)
    return aligned([[row[0].ljust(width), *row[1:]] for row in table])
