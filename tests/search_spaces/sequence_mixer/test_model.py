"""Networks of mixers: steps one by one, lengths, causality, both ways, and states that fit."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces import genome
from search_spaces.sequence_mixer.model import SequenceMixer
from search_spaces.sequence_mixer.space import SequenceMixerSpace
from search_spaces.sequence_mixer.spec import (
    AttentionMixing,
    ConvolutionMixing,
    MemoryMixing,
    NetworkSpec,
    network_of,
)
from search_spaces.sequence_mixer.state_space import StateSpace, legs_frequencies
from search_spaces.sequence_mixer.zoo import STRIPES
from search_spaces.space import DataShape, ModelShape, ModelSize

STEPS, TOKENS = 8, 5
WIDE = 16
NETWORKS = {
    **{name: NetworkSpec(stripe) for name, stripe in STRIPES.items()},
    "attention": NetworkSpec((AttentionMixing(4, 2), AttentionMixing(32, 2))),
    "chunked attention": NetworkSpec((AttentionMixing(4, 2, in_chunks=True),)),
    "memory": NetworkSpec((MemoryMixing(3, 2),), channel_mixer="none"),
    "hybrid": NetworkSpec(
        (STRIPES["gated-deltanet"][0], AttentionMixing(4, 1), STRIPES["minimal-gru"][0]), repeats=2
    ),
}
KINDS = [
    NETWORKS[name] for name in ("mlstm", "minimal-gru", "tcn", "memory", "chunked attention", "s4d")
]
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@pytest.fixture(autouse=True)
def _without_compiling(monkeypatch):
    """The kernels' own tests compare what is compiled with the reference."""
    monkeypatch.setenv("NAS_KERNELS", "reference")


def model_of(network: NetworkSpec, every_step: bool = True, masked: bool = False) -> SequenceMixer:
    data = DataShape("tokens", TOKENS, 3, every_step, masked=masked)
    shape = ModelShape(data, ModelSize(hidden=WIDE, layers=1))
    return SequenceMixer(network, shape, torch.Generator().manual_seed(0)).eval()


def tokens(batch: int = 3, steps: int = STEPS) -> Tensor:
    return torch.randint(TOKENS, (batch, steps), generator=torch.Generator().manual_seed(1))


@EVERY_NETWORK
def test_steps_one_by_one_answer_as_the_whole_sequence(network):
    model, x = model_of(network), tokens()
    whole = model(x)
    state, answers = None, []
    for t in range(STEPS):
        answered, state, _ = model(x[:, t : t + 1], state)
        answers.append(answered)
    torch.testing.assert_close(torch.cat(answers, 1), whole.answers, atol=1e-5, rtol=1e-5)
    for layer, expected in zip(state, whole.state, strict=True):
        for found, wanted in zip(layer, expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@EVERY_NETWORK
def test_pieces_of_different_lengths_continue_their_sequences(network):
    model, x = model_of(network, every_step=False), tokens()
    lengths = torch.tensor([6, 2, 0])
    _, state, _ = model(x, None, lengths)
    after = model(x, state, torch.tensor([STEPS, STEPS, 5])).answers
    joined = [torch.cat([row[:n], row]) for row, n in zip(x, lengths.tolist(), strict=True)]
    joined[2] = joined[2][:5]
    for found, row in zip(after, joined, strict=True):
        expected = model(row.unsqueeze(0)).answers[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@EVERY_NETWORK
def test_a_step_carries_the_bytes_that_are_stated(network):
    model = model_of(network)
    state = model(tokens(1)).state
    carried = sum(t.numel() * t.element_size() for layer in state for t in layer)
    assert network.state_bytes(WIDE, 1) == carried


@EVERY_NETWORK
def test_only_masked_data_are_read_both_ways(network):
    x = tokens()
    changed = x.clone()
    changed[:, 5] = (x[:, 5] + 1) % TOKENS
    for masked in (False, True):
        model = model_of(network, masked=masked)
        distance = (model(x).answers - model(changed).answers).abs().amax((0, 2))
        differs = distance > 1e-5  # a Fourier transform rounds earlier steps as well
        assert differs[5]
        assert differs[:5].any() == masked
        assert (model(x).state is None) == masked


def test_padding_changes_no_answer_of_masked_data():
    for network in KINDS:
        model, x = model_of(network, masked=True), tokens()
        padded = model(x, None, torch.tensor([STEPS, 4, 7])).answers
        alone = model(x[1:2, :4]).answers
        torch.testing.assert_close(padded[1:2, :4], alone, atol=1e-5, rtol=1e-5)


def test_a_convolution_is_pytorchs_on_inputs_padded_at_their_beginning():
    mixing = ConvolutionMixing(3, 2)
    layer = model_of(NetworkSpec((mixing,))).blocks[0].mixing
    x = torch.randn(2, 9, WIDE, generator=torch.Generator().manual_seed(2))
    padded = nn.functional.pad(x.mT, (4, 0))
    weight, bias = layer.convolve.weight, layer.convolve.bias
    expected = nn.functional.silu(nn.functional.conv1d(padded, weight, bias, dilation=2).mT)
    torch.testing.assert_close(layer(x)[0], expected)


def test_a_memory_adds_filtered_earlier_projections():
    layer = model_of(NETWORKS["memory"]).blocks[0].mixing
    x = torch.randn(2, 9, WIDE, generator=torch.Generator().manual_seed(2))
    projected = layer.project(x)
    expected = projected.clone()
    for t in range(9):
        for i in range(1, 4):
            if t >= 2 * i:
                expected[:, t] += layer.filter[i - 1] * projected[:, t - 2 * i]
    torch.testing.assert_close(layer(x)[0], layer.output(expected))


@pytest.mark.parametrize(("in_chunks", "seen"), [(False, [3, 4, 5, 6]), (True, [4, 5, 6])])
def test_attention_reads_its_span_or_its_chunk(in_chunks, seen):
    network = NetworkSpec((AttentionMixing(4, 2, in_chunks),), channel_mixer="none")
    layer = model_of(network).blocks[0].mixing
    x = torch.randn(1, 9, WIDE, generator=torch.Generator().manual_seed(2), requires_grad=True)
    layer(x)[0][0, 6].sum().backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum(-1).nonzero()[:, 0].tolist() == seen


def test_attention_to_two_steps_is_softmax():
    layer = model_of(NetworkSpec((AttentionMixing(2, 1),))).blocks[0].mixing
    x = torch.randn(1, 2, WIDE, generator=torch.Generator().manual_seed(2))
    key, value = layer.key_value(x)[0].chunk(2, -1)
    query = layer.query(x)[0, 1]
    half = WIDE // 2
    turns = 10_000.0 ** (-torch.arange(half) / half)  # the query is one step later
    pairs = torch.complex(query[:half], query[half:]) * torch.polar(torch.ones(half), turns)
    turned = torch.cat([pairs.real, pairs.imag])
    scores = torch.stack([turned @ key[0], query @ key[1]]) / WIDE**0.5
    expected = layer.output(scores.softmax(0) @ value)
    torch.testing.assert_close(layer(x)[0][0, 1], expected)


def test_a_state_space_convolves_with_the_powers_of_its_system():
    torch.manual_seed(0)
    layer = StateSpace(8, 3)
    a = torch.complex(-layer.decay.exp(), layer.frequency)
    step = layer.pace.exp()
    kept, read = (step * a).exp(), torch.view_as_complex(layer.read) / a
    x = torch.randn(1, 9, 3)
    expected = layer.skip * x
    for t in range(9):
        for s in range(t + 1):
            gain = 2 * (read * (kept - 1) * kept ** (t - s)).sum(-1).real
            expected[:, t] += gain * x[:, s]
    torch.testing.assert_close(layer(x)[0], layer.output(nn.functional.silu(expected)))


def test_legs_has_the_eigenvalues_of_its_matrix():
    roots = (torch.arange(6) + 0.5).sqrt().double()
    matrix = -(roots.unsqueeze(1) * roots)
    matrix = matrix.tril(-1) - matrix.triu(1) - 0.5 * torch.eye(6)
    found = torch.linalg.eigvals(matrix)
    torch.testing.assert_close(found.real, torch.full((6,), -0.5, dtype=torch.float64))
    positive = found.imag[found.imag > 0].sort().values.float()
    torch.testing.assert_close(legs_frequencies(6), positive)


def test_states_of_other_models_and_batches_are_refused():
    x = tokens()
    for network in KINDS:
        model = model_of(network)
        state = model(x).state
        with pytest.raises(ValueError, match="but this model has"):
            model(x, (*state, *state))
        with pytest.raises(ValueError, match=r"expected (1 tensors of \(|\[+)2, "):
            model(x[:2], state)


def test_sequences_without_steps_are_refused():
    with pytest.raises(ValueError, match="at least 1 step"):
        model_of(NETWORKS["gla"])(tokens()[:, :0])


def test_one_sequence_that_is_not_finite_stays_alone():
    x = torch.randn(3, STEPS, 4, generator=torch.Generator().manual_seed(1))
    broken = x.clone()
    broken[1, 3] = torch.nan
    for network in KINDS:
        shape = ModelShape(DataShape("features", 4, 3, True), ModelSize(hidden=WIDE, layers=1))
        model = SequenceMixer(network, shape, torch.Generator().manual_seed(0)).eval()
        found, expected = model(broken).answers, model(x).answers
        torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])
        assert found[1, 3:].isnan().any()


@pytest.mark.parametrize("order", ["rows", "columns", "pixels", "windows"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_images_are_read_in_every_order(order, both_ways):
    images = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    shape = ModelShape(DataShape("images", 3, 4, False, height=6, width=5), ModelSize(hidden=8))
    network = NetworkSpec((MemoryMixing(2, 1),), order=order, both_ways=both_ways)
    model = SequenceMixer(network, shape, torch.Generator().manual_seed(0))
    output = model(images)
    assert output.answers.shape == (2, 4)
    assert (output.state is None) == both_ways
    steps = {"rows": 6, "columns": 5, "pixels": 30, "windows": 4}[order]
    assert model._embedded(images).shape == (2, steps, 8)


def test_drawn_networks_keep_to_the_bytes_of_the_space():
    space = SequenceMixerSpace(state=4096)
    largest = 0
    for seed in range(60):
        architecture, _ = genome.sample(space, np.random.default_rng(seed))
        network = network_of(architecture)
        assert network.width and network.state_bytes(0, 0) <= 4096
        assert space.properties(architecture)["state_bytes"] == network.state_bytes(0, 0)
        largest = max(largest, network.state_bytes(0, 0))
    assert largest > 2048
