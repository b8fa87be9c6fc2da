"""Chains as networks and as checkpoints."""

from pathlib import Path

import pytest
import torch

from nas.jobs.adapt.checkpoint import write_checkpoint
from nas.jobs.adapt.export import FAILED, write_chain
from nas.jobs.adapt.healing import logits_of
from nas.jobs.adapt.language import Words
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.layer_chain.llama import Llama
from search_spaces.layer_chain.shortened import shortened
from tests.search_spaces.layer_chain.models import random_chains, random_tokens, small_llama
from tests.search_spaces.layer_chain.test_pretrained import EVERY_FAMILY, tiny

CHAINS = [(0, 2, 1, 1, 4), (3,), (1, 1, 1)]


@pytest.mark.parametrize("chain", CHAINS)
def test_a_shortened_llama_equals_its_chain(chain) -> None:
    model, tokens = small_llama(), random_tokens(3, 7)
    assert torch.equal(shortened(model, chain)(tokens), run_chain(model, tokens, chain))


@EVERY_FAMILY
def test_a_shortened_transformers_model_and_its_checkpoint_equal_the_chain(
    family: str, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    decoder, tokens = tiny(family), random_tokens(2, 9)
    for chain in CHAINS:
        short = shortened(decoder.model, chain)
        expected = run_chain(decoder, tokens, chain)
        torch.testing.assert_close(logits_of(short, tokens), expected, atol=1e-4, rtol=1e-4)
        write_checkpoint(short, tmp_path)
        again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
        with torch.no_grad():
            torch.testing.assert_close(again(tokens).logits, expected, atol=1e-4, rtol=1e-4)


def test_transformers_reads_our_checkpoints(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model, tokens = small_llama(), random_tokens(3, 7)
    for chain in random_chains(model.layers, 3):
        write_checkpoint(shortened(model, chain), tmp_path)
        again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
        with torch.no_grad():
            torch.testing.assert_close(
                again(tokens).logits, run_chain(model, tokens, chain), atol=1e-4, rtol=1e-4
            )


def test_a_chain_with_a_missing_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="layer 6 does not exist"):
        shortened(small_llama(), (0, 6))


def test_an_export_that_is_not_its_chain_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network that is written is compared with the chain that was judged."""
    model = small_llama()
    language, tokens = Words(model, model, list, str), random_tokens(2, 12)
    write_chain(language, (0, 2, 3), tmp_path / "right", tokens)
    assert (tmp_path / "right" / "model.safetensors").exists()

    def wrong(model: Llama, chain: Chain) -> torch.nn.Module:
        return shortened(model, chain[::-1])

    monkeypatch.setattr("nas.jobs.adapt.export.shortened", wrong)
    write_chain(language, (0, 2, 3), tmp_path / "wrong", tokens)
    reason = (tmp_path / "wrong" / FAILED).read_text()
    assert "its logits differ by" in reason and "rounding explains" in reason
    assert not (tmp_path / "wrong" / "model.safetensors").exists()
