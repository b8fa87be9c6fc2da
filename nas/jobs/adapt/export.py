"""Writes networks as checkpoints for `transformers`, and checks that they load and generate."""

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.files import write_atomically
from nas.jobs.adapt.checkpoint import write_checkpoint
from nas.jobs.adapt.gguf_file import FILE as GGUF
from nas.jobs.adapt.gguf_file import write_gguf
from nas.jobs.adapt.healing import logits_of
from nas.jobs.adapt.language import Language, without_bars
from nas.jobs.adapt.model_card import write_card, write_tokenizer
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.layer_chain.rounding import difference, tolerance
from search_spaces.layer_chain.shortened import shortened

FAILED = "FAILED.txt"  # in the folder of an export that failed
NEW_TOKENS, ROWS = 8, 4
LOGIT_BYTES = 16  # of one logit: of both networks, with room to compare them

Judge = Callable[[Tensor], Tensor]  # from tokens `[1, T]` to logits `[1, T, tokens]`


def write_chain(
    language: Language, chain: Chain, folder: Path, tokens: Tensor, gguf: bool = False
) -> None:
    """Write a chain as a network that gives the chain's own logits; see `write_network`."""

    def judge(row: Tensor) -> Tensor:
        return run_chain(language.decoder, row, chain)

    write_network(shortened(language.module, chain), folder, tokens, judge, gguf)


def to_compare(tokens: Tensor, vocabulary: int, memory_bytes: int) -> Tensor:
    """Return the first rows of `[B, T]`, cut so that the logits of one row fit the memory."""
    most = memory_bytes // (LOGIT_BYTES * vocabulary)
    return tokens[:ROWS, : max(NEW_TOKENS, most)]


def write_network(
    network: nn.Module,
    folder: Path,
    tokens: Tensor,
    judge: Judge | None = None,
    gguf: bool = False,
) -> float | None:
    """Write a decoder with its tokenizer and a model card, and compare what is loaded again.

    tokens: what both read, `[B, T]`. judge: gives the right logits; by default, the network.
    gguf: whether to write `model.gguf` too.
    Returns the largest difference of logits; None if `transformers` is not installed, or if the
    export failed: the reason is then in `FAILED.txt` and on stderr, and the run goes on.
    """
    (folder / FAILED).unlink(missing_ok=True)
    judge = judge or (lambda row: logits_of(network, row))
    try:
        _compare(network, judge, tokens)
        write_checkpoint(network, folder)
        loads = find_spec("transformers") is not None
        found = _compare_again(network, judge, folder, tokens) if loads else None
        write_tokenizer(network, folder)
        write_card(network, folder, found)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _note(folder, f"{folder.name}/ was not exported", error)
        return None
    if gguf:
        try:
            write_gguf(folder)
        except Exception as error:
            _note(folder, f"{folder.name}/{GGUF} was not written", error)
    return found


def _note(folder: Path, what: str, error: Exception) -> None:
    """Keep why something was not written, and tell."""
    line = f"{what}: {' '.join(str(error).split())[:300]}"
    write_atomically(folder / FAILED, line + "\n")
    print(line, file=sys.stderr)


def failed_exports(run: Path) -> list[str]:
    """Return why exports of a run failed."""
    return [file.read_text().strip() for file in sorted(run.glob(f"*/{FAILED}"))]


def _compare_again(network: nn.Module, judge: Judge, folder: Path, tokens: Tensor) -> float:
    """Compare what is loaded; returns the largest difference of logits.

    Raises `ValueError` also if its cached generation gives another token than the best.
    """
    from transformers import AutoModelForCausalLM

    without_bars()
    again = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", use_safetensors=True).eval()
    nn.Module.to(again, next(network.parameters()).device)
    gap = _compare(again, judge, tokens)
    _check_generation(network, again, tokens[:1])
    return gap


def _compare(network: nn.Module, judge: Judge, tokens: Tensor) -> float:
    """Return the largest difference of a network's logits from the right ones.

    Raises `ValueError` for another dtype, or if rounding does not explain the difference.
    """
    return max(_gap(network, judge, row) for row in tokens.split(1))


@torch.no_grad()
def _gap(network: nn.Module, judge: Judge, row: Tensor) -> float:
    """Compare the logits of `[1, T]`, which are gone before those of the next row are computed."""
    expected, found = judge(row), logits_of(network, row)
    gap, most = difference(found, expected), tolerance(expected)
    if found.dtype != expected.dtype or not gap <= most:
        raise ValueError(f"its logits differ by {gap:.2g}; rounding explains {most:.2g}")
    return gap


@torch.no_grad()
def _check_generation(network: nn.Module, again: nn.Module, tokens: Tensor) -> None:
    """Raise `ValueError` if cached generation after `[1, T]` gives a token that is not the best."""
    written = _continued(again, tokens[:, : max(1, tokens.shape[1] - NEW_TOKENS)])
    new = NEW_TOKENS + 1  # the logits before every new token
    logits = logits_of(network, written)[:, -new:-1]
    chosen = logits.gather(-1, written[:, -NEW_TOKENS:, None].to(logits.device))[..., 0]
    behind, most = float((logits.amax(dim=-1) - chosen).max()), tolerance(logits)
    if behind > 2 * most:
        raise ValueError(f"its cached generation gives tokens whose logits are {behind:.2g} lower")


def _continued(network: Any, tokens: Tensor) -> Tensor:
    """Return tokens `[1, T]` with what the network generates greedily, cached if it can."""
    from transformers import GenerationConfig

    cached = network.generation_config.use_cache is not False
    network.generation_config = GenerationConfig()  # without the family's own penalties
    greedy = GenerationConfig(
        max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0, use_cache=cached
    )
    tokens = tokens.to(next(network.parameters()).device)
    return network.generate(
        tokens, attention_mask=torch.ones_like(tokens), generation_config=greedy
    )
