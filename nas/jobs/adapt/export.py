"""Writes networks as checkpoints for `transformers`, and checks that they load and generate."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.files import write_atomically
from nas.jobs.adapt.checkpoint import write_checkpoint
from nas.jobs.adapt.healing import logits_of
from nas.jobs.adapt.language import without_bars
from nas.jobs.adapt.model_card import write_card, write_tokenizer
from search_spaces.layer_chain.rounding import difference, tolerance

FAILED = "FAILED.txt"  # in the folder of an export that failed
NEW_TOKENS = 8


def write_network(network: nn.Module, folder: Path, tokens: Tensor) -> float | None:
    """Write a decoder with its tokenizer and a model card, and compare what is loaded again.

    tokens: what both read, `[B, T]`.
    Returns the largest difference of their logits; None if `transformers` is not installed, or if
    the export failed: the reason is then in `FAILED.txt` and on stderr, and the run goes on.
    """
    (folder / FAILED).unlink(missing_ok=True)
    try:
        write_checkpoint(network, folder)
        found = _compare(network, folder, tokens) if find_spec("transformers") else None
        write_tokenizer(network, folder)
        write_card(network, folder, found)
        return found
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        reason = f"{folder.name}/ was not exported: {' '.join(str(error).split())[:300]}"
        write_atomically(folder / FAILED, reason + "\n")
        print(reason, file=sys.stderr)
        return None


def failed_exports(run: Path) -> list[str]:
    """Return why exports of a run failed."""
    return [file.read_text().strip() for file in sorted(run.glob(f"*/{FAILED}"))]


@torch.no_grad()
def _compare(network: nn.Module, folder: Path, tokens: Tensor) -> float:
    """Return how far the loaded network's logits differ.

    Raises `ValueError` if rounding does not explain the difference, or if the loaded network's
    cached generation gives another token than the best.
    """
    from transformers import AutoModelForCausalLM

    without_bars()
    again = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", use_safetensors=True).eval()
    expected, found = logits_of(network, tokens), logits_of(again, tokens)
    gap, most = difference(found, expected), tolerance(expected)
    if found.dtype != expected.dtype or gap > most:
        raise ValueError(f"its logits differ by {gap:.2g}; rounding explains {most:.2g}")
    written = _continued(again, tokens[:1])
    logits = logits_of(network, written)[:, tokens.shape[1] - 1 : -1]
    chosen = logits.gather(-1, written[:, tokens.shape[1] :, None])[..., 0]
    behind = float((logits.amax(dim=-1) - chosen).max())
    if behind > 2 * most:
        raise ValueError(f"its cached generation gives tokens whose logits are {behind:.2g} lower")
    return gap


def _continued(network: Any, tokens: Tensor) -> Tensor:
    """Return tokens `[1, T]` with what the network generates greedily, cached if it can."""
    from transformers import GenerationConfig

    cached = network.generation_config.use_cache is not False
    network.generation_config = GenerationConfig()  # without the family's own penalties
    greedy = GenerationConfig(
        max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0, use_cache=cached
    )
    return network.generate(
        tokens, attention_mask=torch.ones_like(tokens), generation_config=greedy
    )
