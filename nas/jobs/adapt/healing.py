"""Trains a shortened network to imitate the whole one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.adapters import merged, with_adapters
from nas.jobs.adapt.config import Healing
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.questions import judged_logits

BATCH, LEARNING_RATE = 32, 1e-3


def heal(
    short: nn.Module,
    whole: nn.Module,
    tokens: Tensor,
    lengths: Tensor,
    steps: int,
    seed: int,
    way: Healing = "full",
) -> nn.Module:
    """Train `short` towards the logits of `whole`, on rows of tokens; returns the trained network.

    The loss is the Kullback-Leibler divergence at every token (Hinton et al. 2015, temperature 1);
    the learning rate falls linearly from `LEARNING_RATE` to 0.
    tokens: `[n, T]`. lengths: tokens of each row, `[n]`; the others are padding.
    way: train all weights, or adapters that are merged afterwards.
    """
    generator = torch.Generator().manual_seed(seed)
    network = short.requires_grad_(True) if way == "full" else with_adapters(short, seed)
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        rows = torch.randint(len(tokens), (BATCH,), generator=generator)
        loss = _loss(network, whole, tokens[rows], lengths[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    healed = network if way == "full" else merged(network)
    return healed.requires_grad_(False).eval()


def _loss(network: nn.Module, whole: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
    read = torch.arange(tokens.shape[1]) < lengths[:, None]
    with torch.no_grad():
        taught = logits_of(whole, tokens)[read].log_softmax(dim=-1)
    learnt = logits_of(network, tokens)[read].log_softmax(dim=-1)
    return functional.kl_div(learnt, taught, log_target=True, reduction="batchmean")


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return logits `[B, T, tokens]` of tokens `[B, T]`, for our models and `transformers`'."""
    answered = model(tokens)
    return answered if isinstance(answered, Tensor) else answered.logits


def answers_of(model: nn.Module, evaluator: ChainEvaluator) -> tuple[bool, ...]:
    """Return for each of the evaluator's questions whether a network answers it correctly."""
    right = []
    for question in evaluator.questions:
        with torch.no_grad():
            logits = [
                logits_of(model, torch.tensor([row.tokens]))[0, row.first :]
                for row in question.rows
            ]
        right.append(judged_logits(question, logits).correct)
    return tuple(right)
