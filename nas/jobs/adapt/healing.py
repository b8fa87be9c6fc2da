"""Trains a shortened network to imitate the whole one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.questions import judged_logits

BATCH, LEARNING_RATE = 32, 1e-3


def heal(
    short: nn.Module, whole: nn.Module, evaluator: ChainEvaluator, steps: int, seed: int
) -> None:
    """Train `short` in place towards the logits of `whole`, on the evaluator's questions.

    The loss is the Kullback-Leibler divergence at every token (Hinton et al. 2015, temperature 1);
    the learning rate falls linearly from `LEARNING_RATE` to 0.
    """
    lengths = torch.tensor([len(row.tokens) for row in evaluator.rows])
    generator = torch.Generator().manual_seed(seed)
    short.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(short.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        rows = torch.randint(len(evaluator.rows), (BATCH,), generator=generator)
        tokens = evaluator.tokens[rows]
        read = torch.arange(tokens.shape[1]) < lengths[rows, None]
        with torch.no_grad():
            taught = logits_of(whole, tokens)[read].log_softmax(dim=-1)
        learnt = logits_of(short, tokens)[read].log_softmax(dim=-1)
        loss = functional.kl_div(learnt, taught, log_target=True, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(short.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    short.requires_grad_(False).eval()


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return logits `[B, T, tokens]` of tokens `[B, T]`, for our models and `transformers`'."""
    answered = model(tokens)
    return answered if isinstance(answered, Tensor) else answered.logits


def accuracy_of(model: nn.Module, evaluator: ChainEvaluator) -> float:
    """Return the share of the evaluator's questions that a network answers correctly."""
    right = 0
    for question in evaluator.questions:
        with torch.no_grad():
            logits = [
                logits_of(model, torch.tensor([row.tokens]))[0, row.first :]
                for row in question.rows
            ]
        right += judged_logits(question, logits).correct
    return right / len(evaluator.questions)
