"""Networks as users write them, in a module that imports nothing of this project."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class Pictures(nn.Module):
    """Logits of images `[B, channels, height, width]`."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, padding=1)
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))


class Reader(nn.Module):
    """Logits of sequences `[B, T, channels]`."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, 12, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _ = self.lstm(x)
        return self.head(outputs).mean(1)


class Packed(nn.Module):
    """Logits of images, whose rows are read as a packed sequence: it cannot be exported."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8 * channels, 16, 2, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2).flatten(2)  # [B, height, channels · width]
        lengths = torch.full((len(rows),), rows.shape[1])
        packed = pack_padded_sequence(rows, lengths, batch_first=True)
        return self.head(self.lstm(packed)[1][0][-1])


class Flat(nn.Module):
    """Logits of sequences of 10 steps and of no other length."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(10 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class Pair(nn.Module):
    """Scores of texts `[B, T]` and what is known of their writers `[B, 3]`; two answers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru = nn.Embedding(9, 6), nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6 + 3, 2)

    def forward(self, text: Tensor, writer: Tensor) -> dict[str, Tensor]:
        states, last = self.gru(self.embedding(text))
        count, steps, width = states.shape
        scaled = states.reshape(count * steps, width).view(count, steps, width) / steps
        return {"logits": self.head(torch.cat([last[-1], writer], 1)), "states": scaled}
