"""Alignment of representations, and students guided by it."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from compress.learning.guidance import guidance, guided, linear_cka
from nas.models.space import Answering

GENERATOR = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.double)


def test_rotation_and_scale_do_not_change_the_alignment() -> None:
    x = random(12, 5)
    turn = torch.linalg.qr(random(5, 5)).Q
    assert float(linear_cka(x, 3 * x @ turn)) == pytest.approx(1)
    assert float(linear_cka(x, x.reshape(12, 5, 1))) == pytest.approx(1)


def test_independent_representations_are_not_aligned_on_average() -> None:
    found = [float(linear_cka(random(8, 50), random(8, 50))) for _ in range(200)]
    assert abs(sum(found) / len(found)) < 0.05


def test_it_agrees_with_the_estimate_written_out() -> None:
    """Song et al. 2012, eq. 5, term by term."""
    x, y = random(6, 3), random(6, 4)

    def hsic(u: Tensor, v: Tensor) -> float:
        k, m, n = u @ u.T, v @ v.T, len(u)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        first = sum(float(k[i, j] * m[i, j]) for i, j in pairs)
        second = sum(float(k[i, j]) for i, j in pairs) * sum(float(m[i, j]) for i, j in pairs)
        third = sum(float(k[i, j] * m[j, q]) for i, j in pairs for q in range(n) if q != j)
        return (first + second / (n - 1) / (n - 2) - 2 * third / (n - 2)) / (n * (n - 3))

    expected = hsic(x, y) / (hsic(x, x) * hsic(y, y)) ** 0.5
    assert float(linear_cka(x, y)) == pytest.approx(expected)


def test_layers_are_compared_at_the_same_relative_depth() -> None:
    layers = [random(6, 3) for _ in range(5)]
    assert float(guidance(layers, [layers[0], layers[2], layers[4]])) == pytest.approx(0)
    apart = sum(1 - float(linear_cka(layers[a], layers[b])) for a, b in ((0, 1), (4, 3)))
    assert float(guidance(layers[::2], layers)) == pytest.approx(apart)


def network(seed: int, *widths: int) -> Answering:
    torch.manual_seed(seed)
    sizes = (4, *widths, 3)
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    return Answering(nn.Sequential(*layers))


def test_a_guided_student_becomes_similar_to_its_guide() -> None:
    student, guide, inputs = network(0, 8), network(1, 16, 16), torch.randn(32, 4)
    optimizer = torch.optim.Adam(student.parameters(), 0.02)
    penalties = []
    with guided(student, guide, 1.0):
        for _ in range(60):
            penalty = student(inputs).penalty
            optimizer.zero_grad()
            penalty.backward()
            optimizer.step()
            penalties.append(float(penalty.detach()))
        assert float(student.eval()(inputs).penalty) == 0
    assert penalties[-1] < 0.5 * penalties[0]
    assert float(student.train()(inputs).penalty) == 0
    assert all(parameter.grad is None for parameter in guide.parameters())


def test_a_batch_of_three_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 inputs, not 3"):
        linear_cka(random(3, 2), random(3, 2))
