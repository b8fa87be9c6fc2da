"""Decoders and chains that the tests of layer chains share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.decisions import at_random
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.llama import Llama, LlamaSize
from search_spaces.layer_chain.llama2c import read_llama

SIZE = LlamaSize(tokens=50, width=32, layers=6, heads=4, key_heads=2, inner=48)


EXACT = {"atol": 1e-12, "rtol": 1e-12}  # for float64; float32 rounding depends on the processor


def small_llama() -> Llama:
    model = Llama(SIZE, torch.Generator().manual_seed(0))
    return model.requires_grad_(False).eval()


def stories(data_folder: Path) -> Llama:
    return read_llama(data_folder / "weights" / "stories260k" / "stories260K.bin")


def llama(trained: bool, request: pytest.FixtureRequest) -> Llama:
    """Return the trained model, which needs the data, or the small one, which does not."""
    return stories(request.getfixturevalue("data_folder")) if trained else small_llama()


def random_chains(layers: int, count: int) -> list[Chain]:
    """Return distinct chains with skips and loops."""
    rules, rng = Rules(layers), np.random.default_rng(0)
    found: dict[Chain, None] = {}
    while len(found) < count:
        found.setdefault(rules.decide(at_random(rng)))
    return list(found)


def random_tokens(rows: int, length: int, tokens: int = SIZE.tokens) -> Tensor:
    return torch.randint(tokens, (rows, length), generator=torch.Generator().manual_seed(1))
