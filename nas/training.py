"""The training loop: trains one rung at a time, from checkpoint to checkpoint."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from compress.learning.gradient_noise import add_gradient_noise
from nas.core.errors import BadInput
from nas.core.job import Trained
from nas.core.task import Batch, Measured, Task, test_sets
from nas.core.tensor_files import to_bytes
from search_spaces.inputs import mapped

Update = Callable[[nn.Module, torch.optim.Optimizer, float, int], None]


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a candidate is trained; the defaults are those of NAS-Bench-NLP (section 4.1).

    learning_rate, weight_decay: settings of the optimiser, Adam.
    clip: largest norm of all gradients together; 0 for no clipping.
    device: "cpu", "cuda" or "auto".
    cools_until: the step at which the learning rate, which falls in a straight line, is 0; 0 for a
        constant one.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1.2e-6
    clip: float = 0.25
    device: str = "auto"
    cools_until: int = 0


class Diverged(ValueError):
    """The loss became infinite or NaN."""


def train_rung(
    model: nn.Module,
    task: Task,
    settings: TrainingSettings,
    seed: int,
    until: int,
    checkpoint: bytes | None = None,
    update: Update | None = None,
) -> Trained:
    """Train up to step `until`, from the checkpoint if there is one, and validate.

    update: applies a step's gradients; called with the model, the optimiser, clip and the step's
        number. The default is that of the settings: `clipped_step` or `cooling`.

    Equal arguments give equal results on the same machine: the data depend on the seed and the
    step, dropout on the seed and the step at which the rung begins.
    Raises `Diverged` if the loss is not finite.
    """
    started = time.perf_counter()
    device = torch.device(best_device() if settings.device == "auto" else settings.device)
    model.to(device)
    optimizer = adam(model, settings)
    step, state = 0, None
    if checkpoint is not None:
        step, state = restore(checkpoint, model, optimizer)
    torch.manual_seed(seed + step)
    batches = islice(task.training_batches(seed), step, until)
    total, update = 0.0, update or _update_of(settings)
    for number, batch in enumerate(batches, start=step):
        loss, state = _loss(model, task, optimizer, on_device(batch, device), state)
        update(model, optimizer, settings.clip, number)
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {number + 1}")
        total += loss
    validation = evaluate(model, task, task.validation_batches())
    if not math.isfinite(validation.loss):
        raise Diverged(f"the validation loss is {validation.loss} at step {until}")
    return Trained(
        step=until,
        objective=validation.loss,
        train_loss=total / max(1, until - step),
        validation=validation,
        checkpoint=snapshot(until, model, optimizer, state),
        seconds=time.perf_counter() - started,
    )


def fit_rung(
    model: nn.Module,
    task: Task,
    fit: Callable[[int], None],
    seed: int,
    until: int,
    checkpoint: bytes | None = None,
) -> Trained:
    """Train up to step `until` with the user's own loop, from a checkpoint's weights, and validate.

    fit: called with the additional steps. Optimiser states are its own: checkpoints hold weights.
    Raises `Diverged` if the validation loss is not finite.
    """
    started = time.perf_counter()
    step = 0 if checkpoint is None else restore(checkpoint, model)[0]
    torch.manual_seed(seed + step)
    fit(until - step)
    validation = evaluate(model, task, task.validation_batches())
    if not math.isfinite(validation.loss):
        raise Diverged(f"the validation loss is {validation.loss} at step {until}")
    return Trained(
        step=until,
        objective=validation.loss,
        validation=validation,
        checkpoint=snapshot(until, model),
        seconds=time.perf_counter() - started,
    )


def adam(model: nn.Module, settings: TrainingSettings) -> torch.optim.Adam:
    return torch.optim.Adam(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def evaluate(model: nn.Module, task: Task, batches: Iterable[Batch]) -> Measured:
    """Return the model's loss and metric on the batches, without dropout."""
    device = next(model.parameters()).device
    model.eval()

    def answered() -> Iterator[tuple[Any, Any]]:
        state = None
        for batch in batches:
            inputs, targets, lengths = on_device(batch, device)
            output = model(inputs, _fitting(state, inputs), lengths)
            state = output.state if task.carries_state else None
            yield output.answers, targets

    with torch.inference_mode():
        return task.measure(answered())


def evaluate_sets(model: nn.Module, task: Task) -> dict[str, float]:
    """Return the model's metric on each of the task's `test_sets` by name; empty without any."""
    return {
        name: evaluate(model, task, batches).metric for name, batches in test_sets(task).items()
    }


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on the device."""
    return Batch(*(mapped(lambda tensor: tensor.to(device), part) for part in batch))


def check_device(name: str, here: bool, setting: str = "training.device") -> None:
    """Raise `BadInput` for a device that PyTorch does not know.

    here: training runs in this process, so the device must be here as well. setting: names it.
    """
    try:
        device = torch.device(best_device() if name == "auto" else name)
        if device.type == "meta":
            raise RuntimeError
        if here:
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # PyTorch asserts that it was compiled for CUDA
        raise BadInput(
            f'{setting}: this machine has no device "{name}": use auto, cpu, or cuda with a '
            "GPU that `nas doctor` lists"
        ) from None


def best_device() -> str:
    """Return "cuda" if there is a GPU, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def clipped_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, clip: float, step: int
) -> None:
    """Take the optimiser's step after clipping the norm of all gradients to `clip`, unless 0."""
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


def _update_of(settings: TrainingSettings) -> Update:
    if settings.cools_until:
        return cooling(settings.learning_rate, settings.cools_until)
    return clipped_step


def cooling(learning_rate: float, steps: int, noise: float = 0.0, seed: int = 0) -> Update:
    """Return an update whose rate falls from `learning_rate` to 0 at step `steps`.

    noise: η of the noise added to clipped gradients, see `noise_deviation`.
    """

    def update(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float, step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        if noise:
            add_gradient_noise(model, {}, step, noise, seed)
        optimizer.step()

    return update


def _loss(
    model: nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    state: Any,
) -> tuple[float, Any]:
    """Compute a batch's gradients; return the loss and the state for the next batch."""
    model.train()
    output = model(batch.inputs, _fitting(state, batch.inputs), batch.lengths)
    loss = task.loss(output.answers, batch.targets)
    optimizer.zero_grad()
    (loss + output.penalty).backward()
    carried = None
    if task.carries_state and output.state is not None:
        carried = tuple(tuple(s.detach() for s in layer) for layer in output.state)
    return float(loss.detach()), carried


def _fitting(state: Any, inputs: Any) -> Any:
    """Return the carried state, or None if the number of sequences changes."""
    return None if state is None or len(state[0][0]) != len(inputs) else state


def snapshot(
    step: int, model: nn.Module, optimizer: torch.optim.Optimizer | None = None, state: Any = None
) -> bytes:
    """Return the model, Adam's moments, the carried state and the step as safetensors."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items() if optimizer else ():
        tensors |= {f"adam.{i}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    for i, layer in enumerate(state or ()):
        tensors |= {f"state.{i}.{j}": value for j, value in enumerate(layer)}
    return to_bytes({**tensors, "step": torch.tensor(step)})


def restore(
    checkpoint: bytes, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> tuple[int, Any]:
    """Load a snapshot into the model and the optimiser; return its step and carried state."""
    tensors = load(checkpoint)
    device = next(model.parameters()).device
    model.load_state_dict(_below(tensors, "model."))
    if optimizer is not None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "adam.").items():
            i, _, moment = name.partition(".")
            moments.setdefault(int(i), {})[moment] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    layers: dict[int, list[Tensor]] = {}
    for name, value in sorted(_below(tensors, "state.").items()):
        layers.setdefault(int(name.split(".")[0]), []).append(value.to(device))
    state = tuple(tuple(layers[i]) for i in sorted(layers)) or None
    return int(tensors["step"]), state


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
