"""What a reader of `docs/how-to/own-fit.md` has: a network, its data, and wrappers for trainers."""

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nas.tasks import LoaderTask

POINTS = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
NUMBERS = POINTS[:, :2].sum(1, keepdim=True).tanh()
PARTS = [TensorDataset(POINTS[a:b], NUMBERS[a:b]) for a, b in ((0, 200), (200, 250), (250, 300))]
TRAIN = PARTS[0]
ROWS = [{"points": points, "labels": numbers} for points, numbers in TRAIN]


def task() -> LoaderTask:
    loaders = [DataLoader(part, 50) for part in PARTS]
    return LoaderTask("regression", *loaders, metric="r2")


class Student(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return functional.mse_loss(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.01)


class Labelled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": functional.mse_loss(self.model(points), labels)}


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    model = nn.Sequential(*model, nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        functional.mse_loss(model(POINTS[:200]), NUMBERS[:200]).backward()
        optimizer.step()
    return model
