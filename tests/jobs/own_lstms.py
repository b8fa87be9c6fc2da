"""Classifiers of sequences as users write them, each with an LSTM of another kind."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


class Gated(nn.LSTM):
    """A subclass that computes more than an LSTM."""

    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None):
        y, last = super().forward(x, hx)
        return torch.relu(y) + 1, last


class Flat(nn.Module):
    """Calls flatten_parameters() each time, as models that were once in DataParallel do."""

    def __init__(self, classes: int = 2, channels: int = 3, kind: type[nn.LSTM] = nn.LSTM) -> None:
        super().__init__()
        self.lstm = kind(channels, 6, batch_first=True)
        self.head = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        self.lstm.flatten_parameters()
        return self.head(self.lstm(x)[0].mean(dim=1))


class Packed(Flat):
    """Packs sequences of different lengths."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        lengths = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.lstm(packed)[1][0][-1])


class Own(Flat):
    """Has an LSTM of the user's own class."""

    def __init__(self, classes: int = 2, channels: int = 3) -> None:
        super().__init__(classes, channels, Gated)
