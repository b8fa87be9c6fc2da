"""Trains a shortened network to imitate the whole one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.adapters import merged, with_adapters
from nas.jobs.adapt.config import Healing
from nas.jobs.adapt.stages import Tick, silent

BATCH, LEARNING_RATE = 32, 1e-3
LOGIT_BYTES = 24  # of one logit: of both networks, their log-probabilities, and gradients


def heal(
    short: nn.Module,
    whole: nn.Module,
    tokens: Tensor,
    lengths: Tensor,
    steps: int,
    seed: int,
    way: Healing = "full",
    memory_bytes: int = 2**29,
    tick: Tick = silent,
) -> nn.Module:
    """Train `short` towards the logits of `whole`, on rows of tokens; returns the trained network.

    The loss is the Kullback-Leibler divergence at every token (Hinton et al. 2015, temperature 1);
    the learning rate falls linearly from `LEARNING_RATE` to 0.
    tokens: `[n, T]`. lengths: tokens of each row, `[n]`; the others are padding.
    way: train all weights, or adapters that are merged afterwards.
    memory_bytes: for logits; a batch is read in as many parts as they need, at least row by row.
    """
    device, vocabulary = next(whole.parameters()).device, logits_of(whole, tokens[:1, :1]).shape[-1]
    rows_at_once = max(1, memory_bytes // (LOGIT_BYTES * vocabulary * tokens.shape[1]))
    tokens, lengths = tokens.to(device), lengths.to(device)
    generator = torch.Generator().manual_seed(seed)
    network = short.requires_grad_(True) if way == "full" else with_adapters(short, seed)
    network.eval()  # dropout would draw from the global generator, which no seed sets
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for step in range(steps):
        rows = torch.randint(len(tokens), (BATCH,), generator=generator).to(device)
        optimizer.zero_grad()
        for part in rows.split(rows_at_once):
            loss = _loss(network, whole, tokens[part], lengths[part])
            (loss / lengths[rows].sum()).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        tick(step + 1, steps)
    healed = network if way == "full" else merged(network)
    return healed.requires_grad_(False).eval()


def _loss(network: nn.Module, whole: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Return the divergence, summed over all tokens."""
    read = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    with torch.no_grad():
        taught = logits_of(whole, tokens)[read].log_softmax(dim=-1)
    learnt = logits_of(network, tokens)[read].log_softmax(dim=-1)
    return functional.kl_div(learnt, taught, log_target=True, reduction="sum")


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return logits `[B, T, tokens]` of tokens `[B, T]`, for our models and `transformers`'."""
    answered = model(tokens.to(next(model.parameters()).device))
    return answered if isinstance(answered, Tensor) else answered.logits
