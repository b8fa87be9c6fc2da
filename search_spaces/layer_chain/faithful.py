"""Checks that a shortened network gives the logits of its chain."""

from collections.abc import Iterable

import torch
from torch import nn

from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.decoder import Decoder, run_chain
from search_spaces.layer_chain.rounding import difference, tolerance
from search_spaces.layer_chain.shortened import sharing

LENGTH = 24  # tokens to compare


@torch.no_grad()
def check_repeats(decoder: Decoder, short: nn.Module, chain: Chain) -> None:
    """Compare a network with its chain on random tokens; raises `ValueError` if they differ."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(decoder.tokens, (2, LENGTH), generator=generator)
    tokens = tokens.to(next(short.parameters()).device)
    for row in tokens.split(1):  # logits of one row at a time
        found = short(row)
        logits = found if isinstance(found, torch.Tensor) else found.logits
        expected = run_chain(decoder, row, chain)
        gap, most = difference(logits, expected), tolerance(expected)
        if not gap <= most:
            raise ValueError(
                f"as a network of its own, the chain {' '.join(map(str, chain))} gives logits that "
                f"differ by {gap:.2g}; rounding explains {most:.2g}"
            )


def check_chains(decoder: Decoder, model: nn.Module, rules: Rules) -> None:
    """Check chains that are hard to describe, of those that the rules allow.

    Every second layer shows settings that depend on a layer's number; the layers twice over show
    those that need an order. Raises `ValueError` naming the settings.
    """
    for chain in _hard_chains(rules):
        check_repeats(decoder, sharing(model, chain), chain)


def _hard_chains(rules: Rules) -> Iterable[Chain]:
    full = rules.full
    yield full
    if any(not edit.times for edit in rules.edits) and len(full) > 1:
        yield full[1::2]
    if any(edit.times for edit in rules.edits):
        yield full * 2
