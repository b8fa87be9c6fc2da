"""A canonical order of a labelled acyclic graph: the same for all isomorphic graphs."""

from collections.abc import Sequence


def canonical_order(
    labels: Sequence[str], inputs: Sequence[tuple[int, ...]], ordered: Sequence[bool]
) -> list[int]:
    """Node numbers in an order that depends on the graph only up to isomorphism.

    labels: one per node; nodes may be exchanged only if their labels are equal.
    inputs: the nodes that each node reads; the graph has no cycle.
    ordered: whether a node's inputs are a sequence (blend) or a multiset (sum).
    Returns an order in which every node comes after those it reads.

    Colours are refined by what a node reads and by what reads it; where that leaves several
    nodes alike, each is tried in turn and the smallest description wins (individualisation
    and refinement, McKay and Piperno 2014, https://arxiv.org/abs/1301.1493).
    """
    depth = _depths(inputs)
    colours = _ranks([(depth[n], labels[n]) for n in range(len(labels))])
    return _smallest(colours, labels, inputs, ordered)[1]


Described = tuple[list[tuple[str, tuple[int, ...]]], list[int]]  # a description, its order


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
        # An equal description means a symmetry that exchanges the two: nothing new behind it.
        # Without this, k equal branches take k! steps.
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
    """One of the descriptions below these colours: the first of the nodes that are alike wins."""
    colours = _refined(colours, inputs, ordered)
    while tied := _tied(colours):
        colours = _refined(_individualised(colours, tied[0]), inputs, ordered)
    return _described(colours, labels, inputs, ordered)


def _tied(colours: list[int]) -> list[int]:
    """The nodes of the smallest colour that several have; empty when all differ."""
    alike: dict[int, list[int]] = {}
    for node, colour in enumerate(colours):
        alike.setdefault(colour, []).append(node)
    return next((nodes for _, nodes in sorted(alike.items()) if len(nodes) > 1), [])


def _individualised(colours: list[int], chosen: int) -> list[int]:
    """The colours with the chosen node just before those it was like."""
    split = [2 * colour + 1 for colour in colours]
    split[chosen] -= 1
    return split


def _described(
    colours: list[int],
    labels: Sequence[str],
    inputs: Sequence[tuple[int, ...]],
    ordered: Sequence[bool],
) -> Described:
    """What the graph is when its nodes are numbered by their colours, all different."""
    order = sorted(range(len(colours)), key=colours.__getitem__)
    position = {node: place for place, node in enumerate(order)}
    return [(labels[n], _read([position[i] for i in inputs[n]], ordered[n])) for n in order], order


def _refined(
    colours: list[int], inputs: Sequence[tuple[int, ...]], ordered: Sequence[bool]
) -> list[int]:
    """Split colours by the colours of neighbours until nothing changes; order is kept."""
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
    """Longest way from a leaf; the inputs of a node have smaller numbers."""
    depth: list[int] = []
    for sources in inputs:
        depth.append(1 + max((depth[i] for i in sources), default=-1))
    return depth
