"""Which layers of a model run on compiled cells, and that nothing else about it changes."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.nn.utils.rnn import pack_padded_sequence

from kernels.cell.layer import layers_on_cells, on_reference, read_what_is_left, set_backend
from kernels.layers import GRU, LSTM, RNN, TorchStack
from nas.models.recurrent_classifier import lstm_classifier
from search_spaces.rnn_cell.torch_layers import compiled, left_alone


class Gated(nn.LSTM):
    """A subclass that computes more than an LSTM."""

    def forward(self, x, hx=None):
        y, last = super().forward(x, hx)
        return torch.relu(y) + 1, last


class Outputs(nn.Module):
    """A user's module round a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def same_answers(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """The model, compiled; it answers as it did before."""
    expected = model(x)
    ours = compiled(model)
    torch.testing.assert_close(ours(x), expected)
    return ours


def tied() -> nn.Module:
    layers = nn.ModuleList([nn.LSTM(5, 5), nn.LSTM(5, 5)])
    layers[1].weight_hh_l0 = layers[0].weight_hh_l0
    return nn.Sequential(*(Outputs(layer) for layer in layers))


def hooked(register: str) -> nn.LSTM:
    layer = nn.LSTM(5, 5)
    getattr(layer, register)(lambda *_: None)
    return layer


def patched() -> nn.LSTM:
    layer = nn.LSTM(5, 5)
    own = layer.forward
    layer.forward = lambda x: (own(x)[0] + 1, None)
    return layer


def masked() -> nn.LSTM:
    layer = nn.LSTM(5, 5)
    prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    return layer


LEFT = {
    "subclass": (lambda: Gated(5, 5), "Gated is a subclass"),
    "projections": (lambda: nn.LSTM(5, 5, proj_size=2), "projections"),
    "old weight norm": (lambda: weight_norm(nn.LSTM(5, 5), "weight_hh_l0"), "weight_hh_l0 is not"),
    "weight norm": (
        lambda: parametrizations.weight_norm(nn.LSTM(5, 5), "weight_hh_l0"),
        "weight_hh_l0 is not",
    ),
    "old spectral norm": (
        lambda: spectral_norm(nn.LSTM(5, 5), "weight_ih_l0"),
        "weight_ih_l0 is not",
    ),
    "pruned": (masked, "weight_hh_l0 is not a plain parameter"),
    "patched": (patched, "forward method was replaced"),
    **{
        register: (lambda register=register: hooked(register), "hooks are registered")
        for register in (
            "register_forward_hook",
            "register_forward_pre_hook",
            "register_full_backward_hook",
            "register_full_backward_pre_hook",
            "register_state_dict_post_hook",
            "register_state_dict_pre_hook",
            "register_load_state_dict_pre_hook",
            "register_load_state_dict_post_hook",
        )
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_plain_is_left_alone_with_its_reason(name: str) -> None:
    torch.manual_seed(0)
    make, reason = LEFT[name]
    layer = make()
    kind = type(layer)
    model = nn.Sequential(Outputs(nn.LSTM(3, 5)), Outputs(layer)).eval()
    assert list(left_alone(model)) == ["1.layer"]
    ours = same_answers(model, torch.randn(6, 2, 3))
    assert isinstance(ours[0].layer, LSTM)
    assert ours[1].layer is layer and type(layer) is kind
    ((path, said),) = left_alone(ours).items()
    assert path == "1.layer" and reason in said


def test_tied_weights_stay_tied_and_their_layers_are_left() -> None:
    torch.manual_seed(0)
    model = tied()
    ours = same_answers(model, torch.randn(6, 2, 5))
    assert ours[0].layer.weight_hh_l0 is ours[1].layer.weight_hh_l0
    assert left_alone(ours) == {
        f"{i}.layer": "weight_hh_l0 is used in more than one place" for i in range(2)
    }


def test_single_steps_are_named_too() -> None:
    assert "single step" in left_alone(nn.ModuleDict({"cell": nn.LSTMCell(3, 5)}))["cell"]


def test_plain_layers_in_modules_of_the_user_run_on_cells() -> None:
    torch.manual_seed(0)
    layers = [nn.LSTM(3, 5), nn.GRU(5, 4, bidirectional=True), nn.RNN(8, 4, nonlinearity="relu")]
    model = nn.Sequential(*(Outputs(layer) for layer in layers), nn.Linear(4, 2))
    ours = same_answers(model, torch.randn(6, 2, 3))
    assert [type(m.layer) for m in ours[:3]] == [LSTM, GRU, RNN]
    assert left_alone(ours) == {} and compiled(ours) is ours
    assert [isinstance(m.layer, k) for m, k in zip(ours, (nn.LSTM, nn.GRU, nn.RNN), strict=False)]


def test_a_shared_module_stays_shared_wherever_it_is_held() -> None:
    layer = nn.GRU(5, 5)
    model = nn.ModuleDict({"a": layer, "b": layer, "c": nn.Sequential(layer)})
    aside = [model["a"]]
    ours = compiled(model)
    assert ours["a"] is ours["b"] is ours["c"][0] is aside[0] and type(layer) is GRU
    assert sum(p.numel() for p in ours.parameters()) == 2 * 15 * 5 + 2 * 15


def test_parameters_are_the_same_objects_so_a_half_trained_optimiser_goes_on() -> None:
    torch.manual_seed(0)
    theirs = nn.LSTM(3, 5)
    theirs.bias_hh_l0.requires_grad_(False)
    optimizer = torch.optim.Adam(theirs.parameters(), 0.1)
    x = torch.randn(6, 2, 3)
    reference = deepcopy(theirs)
    its_optimizer = torch.optim.Adam(reference.parameters(), 0.1)
    for step in range(3):
        for layers, steps in ((theirs, optimizer), (reference, its_optimizer)):
            steps.zero_grad()
            layers(x)[0].square().sum().backward()
            steps.step()
        if step == 0:
            before = dict(theirs.named_parameters())
            compiled(theirs)
            assert all(p is before[name] for name, p in theirs.named_parameters())
    assert isinstance(theirs, TorchStack) and not theirs.bias_hh_l0.requires_grad
    for a, b in zip(theirs.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_training_mode_attributes_and_names_stay() -> None:
    theirs = nn.LSTM(3, 5, num_layers=2, batch_first=True, dropout=0.5, dtype=torch.double).eval()
    theirs.note = "the user's own"
    ours = compiled(deepcopy(theirs))
    ours.flatten_parameters()
    for name in (*nn.LSTM.__constants__, "training", "note", "extra_repr"):
        a, b = getattr(theirs, name), getattr(ours, name)
        assert a() == b() if callable(a) else a == b, name
    assert not ours.training and ours.train().training
    for a, b in zip(theirs.all_weights, ours.all_weights, strict=True):
        assert all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))
    with torch.no_grad():
        ours.weight_ih_l0.add_(1)
    assert torch.equal(ours.weight_ih_l0, theirs.weight_ih_l0 + 1)
    assert torch.equal(ours.all_weights[0][0], ours.weight_ih_l0)


def test_a_model_reads_what_is_left_on_the_backend_that_is_asked() -> None:
    torch.manual_seed(0)
    model = lstm_classifier(classes=4, channels=3, hidden=16).eval()
    with torch.no_grad():
        model.recurrent.weight_hh_l0.mul_(torch.rand(64, 16) < 0.2)
    x = torch.randn(2, 7, 3)
    expected = model(x)
    faster = compiled(model)
    read_what_is_left(faster)
    assert faster.recurrent.left["_l0"].mask.float().mean() < 0.3
    torch.testing.assert_close(faster(x), expected)
    with on_reference(faster):
        assert faster.recurrent.backend == "reference"
        torch.testing.assert_close(faster(x), expected)
    set_backend(faster, "cpu")
    assert [layer.backend for layer in layers_on_cells(faster)] == ["cpu"]


class Reader(nn.Module):
    """A user's network that asks its layer for all kinds of things."""

    def __init__(self, packs: bool) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.packs = packs

    def forward(self, x):
        self.rnn.flatten_parameters()
        weight = next(self.rnn.parameters())
        shape = (self.rnn.num_layers * (1 + self.rnn.bidirectional), len(x), self.rnn.hidden_size)
        start = weight.new_ones(shape)
        if self.packs:
            lengths = torch.arange(1, len(x) + 1)
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        state = (start, start) if isinstance(self.rnn, nn.LSTM) else start
        return self.rnn(x, state)[1][0][-1] * self.rnn.weight_ih_l0.norm()


@pytest.mark.parametrize("packs", [True, False])
def test_a_network_that_asks_its_layer_answers_the_same(packs: bool) -> None:
    torch.manual_seed(0)
    ours = same_answers(Reader(packs), torch.randn(4, 6, 3))
    assert isinstance(ours.rnn, LSTM)
