"""Canonical order of a labelled acyclic graph: equal for all isomorphic graphs."""

from collections.abc import Sequence


def canonical_order(
    labels: Sequence[str], inputs: Sequence[tuple[int, ...]], ordered: Sequence[bool]
) -> list[int]:
    """Return node numbers in an order that is the same for all isomorphic graphs.

    labels: one per node; only nodes with equal labels can be exchanged.
    inputs: the nodes that each node reads; the graph has no cycle.
    ordered: whether a node's inputs are a sequence (blend) or a multiset (sum).
    Every node comes after the nodes that it reads.

    Colours are refined by a node's inputs and readers. If several nodes still have the same colour,
    each is tried in turn and the smallest description wins (individualisation and refinement,
    McKay and Piperno 2014, https://arxiv.org/abs/1301.1493).
    """
    depth = _depths(inputs)
    colours = _ranks([(depth[n], labels[n]) for n in range(len(labels))])
    return _smallest(colours, labels, inputs, ordered)[1]


Described = tuple[list[tuple[str, tuple[int, ...]]], list[int]]  # a description and its order


def _smallest(
    colours: list[int],
    labels: Sequence[str],
    inputs: Sequence[tuple[int, ...]],
    ordered: Sequence[bool],
) -> Described:
    colours = _refined(colours, inputs, ordered)
    tied = _tied(colours)
    if not tied:
        return _described(colours, labels, inputs, ordered)
    first_guesses, candidates = [], []
    for chosen in tied:
        split = _individualised(colours, chosen)
        guess = _guessed(split, labels, inputs, ordered)[0]
        # Equal descriptions mean that a symmetry exchanges the two nodes, so one is enough.
        # Without this check, k equal branches take k! steps.
        if guess not in first_guesses:
            first_guesses.append(guess)
            candidates.append(_smallest(split, labels, inputs, ordered))
    return min(candidates)


def _guessed(
    colours: list[int],
    labels: Sequence[str],
    inputs: Sequence[tuple[int, ...]],
    ordered: Sequence[bool],
) -> Described:
    """Return one description for these colours, always choosing the first of the tied nodes."""
    colours = _refined(colours, inputs, ordered)
    while tied := _tied(colours):
        colours = _refined(_individualised(colours, tied[0]), inputs, ordered)
    return _described(colours, labels, inputs, ordered)


def _tied(colours: list[int]) -> list[int]:
    """Return the nodes of the smallest colour that several nodes share, or an empty list."""
    alike: dict[int, list[int]] = {}
    for node, colour in enumerate(colours):
        alike.setdefault(colour, []).append(node)
    return next((nodes for _, nodes in sorted(alike.items()) if len(nodes) > 1), [])


def _individualised(colours: list[int], chosen: int) -> list[int]:
    """Return the colours with the chosen node just before the nodes of its old colour."""
    split = [2 * colour + 1 for colour in colours]
    split[chosen] -= 1
    return split


def _described(
    colours: list[int],
    labels: Sequence[str],
    inputs: Sequence[tuple[int, ...]],
    ordered: Sequence[bool],
) -> Described:
    """Describe the graph with its nodes numbered by their colours, which all differ."""
    order = sorted(range(len(colours)), key=colours.__getitem__)
    position = {node: place for place, node in enumerate(order)}
    return [(labels[n], _read([position[i] for i in inputs[n]], ordered[n])) for n in order], order


def _refined(
    colours: list[int], inputs: Sequence[tuple[int, ...]], ordered: Sequence[bool]
) -> list[int]:
    """Split colours by the colours of neighbours until nothing changes, keeping their order."""
    while True:
        readers: list[list[tuple[int, int]]] = [[] for _ in colours]
        for node, sources in enumerate(inputs):
            for place, source in enumerate(sources):
                readers[source].append((colours[node], place if ordered[node] else 0))
        finer = _ranks(
            [
                (colours[n], _read([colours[i] for i in inputs[n]], ordered[n]), sorted(readers[n]))
                for n in range(len(colours))
            ]
        )
        if len(set(finer)) == len(set(colours)):
            return finer
        colours = finer


def _read(numbers: list[int], in_order: bool) -> tuple[int, ...]:
    return tuple(numbers if in_order else sorted(numbers))


def _ranks(keys: list) -> list[int]:
    place = {repr(key): rank for rank, key in enumerate(sorted(keys))}
    return [place[repr(key)] for key in keys]


def _depths(inputs: Sequence[tuple[int, ...]]) -> list[int]:
    """Return each node's longest distance from a leaf; inputs must have smaller numbers."""
    depth: list[int] = []
    for sources in inputs:
        depth.append(1 + max((depth[i] for i in sources), default=-1))
    return depth
