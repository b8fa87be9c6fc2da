"""A small LSTM that reads a sequence of decisions and predicts the next answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from search_spaces.decisions import Decision, Path

SYMBOLS = 2048
State = tuple[NDArray[np.floating], NDArray[np.floating]]  # output and cell, both [H]


class DecisionLstm(nn.Module):
    """Predicts the probabilities of a decision's options from the decisions before it.

    Each step reads the embedding of the previous answer, the embedding of the decision's name and
    the logarithm of its number of options. An option's logit is the product of its embedding and a
    projection of the LSTM's output, plus the option's bias. Names and answers are hashed into one
    table (Weinberger et al. 2009, https://arxiv.org/abs/0902.2206), so any space fits, and a name
    that two spaces share means the same in both. Shapes: B paths, T decisions, O options,
    H hidden units, D width of an embedding.
    """

    def __init__(self, generator: torch.Generator, hidden: int = 32, width: int = 16) -> None:
        super().__init__()
        self.symbols = nn.Parameter(torch.empty(SYMBOLS, width))
        self.bias = nn.Parameter(torch.zeros(SYMBOLS))
        self.lstm = nn.LSTM(2 * width + 1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, width)
        nn.init.normal_(self.symbols, std=0.3, generator=generator)
        for parameter in (*self.lstm.parameters(), *self.out.parameters()):
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5, generator=generator)

    def forward(self, decided: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Return the answers' log-probabilities and the decisions' entropies, both `[B, T]`.

        An entropy is divided by its maximum, the logarithm of the number of options. Both are zero
        after a path's end and for decisions with a single option.
        """
        paths = batch_of(decided)
        logits = self._logits(paths.inputs, paths.counts, paths.options)
        there = torch.arange(logits.shape[-1]) < paths.counts[..., None]
        log_p = logits.masked_fill(~there, -1e9).log_softmax(-1)
        entropies = -(log_p.exp() * log_p).sum(-1) / paths.counts.log().clamp(min=1e-9)
        chosen = log_p.gather(-1, paths.taken[..., None])[..., 0]
        free = paths.counts > 1
        return chosen * free, entropies * free

    def _logits(self, inputs: Tensor, counts: Tensor, options: Tensor) -> Tensor:
        embedded = embedding(inputs, self.symbols).flatten(2)  # [B, T, 2 D]
        outputs, _ = self.lstm(torch.cat([embedded, counts.log()[..., None]], dim=-1))
        wanted = self.out(outputs)[..., None]  # [B, T, D, 1]
        biases = embedding(options, self.bias[:, None])
        return (embedding(options, self.symbols) @ wanted + biases)[..., 0]  # [B, T, O]

    def start(self) -> State:
        """Return the state before the first decision."""
        zeros = np.zeros(self.lstm.hidden_size, np.float32)
        return zeros, zeros

    def step(
        self, state: State, before: Decision | None, name: str, options: int
    ) -> tuple[NDArray[np.float64], State]:
        """Return the probabilities of a decision's options, `[O]`, and the state after it.

        Uses numpy on the network's memory: at this size, calling PyTorch costs more than the
        arithmetic. The gates are in PyTorch's order: input, forget, cell, output.
        """
        symbols = self.symbols.detach().numpy()
        size = np.array([np.log(options)], np.float32)
        x = np.concatenate([symbols[answer(before)], symbols[symbol(name)], size])
        w_x, w_h, b_x, b_h = (p.detach().numpy() for p in self.lstm.parameters())
        i, f, g, o = np.split(w_x @ x + w_h @ state[0] + (b_x + b_h), 4)
        cell = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
        output = _sigmoid(o) * np.tanh(cell)
        wanted = self.out.weight.detach().numpy() @ output + self.out.bias.detach().numpy()
        ids = answers(name, options)
        logits = (symbols[ids] @ wanted + self.bias.detach().numpy()[ids]).astype(np.float64)
        raised = np.exp(logits - logits.max())
        return raised / raised.sum(), (output, cell)


@dataclass(frozen=True, slots=True)
class Batch:
    """Paths as the network reads them.

    inputs: the symbols of the previous answer and of the decision's name, `[B, T, 2]`.
    counts: the number of options, 1 after a path's end, `[B, T]`.
    taken: the index of the answer, `[B, T]`.
    options: the symbols of the options, `[B, T, O]`.
    """

    inputs: Tensor
    counts: Tensor
    taken: Tensor
    options: Tensor


def batch_of(paths: Sequence[Path]) -> Batch:
    """Combine paths, each with at least one decision, into one batch."""
    B, T = len(paths), max(map(len, paths))
    O = max(decision.options for path in paths for decision in path)  # noqa: E741
    inputs = np.zeros((B, T, 2), np.int64)
    counts, taken = np.ones((B, T), np.int64), np.zeros((B, T), np.int64)
    options = np.zeros((B, T, O), np.int64)
    for b, path in enumerate(paths):
        for t, decision in enumerate(path):
            inputs[b, t] = answer(path[t - 1] if t else None), symbol(decision.name)
            counts[b, t], taken[b, t] = decision.options, decision.index
            options[b, t, : decision.options] = answers(decision.name, decision.options)
    return Batch(*map(torch.from_numpy, (inputs, counts, taken, options)))


def answer(decision: Decision | None) -> int:
    """Return the symbol of a decision's answer, or 0 if there is no decision."""
    return int(answers(decision.name, decision.options)[decision.index]) if decision else 0


@lru_cache(maxsize=4096)
def answers(name: str, options: int) -> NDArray[np.int64]:
    """Return the symbols of a decision's options, `[O]`."""
    return np.array([symbol(f"{name}={i}") for i in range(options)])


@lru_cache(maxsize=4096)
def symbol(text: str) -> int:
    """Return the table row of a name or an answer; row 0 is reserved for "no answer"."""
    return 1 + crc32(text.encode()) % (SYMBOLS - 1)


def _sigmoid(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)
