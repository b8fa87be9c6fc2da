"""Recurrent sequence classifiers: LSTM or GRU layers, then the mean over time."""

import torch
from torch import Tensor, nn


class RecurrentClassifier(nn.Module):
    """Maps sequences `[B, T, channels]` to logits `[B, classes]`.

    It averages the states of the last layer over the steps that count.
    """

    def __init__(self, recurrent: nn.LSTM | nn.GRU, classes: int) -> None:
        super().__init__()
        self.recurrent = recurrent
        directions = 2 if recurrent.bidirectional else 1
        self.classifier = nn.Linear(recurrent.hidden_size * directions, classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits `[B, classes]`.

        lengths: `[B]`, the number of steps that count; None if all do. The backward direction
            of a bidirectional network also reads the steps after them.
        """
        states, _ = self.recurrent(x)  # [B, T, H]
        if lengths is None:
            return self.classifier(states.mean(dim=1))
        counts = torch.arange(states.shape[1], device=x.device) < lengths[:, None]  # [B, T]
        summed = (states * counts[:, :, None]).sum(dim=1)
        return self.classifier(summed / lengths[:, None])


def lstm_classifier(
    classes: int = 10,
    channels: int = 32,
    hidden: int = 128,
    layers: int = 2,
    bidirectional: bool = False,
) -> RecurrentClassifier:
    lstm = nn.LSTM(channels, hidden, layers, batch_first=True, bidirectional=bidirectional)
    return RecurrentClassifier(lstm, classes)


def gru_classifier(
    classes: int = 10,
    channels: int = 32,
    hidden: int = 128,
    layers: int = 2,
    bidirectional: bool = False,
) -> RecurrentClassifier:
    gru = nn.GRU(channels, hidden, layers, batch_first=True, bidirectional=bidirectional)
    return RecurrentClassifier(gru, classes)
