"""Compiled recurrences and their chunks against the loop over steps, values and gradients."""

import itertools

import pytest
import torch
from torch.nn import functional

from kernels.mixer.op import run_recurrence
from kernels.mixer.spec import Recurrence

SHAPES = [(5, 7, 37), (16, 16, 130), (33, 70, 70)]
DECAYS, WRITES, ERASES = ("none", "head", "feature"), (1, 2, 3), ("none", "key", "own")
EVERY_STEP = list(itertools.product(DECAYS, WRITES, ERASES))
# every pair of choices occurs in one of nine steps; the others are slow only because C is compiled
STEPS = [
    step
    if sum(c.index(x) for c, x in zip((DECAYS, WRITES, ERASES), step, strict=True)) % 3 == 0
    else pytest.param(*step, marks=pytest.mark.slow)
    for step in EVERY_STEP
]


def drawn(recurrence: Recurrence, steps: int, dtype: torch.dtype, seed: int) -> dict:
    """Return tensors with initial states, strong, negative and zero decays, and zero strengths."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(2, 2, *shape, generator=generator, dtype=torch.float64)

    writes, keys = recurrence.writes, recurrence.keys
    b = torch.sigmoid(normal(steps, writes)) * 2
    tensors = {
        "q": normal(steps, keys) / keys**0.5,
        "k": functional.normalize(normal(steps, writes, keys), dim=-1),
        "v": normal(steps, writes, recurrence.values),
        "b": b.masked_fill(normal(steps, writes) > 1, 0),
        "state": normal(keys, recurrence.values),
    }
    if recurrence.erase == "own":  # near the key: other steps may grow without bound
        near = tensors["k"] + 0.1 * normal(steps, writes, keys)
        tensors["e"] = 0.5 * functional.normalize(near, dim=-1)
    tensors = {name: t.to(dtype).requires_grad_() for name, t in tensors.items()}
    if recurrence.decays:
        decays = (steps, recurrence.decays)
        logs = -functional.softplus(10 * normal(*decays) - 20)
        logs = logs.masked_fill(normal(*decays) > 2.5, -torch.inf)
        tensors["log_decay"] = logs.to(dtype).requires_grad_()
        tensors["sign"] = normal(*decays).sign().to(dtype)
    return tensors


def results(recurrence: Recurrence, tensors: dict, backend: str) -> list[torch.Tensor]:
    """Return the outputs, the last state and all gradients."""
    outputs, last = run_recurrence(recurrence, **tensors, backend=backend)
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    loss = (outputs * weights).sum() + last.sin().sum()
    wanted = [t for t in tensors.values() if t.requires_grad]
    return [outputs.detach(), last.detach(), *torch.autograd.grad(loss, wanted)]


def worst(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Return the largest difference, as a share of the tensor's largest number."""
    pairs = zip(found, expected, strict=True)
    return max(float((f.double() - e).abs().max() / e.abs().max()) for f, e in pairs)


def as_float32(tensors: dict) -> dict:
    return {
        name: t.detach().float().requires_grad_(t.requires_grad) if t.is_floating_point() else t
        for name, t in tensors.items()
    }


@pytest.mark.parametrize(("decay", "writes", "erase"), STEPS)
def test_every_step_agrees_with_the_loop(decay, writes, erase):
    keys, values, steps = SHAPES[EVERY_STEP.index((decay, writes, erase)) % len(SHAPES)]
    recurrence = Recurrence(decay, writes, erase, keys, values)
    tensors = drawn(recurrence, steps, torch.float64, seed=writes)
    expected = results(recurrence, tensors, "reference")
    assert worst(results(recurrence, tensors, "cpu"), expected) < 1e-12
    assert worst(results(recurrence, tensors, "chunks"), expected) < 1e-10


@pytest.mark.parametrize("erase", ["none", "key"])
def test_float32_is_as_exact_as_a_float32_loop(erase):
    recurrence = Recurrence("feature", 2, erase, 16, 24)
    tensors = drawn(recurrence, 65, torch.float64, seed=0)
    expected = results(recurrence, tensors, "reference")
    single = as_float32(tensors)
    loop = worst(results(recurrence, single, "reference"), expected)
    assert worst(results(recurrence, single, "cpu"), expected) < 4 * loop


@pytest.mark.parametrize("backend", ["cpu", "chunks", "reference"])
def test_lengths_end_a_sequence(backend):
    recurrence = Recurrence("head", 1, "key", 6, 5)
    tensors = drawn(recurrence, 40, torch.float64, seed=1)
    lengths = torch.tensor([13, 0])
    outputs, last = run_recurrence(recurrence, **tensors, lengths=lengths, backend=backend)
    short = {n: t if n == "state" else t[:, :, :13] for n, t in tensors.items()}
    expected, ended = run_recurrence(recurrence, **short, backend="reference")
    torch.testing.assert_close(outputs[0, :, :13], expected[0])
    torch.testing.assert_close(last[0], ended[0])
    torch.testing.assert_close(last[1], tensors["state"][1])
    assert not outputs[0, :, 13:].any() and not outputs[1].any()
    grads = torch.autograd.grad(outputs.sum() + last.sum(), [tensors["v"], tensors["state"]])
    assert not grads[0][0, :, 13:].any() and not grads[0][1].any()
    torch.testing.assert_close(grads[1][1], torch.ones_like(grads[1][1]))


@pytest.mark.parametrize("backend", ["cpu", "chunks"])
def test_a_decay_of_zero_forgets_everything(backend):
    recurrence = Recurrence("head", 1, "none", 4, 4)
    tensors = drawn(recurrence, 9, torch.float64, seed=2)
    logs = torch.zeros_like(tensors["log_decay"])
    logs[:, :, 5] = -torch.inf
    tensors |= {"log_decay": logs, "sign": torch.ones_like(logs)}
    outputs, _ = run_recurrence(recurrence, **tensors, backend=backend)
    rest = {n: t[:, :, 5:] for n, t in tensors.items() if n != "state"}
    rest["log_decay"] = torch.zeros_like(rest["log_decay"])
    expected, _ = run_recurrence(recurrence, **rest, backend="reference")
    torch.testing.assert_close(outputs[:, :, 5:], expected)


def test_a_nan_stays_in_its_sequence():
    recurrence = Recurrence("feature", 1, "key", 8, 8)
    tensors = drawn(recurrence, 20, torch.float32, seed=3)
    with torch.no_grad():
        tensors["v"][1, :, 4] = torch.nan
    outputs, last = run_recurrence(recurrence, **tensors)
    assert outputs[0].isfinite().all() and last[0].isfinite().all()
    assert outputs[1, :, :4].isfinite().all() and outputs[1, :, 4:].isnan().all()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 9, 3), (40, 1, 3)])
def test_smallest_sizes_run(sizes):
    keys, values, steps = sizes
    recurrence = Recurrence("feature", 1, "key", keys, values)
    tensors = drawn(recurrence, steps, torch.float64, seed=4)
    expected = results(recurrence, tensors, "reference")
    assert worst(results(recurrence, tensors, "cpu"), expected) < 1e-12


def test_two_calls_carry_the_state():
    recurrence = Recurrence("feature", 2, "none", 8, 8)
    tensors = drawn(recurrence, 50, torch.float64, seed=5)
    whole, last = run_recurrence(recurrence, **tensors)
    state = tensors.pop("state")
    outputs = []
    for part in (slice(0, 21), slice(21, 50)):
        some = {name: t[:, :, part] for name, t in tensors.items()}
        y, state = run_recurrence(recurrence, **some, state=state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 2), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": torch.zeros(2, 2, 9, 5)}, r"q is \[2, 2, 9, 5\], expected \[B, H, T, 4\]"),
        ({"q": torch.zeros(2, 2, 0, 4)}, "at least 1 step"),
        ({"v": torch.zeros(2, 2, 9, 1, 3)}, r"v is \[2, 2, 9, 1, 3\], expected \[2, 2, 9, 1, 4\]"),
        ({"log_decay": None}, "needs log_decay"),
        ({"e": torch.zeros(2, 2, 9, 1, 4)}, "takes no e"),
        ({"b": torch.zeros(2, 2, 9, 1).double()}, "convert one of them"),
        ({"lengths": torch.tensor([3, 10])}, "whole numbers from 0 to 9"),
        ({"state": torch.zeros(2, 2, 4, 5)}, "state is"),
        ({"backend": "fast"}, 'unknown backend "fast"'),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change, message):
    recurrence = Recurrence("head", 1, "none", 4, 4)
    tensors = drawn(recurrence, 9, torch.float32, seed=6)
    with pytest.raises(ValueError, match=message):
        run_recurrence(recurrence, **(tensors | change))


def test_without_a_compiler_chunks_run(monkeypatch):
    monkeypatch.setattr("kernels.mixer.op.compiled_mixer", lambda *_: None)
    recurrence = Recurrence("head", 1, "key", 4, 4)
    tensors = drawn(recurrence, 9, torch.float64, seed=7)
    expected = run_recurrence(recurrence, **tensors, backend="reference")
    torch.testing.assert_close(run_recurrence(recurrence, **tensors), expected)


@pytest.mark.parametrize("signed", [False, True])
def test_recurrences_of_single_numbers_run_as_a_scan(signed, monkeypatch):
    monkeypatch.setattr("kernels.mixer.op.compiled_mixer", None)  # not called
    generator = torch.Generator().manual_seed(8)
    recurrence, each = Recurrence("head", 1, "none", 1, 1), (3, 70, 21)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    tensors = {name: normal(*each, *(1,) * n) for name, n in zip("qkvb", (1, 2, 2, 1), strict=True)}
    tensors |= {"state": normal(3, 70, 1, 1), "log_decay": -normal(*each, 1).abs()}
    tensors["log_decay"] = tensors["log_decay"].detach().requires_grad_()
    leaves = list(tensors.values())
    resets = torch.zeros(*each, 1, dtype=torch.bool)
    resets[:, :, 5] = True
    tensors["log_decay"] = tensors["log_decay"].masked_fill(resets, -torch.inf)
    if signed:
        tensors["sign"] = normal(*each, 1).detach().sign()
    found = []
    for backend in ("cpu", "reference"):
        lengths = torch.tensor([21, 8, 0])
        outputs = run_recurrence(recurrence, **tensors, lengths=lengths, backend=backend)
        weights = [
            torch.randn(o.shape, generator=torch.Generator().manual_seed(9)) for o in outputs
        ]
        total = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True))
        found.append((*outputs, *torch.autograd.grad(total, leaves, retain_graph=True)))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
