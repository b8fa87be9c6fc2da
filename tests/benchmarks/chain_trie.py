"""Times many chains of a 28-layer decoder, with shared prefixes against one by one.

python tests/benchmarks/chain_trie.py [REPEATS]
"""

import statistics
import sys
import time

import torch

from search_spaces.layer_chain.chain import Chain, Rules, skips_and_repeats
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.layer_chain.llama import Llama, LlamaSize
from search_spaces.layer_chain.trie import PrefixTrie

SIZE = LlamaSize(tokens=1000, width=128, layers=28, heads=4, key_heads=2, inner=344)
LENGTH = 24
RULES = Rules(SIZE.layers, skips_and_repeats([1, 2], [(1, 2)]))


def chains(first: int) -> list[Chain]:
    """Return all chains of two edits that keep the first layers."""
    found = {RULES.full: None}
    for _ in range(2):
        for chain in list(found):
            found |= dict.fromkeys(RULES.neighbours(chain))
    return [chain for chain in found if chain[:first] == RULES.full[:first]]


def compared(asked: list[Chain], repeats: int) -> None:
    model = Llama(SIZE, torch.Generator().manual_seed(0)).requires_grad_(False).eval()
    tokens = torch.randint(SIZE.tokens, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    ratios = []
    for _ in range(repeats):
        trie = PrefixTrie(model, tokens, 2**31)
        started = time.perf_counter()
        together = trie.run([(0, chain) for chain in asked], lambda hidden, _: hidden[:, -1])
        middle = time.perf_counter()
        alone = [run_chain(model, tokens, chain)[0, -1] for chain in asked]
        ratios.append((time.perf_counter() - middle) / (middle - started))
    with torch.no_grad():
        logits = model.logits(torch.stack(together).unsqueeze(1))[:, 0]
    naive = sum(map(len, asked))
    print(
        f"{len(asked)} chains: {naive} layer calls one by one, {trie.layer_calls} shared "
        f"({naive / trie.layer_calls:.2f} times fewer) in {trie.launches} batches; "
        f"{statistics.median(ratios):.2f} times faster "
        f"({min(ratios):.2f} to {max(ratios):.2f}), largest difference of logits "
        f"{(logits - torch.stack(alone)).abs().max():.1e}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    times = int(sys.argv[1]) if sys.argv[1:] else 3
    print(f"{SIZE}, {LENGTH} tokens, one thread, {times} repeats")
    compared(chains(0), times)
    compared(chains(SIZE.layers // 2), times)
