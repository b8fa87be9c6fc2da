"""Writes chains as checkpoints for `transformers`, and checks that they load."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.core.errors import NasError
from nas.jobs.adapt.checkpoint import write_checkpoint
from nas.jobs.adapt.healing import logits_of
from nas.jobs.adapt.language import without_bars

TOLERANCE = 1e-4


def write_network(network: nn.Module, folder: Path, tokens: Tensor) -> float | None:
    """Write a decoder and load it again; returns the largest difference between their answers.

    tokens: what both read, `[B, T]`.
    Returns None if `transformers` is not installed. Raises `NasError` if the answers differ.
    """
    if find_spec("transformers") is None:
        write_checkpoint(network, folder)
        return None
    from transformers import AutoModelForCausalLM

    without_bars()
    write_checkpoint(network, folder)
    again = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
    with torch.no_grad():
        ours, theirs = logits_of(network, tokens), logits_of(again, tokens)
    difference = float((ours - theirs).abs().max())
    if difference > TOLERANCE * max(1.0, float(ours.abs().max())):
        raise NasError(
            f"the export in {folder} does not reproduce the model: answers differ by "
            f"{difference:.2g}"
        )
    return difference
