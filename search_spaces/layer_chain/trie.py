"""Runs many chains at once, level by level, computing shared prefixes once.

The hidden state after a call depends only on the calls before it, so chains form a trie. The nodes
of a level that call the same layer form one batch, across chains and samples.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest

import torch
from torch import Tensor

from search_spaces.layer_chain.chain import Chain, checked
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.live_bytes import LiveBytes

Node = tuple[int, Chain]  # a row of the tokens, and a chain or its prefix
Read = Callable[[Tensor, list[int]], Iterable[Tensor]]
USUAL = 64  # hidden states that a layer's temporary tensors take, at the most, in most families


class PrefixTrie:
    """Runs chains on the rows of `tokens`, `[B, T]`, and keeps prefixes for later chains.

    memory_bytes: for hidden states. If there is no room, the prefixes that save the fewest calls
        (number of chains with the prefix times its length) are dropped, and computed again when
        needed. A running layer and a reader get an eighth more, `piece_bytes`, and more than that
        only if a single row needs it.
    layer_calls: calls so far, each of one layer on one row. launches: the number of batches.
    entered: the states of the first row before the first call, `[1, T, d]`. peak_bytes: of states.
    Raises `ValueError` if the memory cannot hold four hidden states.
    """

    def __init__(self, decoder: Decoder, tokens: Tensor, memory_bytes: int) -> None:
        self.decoder, self.tokens = decoder, tokens
        with torch.no_grad():
            self.entered, self.around = decoder.enter(tokens[:1])
        self.state_bytes = self.entered[0].nbytes
        states = memory_bytes // self.state_bytes
        if states < 4:
            raise ValueError(
                f"{memory_bytes} bytes cannot hold four hidden states of "
                f"{self.state_bytes} bytes: allow at least {4 * self.state_bytes}"
            )
        self.width = (
            states // 4
        )  # chains at a time: memory holds this level, the previous one and a stacked copy
        self.room = states - 3 * self.width
        self.piece_bytes = memory_bytes // 8
        self.places: dict[int, int] = {}  # of the entered rows
        self._call_bytes: dict[int, int] = {}  # of a layer on one row, where it matters
        self.held: dict[Node, Tensor] = {}
        self.passed: Counter[Node] = Counter()
        self.layer_calls = self.launches = self.peak_bytes = 0

    @torch.no_grad()
    def run(self, requests: Sequence[Node], read: Read | None = None) -> list[Tensor]:
        """Return the result of `read` for the last hidden state of each request, in order.

        read: maps hidden states `[N, T, d]` and their rows to one result each; None returns all
            logits, `[N, T, tokens]`.
        Raises `ValueError` for a chain that cannot be called.
        """
        order = sorted({(row, checked(chain, self.decoder.layers)) for row, chain in requests})
        for row, chain in order:
            self.passed.update((row, chain[:end]) for end in range(1, len(chain) + 1))
        reading = read or (lambda hidden, _: self.decoder.logits(hidden))
        answers: dict[Node, Tensor] = {}
        for first in range(0, len(order), self.width):
            self._run(order[first : first + self.width], reading, answers)
        return [answers[row, tuple(chain)] for row, chain in requests]

    def _run(self, requests: list[Node], read: Read, answers: dict[Node, Tensor]) -> None:
        """Run requests level by level; sorted requests share the longest prefixes."""
        levels: defaultdict[int, dict[Node, None]] = defaultdict(dict)
        starts: set[Node] = set()
        for row, chain in requests:
            end = len(chain)
            while end and (row, chain[:end]) not in self.held:
                levels[end][row, chain[:end]] = None
                end -= 1
            starts.add((row, chain[:end]))
        wanted, alive = set(requests), self._enter(sorted({row for row, _ in requests}))
        self._answer(wanted & self.held.keys(), {}, read, answers)
        for length in sorted(levels):
            alive = self._level(levels[length], alive)
            self._answer(wanted & alive.keys(), alive, read, answers)
            self._hold(alive, starts)

    def _enter(self, rows: list[int]) -> dict[Node, Tensor]:
        """Enter these rows; returns the states before their first calls."""
        entered, self.around = self.decoder.enter(self.tokens[rows])
        self.places = {row: place for place, row in enumerate(rows)}
        return {(row, ()): state for row, state in zip(rows, entered, strict=True)}

    def _level(self, nodes: Iterable[Node], before: dict[Node, Tensor]) -> dict[Node, Tensor]:
        groups: defaultdict[int, list[Node]] = defaultdict(list)
        for node in nodes:
            groups[node[1][-1]].append(node)
        after: dict[Node, Tensor] = {}
        for layer, group in groups.items():
            first = 0
            while first < len(group):
                piece = group[first : first + self._most_rows(layer, len(group))]
                after |= zip(piece, self._called(layer, piece, before), strict=True)
                first += len(piece)
                states = len(self.held) + len(before) + len(piece) + len(after)
                self.peak_bytes = max(self.peak_bytes, states * self.state_bytes)
        return after

    def _called(self, layer: int, nodes: list[Node], before: dict[Node, Tensor]) -> Tensor:
        """Return the states after a call of the layer, `[N, T, d]`."""
        hidden = self._stacked([(row, chain[:-1]) for row, chain in nodes], before)
        rows = torch.tensor([self.places[row] for row, _ in nodes], device=hidden.device)
        self.layer_calls += len(nodes)
        self.launches += 1
        if len(nodes) > 1 or layer in self._call_bytes:
            return self.decoder.call(layer, hidden, self.around, rows=rows)
        with LiveBytes() as used:
            found = self.decoder.call(layer, hidden, self.around, rows=rows)
        self._call_bytes[layer] = max(1, used.peak)
        return found

    def _most_rows(self, layer: int, wanted: int) -> int:
        """Return for how many of the wanted rows a call of the layer has room."""
        if layer in self._call_bytes:
            return max(1, self.piece_bytes // self._call_bytes[layer])
        small = wanted * USUAL * self.state_bytes <= self.piece_bytes
        return wanted if small else 1  # the first row shows what one needs

    def _stacked(self, nodes: list[Node], alive: dict[Node, Tensor]) -> Tensor:
        """Return the nodes' hidden states, `[N, T, d]`."""
        return torch.stack([alive[n] if n in alive else self.held[n] for n in nodes])

    def _answer(
        self, nodes: set[Node], alive: dict[Node, Tensor], read: Read, answers: dict[Node, Tensor]
    ) -> None:
        if nodes:
            order = sorted(nodes)
            read_off = read(self._stacked(order, alive), [row for row, _ in order])
            answers |= zip(order, read_off, strict=True)

    def _hold(self, found: dict[Node, Tensor], starts: set[Node]) -> None:
        """Keep the states that save the most calls, and always the starts of current chains.

        If there is no room, free a quarter at once, because choosing takes time.
        """
        if len(self.held) + len(found) <= self.room:
            self.held |= {node: state.clone() for node, state in found.items()}
            return
        pinned = starts & self.held.keys()
        others = [node for node in (*self.held, *found) if node not in pinned]
        best = nlargest(3 * self.room // 4 - len(pinned), others, key=self._saved_calls)
        kept = {node: self.held[node] for node in pinned}
        for node in best:
            kept[node] = self.held[node] if node in self.held else found[node].clone()
        self.held = kept

    def _saved_calls(self, node: Node) -> int:
        return self.passed[node] * len(node[1])
