"""Trains the networks that a sweep prunes, one per seed, and keeps them in the run's folder."""

from pathlib import Path

import torch
from safetensors.torch import load, save

from nas.core.errors import Interrupted, NasError
from nas.core.executor import Done, Executor, Resources
from nas.core.files import write_atomically
from nas.core.seeds import candidate_seed
from nas.core.task import Measured
from nas.jobs.sweep.job import Base, SweepJob, base_of
from nas.loop.signals import Stop


def trained_bases(
    folder: Path, job: SweepJob, executor: Executor, stop: Stop, resources: Resources
) -> dict[int, Base]:
    """Return the network of every seed, from `base/` if it is already there.

    Raises `NasError` if training fails, and `Interrupted` on a signal.
    """
    files = {s: folder / "base" / f"seed-{s}.safetensors" for s in range(job.space.seeds)}
    arguments = (executor.share(job.source), executor.share(job.task), job.training)
    steps = job.train_epochs * job.epoch_steps
    handles = {
        executor.submit(
            base_of, *arguments, candidate_seed(job.seed, seed), steps, resources=resources
        ): seed
        for seed, file in files.items()
        if not file.exists()
    }
    while handles:
        if stop.signal_number is not None:
            raise Interrupted(stop.signal_number)
        for handle, outcome in executor.wait(list(handles), 0.2):
            base = outcome.value if isinstance(outcome, Done) else outcome
            if not isinstance(base, Base):
                raise NasError(f"{job.source.name} could not be trained: {base}")
            write_atomically(files[handles.pop(handle)], _to_bytes(base))
    return {seed: _from_bytes(file.read_bytes()) for seed, file in files.items()}


def _to_bytes(base: Base) -> bytes:
    parts = {"weights": base.weights, **({"start": base.start} if base.start else {})}
    tensors = {f"{part}.{k}": v for part, data in parts.items() for k, v in load(data).items()}
    measured = torch.tensor([base.validation, base.test], dtype=torch.double)
    return save({**tensors, "measured": measured})


def _from_bytes(content: bytes) -> Base:
    tensors = load(content)

    def part(name: str) -> bytes | None:
        found = {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
        return save(found) if found else None

    weights = part("weights.")
    assert weights is not None
    validation, test = (Measured(*pair) for pair in tensors["measured"].tolist())
    return Base(weights, part("start."), validation, test)
