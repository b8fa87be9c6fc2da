"""What students cost, in parameters, operations, bytes and milliseconds; and the limits on it."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from compress.limits import UNITS, Limits, in_units
from compress.timing import milliseconds, using_threads, weight_bytes
from nas.core.errors import BadInput
from nas.core.task import Batch
from nas.jobs.compress.config import CompressConfig
from nas.models.narrowed_files import network_of
from nas.scores.size import count_parameters, total_flops
from search_spaces.inputs import call, repeated

EXACT: Mapping[str, Callable[[nn.Module, Batch], float]] = {
    "parameters": lambda model, batch: count_parameters(model),
    "flops": total_flops,
    "bytes": lambda model, batch: weight_bytes(model),
}
ROUNDS = 5  # of timing, where the figure is reported
TURNS = (7, 31)  # fewest and most repeats of a side-by-side timing
SECONDS = 1.0  # that the teacher's repeats should take
Costs = Mapping[str, float]


@dataclass(frozen=True)
class Meter:
    """Measures networks next to their teacher.

    batch: of the task. at_batch, threads: for which milliseconds are.
    teacher: what the teacher costs. A student's milliseconds are these times the ratio of both,
        timed in turns: what slows a machine down slows both.
    """

    batch: Batch
    at_batch: int
    threads: int
    teacher: Costs

    @classmethod
    def of(cls, teacher: nn.Module, batch: Batch, at_batch: int = 1, threads: int = 1) -> "Meter":
        meter = cls(batch, at_batch, threads, {"milliseconds": math.inf})
        exact = meter.exact(teacher)
        return meter.again(teacher, exact)

    def again(self, teacher: nn.Module, exact: Costs | None = None) -> "Meter":
        """Return a meter that timed the teacher again, for a second: its fastest median counts."""
        started, taken = time.perf_counter(), [self.teacher["milliseconds"]]
        while len(taken) <= ROUNDS or time.perf_counter() - started < SECONDS:
            taken += self.times([teacher], TURNS[0])
        return replace(self, teacher={**self.teacher, **(exact or {}), "milliseconds": min(taken)})

    def exact(self, model: nn.Module, names: Iterable[str] = EXACT) -> dict[str, float]:
        """Return some of a network's costs, of those that need no clock."""
        return {name: EXACT[name](model.eval(), self.batch) for name in names}

    def costs(self, model: nn.Module, teacher: nn.Module, rounds: int = 1) -> dict[str, float]:
        """Return all costs of a student, measured next to the teacher."""
        fewest, most = TURNS
        turns = round(1000 * SECONDS / self.teacher["milliseconds"])
        turns = min(most, max(fewest, turns))
        ratios = []
        for _ in range(rounds):
            slow, fast = self.times([teacher, model], turns)
            ratios.append(fast / slow)
        taken = self.teacher["milliseconds"] * statistics.median(ratios)
        return self.exact(model) | {"milliseconds": taken}

    def times(self, models: list[nn.Module], turns: int) -> list[float]:
        """Return the median milliseconds of networks that take turns."""
        calls = [partial(call, network_of(model.eval())) for model in models]
        with using_threads(self.threads):
            return milliseconds(calls, self.inputs, repeats=turns)

    @property
    def inputs(self) -> Any:
        return repeated(self.batch.inputs, self.at_batch)

    @property
    def setting(self) -> str:
        """For which milliseconds are, in words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"at batch {self.at_batch} with {threads}"


def limits_of(config: CompressConfig, teacher: Costs) -> Limits:
    """Return a compression's limits; that on the compression is one on a cost."""
    asked = {
        "parameters": config.max_parameters,
        "flops": config.max_macs,
        "bytes": config.max_mb,
        "milliseconds": config.max_ms,
    }
    most = {name: value * UNITS[name][1] for name, value in asked.items() if value is not None}
    if config.target_compression is not None:
        target = teacher[config.cost] / config.target_compression
        most[config.cost] = min(target, most.get(config.cost, target))
    return Limits(most, config.least_accuracy)


def check_limits(teacher: str, limits: Limits, meter: Meter, smallest: Costs) -> None:
    """Raise `BadInput` if not even the smallest student meets the limits, or the teacher does."""
    if limits.are_met(meter.teacher):
        costs = in_units(meter.teacher, limits.most, meter.setting)
        raise BadInput(f"{teacher} meets the limits as it is, with {costs}: ask for less")
    for name in limits.most:
        if smallest[name] > limits.most[name]:
            most = in_units(limits.most, [name], meter.setting)
            has = "takes about" if name == "milliseconds" else "has"
            raise BadInput(
                f"no student of {teacher} meets the limit of {most}: "
                f"the smallest {has} {in_units(smallest, [name], '')}"
            )
