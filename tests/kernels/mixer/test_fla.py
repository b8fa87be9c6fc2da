"""What flash-linear-attention is given: its layout, restated as a loop over steps."""

import pytest
import torch
from torch import Tensor

from kernels.mixer import fla
from kernels.mixer.arguments import Arguments, checked
from kernels.mixer.op import run_recurrence
from kernels.mixer.spec import Decay, Erase, Recurrence


def steps_of(q: Tensor, k: Tensor, v: Tensor, *, scale: float, initial_state: Tensor, **rest):
    """Any function of `fla.ops` as its documentation describes it: q is `[B, T, H, K]`."""
    assert rest.pop("output_final_state")
    beta, g, writes = rest.pop("beta", None), rest.pop("g", None), rest.pop("num_householder", 1)
    assert not rest
    state, outputs = initial_state, []
    for step in range(q.shape[1]):
        if g is not None:
            decay = g[:, step].exp()
            state = state * (decay[..., None] if decay.dim() == 3 else decay[..., None, None])
        for place in range(step * writes, (step + 1) * writes):
            value = v[:, place]
            if beta is not None:
                seen = torch.einsum("bhkv,bhk->bhv", state, k[:, place])
                value = (value - seen) * beta[:, place, :, None]
            state = state + k[:, place, :, :, None] * value[:, :, None]
        outputs.append(scale * torch.einsum("bhkv,bhk->bhv", state, q[:, step]))
    return torch.stack(outputs, 1), state


def drawn(recurrence: Recurrence) -> dict[str, Tensor]:
    each, writes = (2, 3, 7), recurrence.writes
    k = torch.nn.functional.normalize(torch.randn(*each, writes, recurrence.keys), dim=-1)
    given = {
        "q": torch.randn(*each, recurrence.keys),
        "k": k,
        "v": torch.randn(*each, writes, recurrence.values),
        "b": torch.rand(*each, writes),
        "state": torch.randn(2, 3, recurrence.keys, recurrence.values),
    }
    if recurrence.decays:
        given["log_decay"] = -torch.rand(*each, recurrence.decays)
    return given


def arguments(recurrence: Recurrence, given: dict[str, Tensor]) -> Arguments:
    names = ("q", "k", "v", "b", "e", "log_decay", "sign", "state", "lengths")
    return checked(recurrence, *(given.get(name) for name in names))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decay", "writes", "erase"),
    [
        ("none", 1, "none"),
        ("head", 1, "none"),
        ("feature", 1, "none"),
        ("none", 1, "key"),
        ("head", 1, "key"),
        ("feature", 1, "key"),
        ("none", 2, "key"),
        ("head", 3, "key"),
    ],
)
def test_its_functions_get_the_recurrence(
    decay: Decay, writes: int, erase: Erase, monkeypatch: pytest.MonkeyPatch
) -> None:
    recurrence = Recurrence(decay, writes, erase, 4, 5)
    given = drawn(recurrence)
    monkeypatch.setattr(fla, "_function", lambda name: steps_of)
    y, last = fla.run_fla(recurrence, arguments(recurrence, given))
    expected = run_recurrence(recurrence, **given, backend="reference")  # type: ignore[arg-type]
    torch.testing.assert_close((y, last), expected)


def test_what_it_has_no_function_for_stays_here() -> None:
    assert fla.function_name(Recurrence("none", 2, "none", 4, 4)) is None
    assert fla.function_name(Recurrence("feature", 2, "key", 4, 4)) is None
    assert fla.function_name(Recurrence("head", 1, "own", 4, 4)) is None
    assert fla.function_name(Recurrence("head", 1, "key", 4, 512)) is None
    recurrence = Recurrence("head", 1, "key", 4, 5)
    assert not fla.takes(recurrence, arguments(recurrence, drawn(recurrence)))  # on the CPU


@pytest.mark.parametrize(
    ("triton", "wrong"), [("3.3.1", False), ("3.4.0", True), ("3.7.0+git1", True), ("3.7.1", False)]
)
def test_versions_of_triton_with_wrong_gradients_are_known(triton: str, wrong: bool) -> None:
    assert fla.has_wrong_gradients(triton) is wrong


@pytest.mark.gpu
@pytest.mark.parametrize("decay", ["none", "head", "feature"])
@pytest.mark.parametrize("erase", ["none", "key"])
def test_it_agrees_with_chunks_on_a_gpu(decay: Decay, erase: Erase) -> None:
    if fla.problem():
        pytest.skip(f"flash-linear-attention: {fla.problem()}")
    recurrence = Recurrence(decay, 1, erase, 64, 64)
    given = {n: t.to("cuda", torch.bfloat16) for n, t in drawn(recurrence).items()}
    assert fla.takes(recurrence, arguments(recurrence, given))
    y, _ = run_recurrence(recurrence, **given)  # type: ignore[arg-type]
    expected, _ = run_recurrence(recurrence, **given, backend="chunks")  # type: ignore[arg-type]
    assert (y - expected).float().norm() <= 0.02 * expected.float().norm()
