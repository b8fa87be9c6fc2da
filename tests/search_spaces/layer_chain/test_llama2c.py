"""Reading the trained Llama of 260,032 parameters from its file."""

import struct
from pathlib import Path

import pytest
import torch

from search_spaces.layer_chain.decoder import generate
from search_spaces.layer_chain.llama2c import read_llama, read_vocabulary
from tests.search_spaces.layer_chain.models import stories


def test_it_tells_its_known_story(data_folder: Path) -> None:
    model = stories(data_folder)
    words = read_vocabulary(data_folder / "weights" / "stories260k" / "tok512.bin", 512)
    assert sum(p.numel() for p in model.parameters()) == 260_032
    start = torch.tensor([words.encode("")])
    tokens = generate(model, start, tuple(range(model.layers)), 60)[0].tolist()
    assert words.decode(tokens).startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside"
    )


def test_decoding_reverses_encoding(data_folder: Path) -> None:
    words = read_vocabulary(data_folder / "weights" / "stories260k" / "tok512.bin", 512)
    for text in ("Once upon a time", "", "Ünïcode\n& more"):
        assert words.decode(words.encode(text)) == text
    assert len(words.encode("Once upon a time")) < len("Once upon a time")


def test_the_refusal_of_a_damaged_file_gives_the_reason(tmp_path: Path) -> None:
    """The file has one layer of width 4: 16 inner features, 2 heads, 1 key head, 9 tokens."""
    header = struct.pack("7i", 4, 16, 1, 2, 1, 9, 8)
    floats = 9 * 4 + 4 + 2 * 4 * 4 + 2 * 4 * 2 + 4 + 3 * 4 * 16 + 4 + 8 * 2
    (tmp_path / "whole.bin").write_bytes(header + bytes(4 * floats))
    assert read_llama(tmp_path / "whole.bin").size.inner == 16
    (tmp_path / "cut.bin").write_bytes(header + bytes(4 * floats - 4))
    with pytest.raises(ValueError, match=rf"has {24 + 4 * floats} bytes, .* {28 + 4 * floats}"):
        read_llama(tmp_path / "cut.bin")
    (tmp_path / "empty.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is not a llama2\.c model"):
        read_llama(tmp_path / "empty.bin")
    (tmp_path / "words.bin").write_bytes(bytes(4))
    with pytest.raises(ValueError, match="ends at token 0"):
        read_vocabulary(tmp_path / "words.bin", 512)
