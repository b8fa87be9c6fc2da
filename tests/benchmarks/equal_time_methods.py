"""Five ways to make the teacher of `equal_time.py` faster; `amount` says how much.

Each returns a network with weights of the teacher's that was not trained since.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from compress.structure.student import student, without
from nas.api import compress
from nas.core.settings import Named
from nas.models.cifar_resnet import CifarBlock
from tests.benchmarks.cifar_networks import BATCH, accuracy
from tests.benchmarks.equal_time_setup import (
    examples,
    teacher,
    training_images,
    validation_images,
)

SEARCH: dict[str, Any] = {
    "controller": Named(name="tpe"),
    "pool": 24,
    "updates": 2,
    "rollouts": 3,
    "narrowest": 1,
    "cost": "flops",
    "training": {"steps": 8, "rungs": 1},
    "execution": {"executor": "serial"},
    "seed": 0,
}


def ours(amount: float, seed: int) -> nn.Module:
    """Search with `nas compress` for a student with that many per cent of the operations.

    Return it as it is before any training. One search serves all seeds of the fine-tuning.
    """
    described = _searched(amount)
    return student(teacher(), examples(2), described["spec"][0], dict(described["spec"][1]))


@cache
def _searched(amount: float) -> dict[str, Any]:
    """Return the architecture of the student that was found."""
    with TemporaryDirectory() as folder:
        compress(
            teacher="tests.benchmarks.equal_time_setup:teacher",
            task=Named(name="tests.benchmarks.equal_time_setup:task"),
            fit="tests.benchmarks.equal_time_setup:fit",
            target_compression=100 / amount,
            run=Path(folder) / "run",
            cache=Path(folder),
            **SEARCH,
        )
        return json.loads((Path(folder) / "run" / "student" / "architecture.json").read_text())


def even(amount: float, seed: int) -> nn.Module:
    """Remove that many blocks at equal distances, of those whose shortcut changes nothing."""
    model = teacher()
    free = [n for n, m in model.named_modules() if isinstance(m, CifarBlock) and n[-2:] != ".0"]
    removed = round(amount)
    return without(model, [free[int((i + 0.5) * len(free) / removed)] for i in range(removed)])


def magnitude(amount: float, seed: int) -> nn.Module:
    import torch_pruning as tp

    return _pruned(tp.importance.MagnitudeImportance(p=2, group_reduction="first"), amount)


def group_norm(amount: float, seed: int) -> nn.Module:
    import torch_pruning as tp

    return _pruned(tp.importance.GroupMagnitudeImportance(p=2), amount)


def _pruned(importance: Any, amount: float) -> nn.Module:
    """Remove that many per cent of the channels of each layer."""
    import torch_pruning as tp

    model = teacher()
    tp.pruner.MagnitudePruner(
        model,
        examples(2),
        importance=importance,
        pruning_ratio=amount / 100,
        ignored_layers=[model.linear],
    ).step()
    return model


def fastnas(amount: float, seed: int) -> nn.Module:
    """Leave that many per cent of the operations; widths are multiples of 8.

    FastNAS knows limits on operations and parameters, not on time. Its own multiples are of 32,
    which leaves ResNet-56 nothing to narrow but its last stage.
    """
    import modelopt.torch.prune as mtp

    eighths = tuple(i / 8 for i in range(1, 9))
    convolutions = {"channels_ratio": eighths, "kernel_size": (), "channel_divisor": 8}
    norms = {"features_ratio": eighths, "feature_divisor": 8}
    widths = {"nn.Conv2d": {"*": convolutions}, "nn.BatchNorm2d": {"*": norms}}
    pixels, classes = (part[:300] for part in validation_images())
    calibration = training_images()[0][: 8 * BATCH].split(BATCH)
    return mtp.prune(
        teacher(),
        mode=[("fastnas", widths)],
        constraints={"flops": f"{amount}%"},
        dummy_input=pixels[:1],
        config={
            "data_loader": [(batch,) for batch in calibration],
            "collect_func": lambda batch: batch[0],
            "score_func": lambda model: accuracy(model, pixels, classes),
        },
    )[0]


METHODS: Mapping[str, Callable[[float, int], nn.Module]] = {
    "ours": ours,
    "even": even,
    "magnitude": magnitude,
    "group-norm": group_norm,
    "fastnas": fastnas,
}
