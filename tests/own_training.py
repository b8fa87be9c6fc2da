"""A user's own networks, data and loops, small enough for tests of everything round them."""

import threading

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nas.tasks import LoaderTask

GENERATOR = torch.Generator().manual_seed(0)
POINTS = torch.randn(160, 6, generator=GENERATOR)
NUMBERS = (POINTS[:, :2].sum(1, keepdim=True)).tanh()
CLASSES = (POINTS[:, 0] > 0).long()


def parts(*tensors: torch.Tensor) -> tuple[DataLoader, DataLoader, DataLoader]:
    """Training, validation and test data; the first come in random order."""
    bounds = ((0, 96), (96, 128), (128, 160))
    sets = [TensorDataset(*(tensor[a:b] for tensor in tensors)) for a, b in bounds]
    return (DataLoader(sets[0], 16, shuffle=True), *(DataLoader(part, 32) for part in sets[1:]))


def network(outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Sequential(nn.Linear(16, 16)), nn.Linear(16, outputs)
    )


def numbers() -> LoaderTask:
    return LoaderTask("regression", *parts(POINTS, NUMBERS), metric="r2")


def teacher_of_numbers() -> nn.Module:
    """A network that comes trained, the same each time; takes no arguments."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            functional.mse_loss(model(POINTS[:96]), NUMBERS[:96]).backward()
            optimizer.step()
    return model


def untrained(classes: int) -> nn.Module:
    return network(classes)


def embeddings() -> LoaderTask:
    return LoaderTask("embedding", *parts(POINTS), teacher=encoder)


def encoder() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return network(8)


def classes() -> LoaderTask:
    return LoaderTask("classification", *parts(POINTS, CLASSES))


class TwoAnswers(nn.Module):
    """Returns logits and what it made them of, as many networks do."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        features = self.conv(x).mean((2, 3))
        return self.head(features), features


class NamedAnswers(TwoAnswers):
    def forward(self, x):
        logits, features = super().forward(x)
        return {"features": features, "logits": logits}


class TwoInputs(nn.Module):
    """Reads points and the numbers of their groups."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = nn.Embedding(4, 3)
        self.layers = nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU())
        self.head = nn.Linear(12, 1)

    def forward(self, points, group):
        return self.head(self.layers(torch.cat([points, self.groups(group)], 1)))


def named_batches() -> LoaderTask:
    """Batches as dictionaries of arrays, of a list instead of a `DataLoader`."""
    points, wanted = POINTS.numpy(), NUMBERS.numpy()
    group = np.arange(160) % 4

    def batches(first: int, last: int) -> list[dict[str, np.ndarray]]:
        return [
            {"points": points[i : i + 16], "group": group[i : i + 16], "labels": wanted[i : i + 16]}
            for i in range(first, last, 16)
        ]

    return LoaderTask("regression", batches(0, 96), batches(96, 128), batches(128, 160))


def error(outputs, batch):
    _, y = batch
    return (outputs - y).abs().mean()


def share_near(outputs, batch) -> float:
    return float(((outputs - batch[1]).abs() < 0.2).float().mean())


def own_functions() -> LoaderTask:
    return LoaderTask(error, *parts(POINTS, NUMBERS), metric=share_near)


def each_error(outputs, batch):
    return (outputs - batch[1]).abs()


def bad_loss() -> LoaderTask:
    return LoaderTask(each_error, *parts(POINTS, NUMBERS))


def bad_metric() -> LoaderTask:
    return LoaderTask(error, *parts(POINTS, NUMBERS), metric=each_error)


def empty() -> LoaderTask:
    return LoaderTask("regression", [], *parts(POINTS, NUMBERS)[1:])


def needs_width(width):
    return network(width)


def fit(model: nn.Module, steps: int) -> None:
    """A plain loop of the user, on the labels."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    (x, y), taken = (POINTS[:96], NUMBERS[:96]), 0
    while taken < steps:
        optimizer.zero_grad()
        functional.mse_loss(model(x), y).backward()
        optimizer.step()
        taken += 1
    CALLS.append(steps)


CALLS: list[int] = []


def fit_with_lightning(model: nn.Module, steps: int) -> None:
    import lightning

    class Student(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def training_step(self, batch, _):
            x, y = batch
            return functional.mse_loss(self.network(x), y)

        def configure_optimizers(self):
            return torch.optim.Adam(self.network.parameters(), 1e-2)

    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.fit(Student(), parts(POINTS, NUMBERS)[0])


class WithLoss(nn.Module):
    """What a `Trainer` trains: returns the loss first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x, labels):
        answers = self.network(x)
        return functional.mse_loss(answers, labels), answers


def fit_with_transformers(model: nn.Module, steps: int) -> None:
    import tempfile

    from transformers import Trainer, TrainingArguments

    data = [{"x": x, "labels": y} for x, y in zip(POINTS[:96], NUMBERS[:96], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, save_strategy="no", report_to=[], use_cpu=True
        )
        Trainer(WithLoss(model), arguments, train_dataset=data).train()


def failing_fit(model: nn.Module, steps: int) -> None:
    raise KeyError("labels")


def broken() -> nn.Module:
    return torch.load("nowhere.pt")


def images() -> LoaderTask:
    labels = torch.arange(96) % 3
    noise = torch.randn(96, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return LoaderTask("classification", *_thirds(noise + labels.view(-1, 1, 1, 1), labels))


def sequences() -> LoaderTask:
    steps = POINTS.view(-1, 5, 6)
    return LoaderTask("classification", *_thirds(steps, (steps[:, -1, 0] > 0).long()))


def step_error(outputs, batch):
    return outputs.square().mean()


def sequences_of_own_loss() -> LoaderTask:
    return LoaderTask(step_error, *_thirds(POINTS.view(-1, 5, 6)))


def _thirds(*tensors: torch.Tensor) -> tuple[DataLoader, ...]:
    third = len(tensors[0]) // 3
    return tuple(
        DataLoader(TensorDataset(*(t[i * third : (i + 1) * third] for t in tensors)), 16)
        for i in range(3)
    )


class Locked(TensorDataset):
    """Data that no other process can be sent, as those of an open file."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        super().__init__(*tensors)
        self.lock = threading.Lock()


def locked() -> LoaderTask:
    loader = DataLoader(Locked(POINTS, NUMBERS), 16)
    return LoaderTask("regression", loader, loader)
