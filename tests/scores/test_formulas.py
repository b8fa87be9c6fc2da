"""Every score agrees with its formula, computed in another way in a few lines."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kernels.cell.reference import reference_rnn, reference_step
from kernels.cell.zoo import ZOO
from nas.core.answers import cross_entropy
from nas.core.registry import create
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.activation_distance import agreements, log_determinant
from nas.scores.jacobian import cosine, covariance
from nas.scores.latency import Latency
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize


def made(cell: str = "lstm") -> tuple[nn.Module, Batch]:
    shape = ModelShape(DataShape("tokens", 20, 20, True), ModelSize(5, 6, 2))
    generator = torch.Generator().manual_seed(0)
    model = RnnCellSpace().build(read_recipe(ZOO[cell]), shape, generator).double().eval()
    tokens = torch.randint(20, (4, 8), generator=generator)
    return model, Batch(tokens[:, :-1], tokens[:, 1:])


def value(name: str, model: nn.Module, batch: Batch, **options) -> float:
    scored = create("scores", name, options)(model, batch, torch.Generator().manual_seed(0))
    return next(iter(scored.values()))


def outputs(model, embedded: Tensor) -> Tensor:
    """Return the last layer's outputs, computed by the reference."""
    x = embedded
    for layer in model.layers:
        x, _ = reference_rnn(layer.cell, x, layer.initial_state(len(x), x), layer.weights())
    return x


def loss(model, batch: Batch) -> Tensor:
    answers = outputs(model, model.embedding(batch.inputs)) @ model.embedding.weight.T
    return cross_entropy(answers + model.decoder_bias, batch.targets)


def weights(model) -> dict[str, nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if not n.endswith("bias")}


def test_jacobian_scores_use_the_gradient_by_the_embedded_input() -> None:
    model, batch = made()
    embedded = model.embedding(batch.inputs).detach().requires_grad_()
    outputs(model, embedded).sum().backward()
    rows = embedded.grad.flatten(1).numpy()  # type: ignore[union-attr]
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    expected = -np.sum(np.log(eigenvalues) + 1 / eigenvalues)
    assert value("jacobian-covariance", model, batch) == pytest.approx(expected, rel=1e-6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    off = [abs(unit[i] @ unit[j]) ** 0.05 for i in range(4) for j in range(4) if i != j]
    assert value("jacobian-cosine", model, batch) == pytest.approx(1 - sum(off) / 2 / 12)


def test_the_cosine_is_a_half_for_parallel_rows_and_one_for_orthogonal_ones() -> None:
    assert cosine(torch.ones(5, 2, 3)) == pytest.approx(0.5)
    assert cosine(torch.eye(4).view(4, 2, 2)) == 1


def test_zero_and_constant_jacobians_are_refused() -> None:
    with pytest.raises(ScoreFailed, match="zero for 2 of 3 sequences"):
        cosine(torch.stack([torch.ones(2, 2), torch.zeros(2, 2), torch.zeros(2, 2)]))
    with pytest.raises(ScoreFailed, match="1 of 2 sequences have a constant gradient"):
        covariance(torch.stack([torch.ones(2, 2), torch.eye(2)]))
    with pytest.raises(ScoreFailed, match="not finite"):
        cosine(torch.full((2, 2, 2), math.nan))


def test_noise_comes_only_from_the_generator_and_changes_four_values() -> None:
    model, batch = made()
    score = create("scores", "noised-jacobian-cosine")
    first, again, other = (score(model, batch, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert first == again != other
    assert list(first) == [f"noised-jacobian-cosine-{a}" for a in ("more", "0.1", "10", "100")]


def test_synaptic_saliency_and_snip_sum_weights_times_gradients() -> None:
    model, batch = made()
    named = weights(model)
    for name, total in (
        ("synaptic-saliency", outputs(model, model.embedding(batch.inputs)).sum()),
        ("snip", loss(model, batch)),
    ):
        gradients = torch.autograd.grad(total, list(named.values()))
        pairs = zip(named.values(), gradients, strict=True)
        expected = sum((w * g).abs().sum() for w, g in pairs)
        assert value(name, model, batch) == pytest.approx(float(expected.detach()))


def test_grasp_is_the_change_of_the_squared_gradient_along_the_weights() -> None:
    # d/dε of -|g(w + ε w)|² / 2 at ε = 0 is -Σ w · H g.
    model, batch = made("gru")
    named = list(weights(model).values())

    def half_square(factor: float) -> float:
        with torch.no_grad():
            for w in named:
                w *= factor
        gradients = torch.autograd.grad(loss(model, batch), named)
        with torch.no_grad():
            for w in named:
                w /= factor
        return float(sum(g.square().sum() for g in gradients)) / 2

    step = 1e-5
    expected = -(half_square(1 + step) - half_square(1 - step)) / (2 * step)
    assert value("grasp", model, batch, sequences=4) == pytest.approx(expected, rel=1e-5)


def test_state_scores_are_derivatives_with_respect_to_factors_on_the_states() -> None:
    """A factor m on a state has the derivative h · ∂L/∂h at m = 1."""
    model, batch = made()
    factors = [torch.ones(7, 4, n, dtype=torch.float64, requires_grad=True) for n in (6, 5)]

    def run(total) -> list[Tensor]:
        x = model.embedding(batch.inputs)
        for layer, factor in zip(model.layers, factors, strict=True):
            state, seen = layer.initial_state(4, x), []
            for t in range(7):
                state = reference_step(layer.cell, x[:, t], state, layer.weights())
                state = (state[0] * factor[t], *state[1:])
                seen.append(state[0])
            x = torch.stack(seen, dim=1)
        return list(torch.autograd.grad(total(x), factors))

    salient = run(lambda x: x.sum())
    expected = sum(float(s.abs().sum()) for s in salient)
    assert value("hidden-saliency", model, batch) == pytest.approx(expected)

    def batch_loss(x: Tensor) -> Tensor:
        answers = x @ model.embedding.weight.T + model.decoder_bias
        return cross_entropy(answers, batch.targets)

    by_unit = [s.sum(dim=0) * 4 for s in run(batch_loss)]
    expected = sum(float(u.square().sum()) for u in by_unit) / 8
    assert value("fisher", model, batch) == pytest.approx(expected)


def test_activation_distance_counts_activations_that_agree() -> None:
    fired = [torch.rand(5, 9) > 0.5 for _ in range(130)]
    codes = torch.cat(fired, dim=1)
    expected = [[float((a == b).sum()) for a in codes] for b in codes]
    assert agreements(fired).tolist() == expected
    assert log_determinant(agreements(fired)) == pytest.approx(np.linalg.slogdet(expected)[1])


def test_sequences_that_fire_alike_have_no_activation_distance() -> None:
    with pytest.raises(ScoreFailed, match="fire alike"):
        log_determinant(agreements([torch.ones(3, 4, dtype=torch.bool)]))


def test_synflow_of_a_plain_cell_is_the_flow_through_its_absolute_weights() -> None:
    model, batch = made("rnn-tanh")
    x = torch.ones(1, 5, dtype=torch.float64)
    parameters = []
    for layer in model.layers:
        on_x, on_h, bias = (
            w.detach().abs().requires_grad_() for w in (layer.on_x, layer.on_h, layer.bias)
        )
        parameters += [on_x, on_h, bias]
        x = x @ on_x[0].T + on_h[0, 0].sum(dim=1) + bias[0]
    gradients = torch.autograd.grad(x.sum(), parameters)
    total = sum(
        float((w * g).abs().sum().detach()) for w, g in zip(parameters, gradients, strict=True)
    )
    assert value("synflow", model, batch) == pytest.approx(math.log(total))


def test_latency_is_the_median_without_the_first_pass() -> None:
    times = iter([0.0, 9.0, 10.0, 11.0, 20.0, 22.0, 30.0, 35.0])
    model, batch = made()
    score = Latency(repeats=3, clock=lambda: next(times))
    assert score(model, batch, torch.Generator()) == {"latency": 2.0}
