"""Reads Llamas and their vocabularies in the format of llama2.c.

The layout (https://github.com/karpathy/llama2.c, the first version of its export) is seven int32,
then float32 matrices; each kind of matrix holds all layers.
"""

import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from search_spaces.layer_chain.llama import Llama, LlamaSize

BEGIN = 1  # the token every text begins with
BYTES = 3  # the token of byte 0; the other bytes follow


def read_llama(path: Path) -> Llama:
    """Read a trained model; raises `ValueError` for a wrong length or an untied head."""
    data = path.read_bytes()
    header = struct.unpack("7i", data[:28]) if len(data) >= 28 else (0,) * 7
    width, inner, layers, heads, key_heads, tokens, positions = header
    if min(header) <= 0 or width % heads:
        raise ValueError(f"{path} is not a llama2.c model with a tied head: its header is {header}")
    size = LlamaSize(tokens, width, layers, heads, key_heads, inner)
    model = Llama(size, torch.Generator().manual_seed(0))
    parts = _parameters(model)
    rotations = positions * size.head  # cosines and sines in the file, which we compute instead
    expected = 28 + 4 * (sum(part.numel() for part in parts) + rotations)
    if len(data) != expected:
        raise ValueError(f"{path} has {len(data)} bytes, but its header needs {expected}")
    weights, first = torch.from_numpy(np.frombuffer(data, "<f4", offset=28).copy()), 0
    with torch.no_grad():
        for part in parts:
            part.copy_(weights[first : first + part.numel()].view_as(part))
            first += part.numel()
    return model.requires_grad_(False).eval()


def _parameters(model: Llama) -> list[Tensor]:
    """Return the parameters in the order of the file."""
    names = (
        "attention_norm",
        *(f"attention.{name}" for name in ("query", "key", "value", "output")),
        *("inner_norm", "gate", "down", "up"),
    )
    layered = [layer.get_parameter(f"{name}.weight") for name in names for layer in model.stack]
    return [model.embedding.weight, *layered, model.norm.weight]


@dataclass(frozen=True)
class Vocabulary:
    """pieces: the bytes of each token. scores: pairs with higher scores merge first."""

    pieces: tuple[bytes, ...]
    scores: tuple[float, ...]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text after `BEGIN`, merging pairs (byte pair encoding)."""
        spaced = f" {text}" if text else ""
        words = re.findall(" [^ ]*", spaced) if self._by_word else [spaced]
        return [BEGIN, *(token for word in words for token in self._merged(word))]

    @cached_property
    def _by_word(self) -> bool:
        """Whether every space begins a piece, so that words can be encoded one by one."""
        return not any(b" " in piece[1:] for piece in self.pieces)

    @cached_property
    def _known(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self.pieces)}

    def _merged(self, word: str) -> list[int]:
        known, found = self._known, list[int]()
        for letter in word:
            raw = letter.encode()
            found += [known[raw]] if raw in known else [BYTES + byte for byte in raw]
        while True:
            pairs = [
                (self.scores[known[both]], -i, known[both])
                for i in range(len(found) - 1)
                if (both := self.pieces[found[i]] + self.pieces[found[i + 1]]) in known
            ]
            if not pairs:
                return found
            _, place, merged = max(pairs)
            found[-place : 2 - place] = [merged]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens, without `BEGIN` and the space that encoding adds."""
        raw = b"".join(
            bytes([token - BYTES]) if BYTES <= token < BYTES + 256 else self.pieces[token]
            for token in tokens
            if token != BEGIN
        )
        return raw.decode(errors="replace").removeprefix(" ")


def read_vocabulary(path: Path, tokens: int) -> Vocabulary:
    """Read the vocabulary of a model with `tokens` tokens; raises `ValueError` if it has fewer."""
    data, place = path.read_bytes(), 4
    pieces, scores = [], []
    for token in range(tokens):
        if place + 8 > len(data):
            raise ValueError(f"{path} ends at token {token}, but the model has {tokens}")
        score, length = struct.unpack_from("<fi", data, place)
        pieces.append(data[place + 8 : place + 8 + length])
        scores.append(score)
        place += 8 + length
    return Vocabulary(tuple(pieces), tuple(scores))
