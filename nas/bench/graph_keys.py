"""Recognises isomorphic architectures of NAS-Bench-Graph."""

from collections.abc import Sequence
from typing import Any

# the input of each of four operations: 0 is the graph's features, i the output of operation i
LINKS = (
    *((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3)),
    *((0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 2), (0, 1, 2, 3)),
)


def canonical(link: Sequence[int], operations: Sequence[str]) -> Any:
    """Return the same value for isomorphic architectures: a tree, and how many skips it lost.

    Qin et al. 2022, section 3.2: the order of siblings does not matter, and a skip connection
    before or after another operation changes nothing. A skip stays where it joins the output beside
    its siblings, unless it passes on the features themselves.
    """
    parent = {i + 1: p for i, p in enumerate(link)}
    kind = {i + 1: operation for i, operation in enumerate(operations)}
    dropped = 0
    while (node := _idle(parent, kind)) is not None:
        for child in [c for c, p in parent.items() if p == node]:
            parent[child] = parent[node]
        del parent[node]
        dropped += 1
    return dropped, _tree(0, parent, kind)


def _idle(parent: dict[int, int], kind: dict[int, str]) -> int | None:
    """Return a skip connection that changes nothing, if there is one."""
    for node, above in parent.items():
        inner = node in parent.values()
        alone = sum(p == above for p in parent.values()) == 1
        if kind[node] == "skip" and (inner or alone or above == 0):
            return node
    return None


def _tree(node: int, parent: dict[int, int], kind: dict[int, str]) -> Any:
    below = sorted(_tree(child, parent, kind) for child, p in parent.items() if p == node)
    return kind.get(node, ""), tuple(below)
