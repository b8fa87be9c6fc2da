"""Mixer layers: one step at a time, lengths, resets, gradients, and rules of their settings."""

import pytest
import torch

from kernels.mixer.gates import Gates
from kernels.mixer.layer import MixerLayer
from kernels.mixer.spec import MixerSpec, Recurrence
from kernels.mixer.stabiliser import stabilised

MIXERS = {
    "linear attention": MixerSpec(
        Recurrence("none", 1, "none", 8, 8), 2, feature_map="elu", normaliser=True
    ),
    "retention": MixerSpec(Recurrence("head", 1, "none", 8, 8), 2, gate="constant"),
    "mamba": MixerSpec(
        Recurrence("head", 1, "none", 8, 8),
        2,
        gate="softplus-exp",
        feature_map="silu",
        short_convolution=4,
        readout="gated-norm",
    ),
    "gla": MixerSpec(Recurrence("feature", 1, "none", 8, 8), 2, gate="low-rank", strength="one"),
    "hgrn": MixerSpec(Recurrence("feature", 1, "none", 8, 8), 2, feature_map="complement"),
    "delta": MixerSpec(
        Recurrence("none", 1, "key", 8, 8), 2, low=-1, feature_map="l2", short_convolution=4
    ),
    "products": MixerSpec(
        Recurrence("head", 2, "key", 8, 8), 2, low=-1, gate="softplus-exp", feature_map="l2"
    ),
    "rwkv": MixerSpec(Recurrence("feature", 1, "own", 8, 8), 2, feature_map="l2"),
    "mlstm": MixerSpec(Recurrence("head", 1, "none", 8, 8), 2, gate="exponential", normaliser=True),
    "aaren": MixerSpec(
        Recurrence("none", 1, "none", 1, 8),
        2,
        gate="exponential",
        feature_map="one",
        normaliser=True,
    ),
    "negative diagonal": MixerSpec(Recurrence("feature", 1, "none", 1, 1), 8, low=-1),
}


@pytest.fixture(params=MIXERS)
def layer(request) -> MixerLayer:
    torch.manual_seed(0)
    return MixerLayer(MIXERS[request.param], 16).double()


def inputs() -> torch.Tensor:
    return torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(1)).double()


def test_steps_give_the_outputs_of_the_whole_sequence(layer):
    x = inputs()
    whole, _ = layer(x)
    state, outputs = None, []
    for t in range(x.shape[1]):
        y, state = layer.step(x[:, t], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), whole)


def test_lengths_stop_the_state(layer):
    x = inputs()
    whole, _ = layer(x)
    outputs, state = layer(x, lengths=torch.tensor([20, 7, 0]))
    torch.testing.assert_close(outputs[1, :7], whole[1, :7])
    assert not outputs[1, 7:].any()
    _, expected = layer(x[1:2, :7])
    for found, wanted in zip(state, expected, strict=True):
        if wanted is not None:
            torch.testing.assert_close(found[1:2], wanted)


def test_resets_begin_a_new_sequence(layer):
    x = inputs()
    resets = torch.zeros(3, 20, dtype=torch.bool)
    resets[:, 9] = True
    outputs, _ = layer(x, resets=resets)
    torch.testing.assert_close(outputs[:, :9], layer(x)[0][:, :9])
    torch.testing.assert_close(outputs[:, 9:], layer(x[:, 9:])[0])


def test_every_parameter_learns(layer):
    outputs, _ = layer(inputs())
    outputs.square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert parameter.grad.isfinite().all(), name


def test_the_state_has_the_bytes_that_are_stated(layer):
    _, state = layer(inputs())
    numbers = sum(t[0].numel() for t in state if t is not None)
    assert layer.state_bytes() == 4 * numbers


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recurrence": Recurrence("none", 1, "key", 4, 4)}, "keys of length 1"),
        ({"recurrence": Recurrence("none", 1, "none", 4, 4), "low": -1}, "needs a decay"),
        ({"low": -1, "gate": "low-rank"}, "needs the gate sigmoid"),
        ({"low": -1, "normaliser": True}, "positive weights"),
        ({"feature_map": "complement"}, "one decay a key feature"),
        (
            {"recurrence": Recurrence("feature", 1, "none", 4, 4), "gate": "exponential"},
            "one decay",
        ),
        ({"feature_map": "one"}, "set keys to 1"),
        ({"gate": "open"}, 'unknown gate "open"; choose constant, sigmoid'),
        ({"strength": "one", "gate": "exponential"}, "strengths of 1"),
        ({"heads": 0}, "heads must be at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixerSpec(**({"recurrence": Recurrence("head", 1, "none", 4, 4)} | settings))


def test_the_stabiliser_only_scales():
    generator = torch.Generator().manual_seed(2)
    f = torch.nn.functional.logsigmoid(torch.randn(2, 30, generator=generator).double())
    i = 3 * torch.randn(2, 30, generator=generator).double()
    decays, strengths, maxima = stabilised(f, i)
    plain, scaled, m = torch.zeros(2), torch.zeros(2), torch.full((2,), -torch.inf)
    for t in range(30):
        m = torch.maximum(f[:, t] + m, i[:, t])
        plain = f[:, t].exp() * plain + i[:, t].exp()
        scaled = decays[:, t].exp() * scaled + strengths[:, t].exp()
        torch.testing.assert_close(maxima[:, t], m)
        torch.testing.assert_close(scaled * maxima[:, t].exp(), plain)
    assert (decays <= 0).all() and (strengths <= 0).all()


def test_gates_that_would_overflow_stay_finite():
    torch.manual_seed(0)
    layer = MixerLayer(MIXERS["mlstm"], 16)
    outputs, _ = layer(1000 * inputs().float())
    assert outputs.isfinite().all()


def test_aaren_is_softmax_attention_with_one_query():
    """Feng et al. 2024, https://arxiv.org/abs/2405.13956, section 3.1."""
    torch.manual_seed(0)
    layer, x = MixerLayer(MIXERS["aaren"], 16).double(), inputs()
    outputs, _ = layer(x)
    scores = layer.gates.strength(x).transpose(1, 2)  # [B, H, T]
    values = layer.project(x).unflatten(-1, (2, 8)).transpose(1, 2)
    causal = torch.full((20, 20), -torch.inf).triu(1)
    weights = (scores.unsqueeze(2) + causal).softmax(-1)
    expected = layer.output((weights @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("part", ["matrix", "tail"])
def test_a_state_of_another_layer_is_refused_by_name(part):
    torch.manual_seed(0)
    layer, x = MixerLayer(MIXERS["delta"], 16).double(), inputs()
    _, state = layer(x)
    with pytest.raises(ValueError, match=rf"the state's {part} is .*, expected"):
        layer(x, state._replace(**{part: getattr(state, part)[..., :-1]}))


def test_the_ladder_of_decays_is_that_of_the_paper_and_finite_for_many_heads():
    gates = Gates(MixerSpec(Recurrence("head", 1, "none", 1, 1), 64, gate="constant"), 8)
    assert gates.constant is not None and torch.isfinite(gates.constant).all()
    decays = gates.constant[:16].double().sigmoid()
    assert torch.allclose(decays, 1 - 2.0 ** -(5 + torch.arange(16.0).double()), atol=1e-7)
