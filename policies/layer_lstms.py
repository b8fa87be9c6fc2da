"""N2N's two policies: LSTMs that read features of a teacher's layers, never their names."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from search_spaces.decisions import Decision, Path

LAYERS = 2


class State(NamedTuple):
    """logits: keep or remove, for each layer, `[L, 2]`. memory: the shrinking LSTM's state."""

    logits: Tensor
    memory: tuple[Tensor, Tensor] | None


class LayerLstms(nn.Module):
    """Keeps or removes each layer, then shrinks the layers that are left.

    Ashok et al. 2018, section 3.1, https://arxiv.org/abs/1709.06030. Removal: a bidirectional LSTM
    over all layers, π(a_t | h_{t-1}, h_{t+1}, x_t), whose actions are drawn independently.
    Shrinkage: an LSTM over the width decisions, π(a_t | a_{t-1}, h_{t-1}, x_t); the previous action
    is fed back as the share of the width that it kept. A layer without a decision has no action
    and adds no log-probability. Because the policies read only features, a policy trained on one
    teacher is a starting point for another.

    features: `[L, F]`, of the teacher's layers.
    removals, widths: the layer of each decision, by the decision's name. A removal has two options.
    shares: a width is split into this many equal parts; a decision with n options keeps from
        shares - n + 1 of them to all.
    Shapes: B paths, L layers, W width decisions, H hidden units.
    """

    features: Tensor

    def __init__(
        self,
        generator: torch.Generator,
        features: Sequence[Sequence[float]],
        removals: Mapping[str, int],
        widths: Mapping[str, int],
        shares: int,
        hidden: int = 30,
    ) -> None:
        super().__init__()
        self.register_buffer("features", torch.tensor(features), persistent=False)
        self.removals, self.widths, self.shares = dict(removals), dict(widths), shares
        size = self.features.shape[1]
        self.remove = nn.LSTM(size, hidden, LAYERS, batch_first=True, bidirectional=True)
        self.remove_head = nn.Linear(2 * hidden, 2)
        self.shrink = nn.LSTM(size + 1, hidden, LAYERS, batch_first=True)
        self.shrink_head = nn.Linear(hidden, shares)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5, generator=generator)

    def forward(self, decided: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Return the answers' log-probabilities, and entropies as shares of their maxima."""
        removal, shrinkage = self._removal_logits(), self._shrinkage_logits(decided)
        rated = []
        for path, narrowed in zip(decided, shrinkage, strict=True):
            logits = iter(narrowed)
            rated.append(
                [
                    _rate(removal[self.removals[d.name]], d)
                    if d.name in self.removals
                    else _rate(next(logits), d)
                    for d in path
                ]
            )
        padded = pad_sequence([torch.stack(path) for path in rated], batch_first=True)
        return padded[..., 0], padded[..., 1]

    def start(self) -> State:
        """Return the first state, which holds the logits of all removals."""
        with torch.no_grad():
            return State(self._removal_logits(), None)

    def step(
        self, state: State, before: Decision | None, name: str, options: int
    ) -> tuple[np.ndarray, State]:
        """Return the probabilities of a decision's options, `[O]`, and the state after it."""
        if name in self.removals:
            logits = state.logits[self.removals[name]]
        else:
            with torch.no_grad():
                outputs, memory = self.shrink(self._seen([before], [name])[None], state.memory)
                logits = self.shrink_head(outputs)[0, 0]
            state = State(state.logits, memory)
        return logits[-options:].double().softmax(0).numpy(), state

    def _removal_logits(self) -> Tensor:
        outputs, _ = self.remove(self.features[None])
        return self.remove_head(outputs)[0]  # [L, 2]

    def _shrinkage_logits(self, decided: Sequence[Path]) -> Tensor:
        """Return the width logits, `[B, W, shares]`; entries past the end of a path are padding."""
        asked = []
        for path in decided:
            steps = zip([None, *path], path, strict=False)
            widths = [(before, d.name) for before, d in steps if d.name not in self.removals]
            asked.append(self._seen([before for before, _ in widths], [name for _, name in widths]))
        seen = pad_sequence(asked, batch_first=True)
        if not seen.shape[1]:
            return seen.new_zeros(len(seen), 0, self.shares)
        return self.shrink_head(self.shrink(seen)[0])

    def _seen(self, before: Sequence[Decision | None], names: Sequence[str]) -> Tensor:
        """Return the shrinking LSTM's inputs, `[W, F + 1]`: features and the last share kept."""
        unknown = next((name for name in names if name not in self.widths), None)
        if unknown is not None:
            raise ValueError(f"decision {unknown} does not belong to a layer of the teacher")
        kept = torch.tensor([[self._kept(decision)] for decision in before]).reshape(-1, 1)
        return torch.cat([self.features[[self.widths[name] for name in names]], kept], dim=1)

    def _kept(self, decision: Decision | None) -> float:
        """Return the share of its width that a layer kept, or 0 before the first width."""
        if decision is None or decision.name in self.removals:
            return 0.0
        return (self.shares - decision.options + 1 + decision.index) / self.shares


def _rate(logits: Tensor, decision: Decision) -> Tensor:
    """Return a decision's log-probability and entropy, `[2]`; both are 0 for a single option."""
    log_p = logits[-decision.options :].log_softmax(0)
    entropy = -(log_p.exp() * log_p).sum() / np.log(max(decision.options, 2))
    return torch.stack([log_p[decision.index], entropy])
