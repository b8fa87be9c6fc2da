"""What is taken out of a network leaves the rest of it as it was."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.structure.graph import CannotTrace, Graph, graph_of
from compress.structure.place_channels import PlaceChannels
from compress.structure.recurrent_units import drop_layers, keep_units
from compress.structure.student import narrowed, student
from nas.models.cifar_resnet import resnet14
from nas.models.recurrent_classifier import lstm_classifier
from nas.models.resnet import resnet18
from nas.models.vgg import vgg11

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
EXACT = {"atol": 1e-12, "rtol": 1e-12}  # in float64; what float32 rounds differs by processor


class Branches(nn.Module):
    """Two branches side by side, a depthwise convolution, then flattened: as in Inception."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 6, 1)
        self.right = nn.Conv2d(3, 5, 3, padding=1)
        self.depthwise = nn.Conv2d(11, 11, 3, padding=1, groups=11)
        self.norm = nn.BatchNorm2d(11)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.hidden = nn.Linear(44, 9)
        self.out = nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x).relu(), self.right(x).relu()], dim=1)
        x = self.pool(self.norm(self.depthwise(x)))
        return self.out(self.hidden(torch.flatten(x, 1)).relu())


class Gated(nn.Module):
    """Channels that scale themselves, as in squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.gate = nn.Linear(8, 8)
        self.out = nn.Linear(8 * 30 * 30, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        gate = self.gate(x.mean(dim=(2, 3))).sigmoid()[:, :, None, None]
        return self.out((x * gate).reshape(x.shape[0], -1))


def silence(model: nn.Module, graph: Graph, dead: np.ndarray) -> None:
    """Let nothing read the channels with these roots."""
    for layer in graph.layers:
        module = model.get_submodule(layer.path)
        if layer.reads is None or not layer.is_maker or isinstance(module, nn.RNNBase):
            continue
        columns = np.flatnonzero(np.isin(graph.roots[layer.reads], dead))
        if isinstance(module, PlaceChannels):
            places = [-1 if place in columns else place for place in module.places]
            parent, _, name = layer.path.rpartition(".")
            setattr(model.get_submodule(parent), name, PlaceChannels(places, module.stride))
            continue
        assert isinstance(module.weight, Tensor)
        with torch.no_grad():
            module.weight[:, columns] = 0


def trained_looking(model: nn.Module) -> nn.Module:
    """Norms whose statistics and factors are none that could be mistaken for nothing."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                assert isinstance(value, Tensor)
                nn.init.uniform_(value, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("make", [resnet14, resnet18, vgg11, Branches, Gated])
def test_channels_that_nothing_reads_can_go(make) -> None:
    model, images = trained_looking(make()).double(), IMAGES.double()
    graph = graph_of(model, images)
    assert graph.groups
    for group in graph.groups:
        (part,) = group.parts
        dead = part[1::3]
        silenced = narrowed(model, graph, np.ones(len(graph.roots), bool))
        silence(silenced, graph, dead)
        alive = ~np.isin(graph.roots, dead)
        smaller = narrowed(silenced, graph, alive)
        with torch.inference_mode():
            torch.testing.assert_close(smaller(images), silenced(images), **EXACT)
        assert size(smaller) < size(model)


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_units_that_nothing_reads_can_go(kind, layers: int, bidirectional: bool) -> None:
    H, x = 7, torch.randn(3, 11, 4, dtype=torch.float64)
    full = kind(4, H, layers, bidirectional=bidirectional, batch_first=True).double()
    directions = 2 if bidirectional else 1
    rng = np.random.default_rng(0)
    units = [np.sort(rng.choice(H, 4, replace=False)) for _ in range(layers * directions)]
    for i, kept in enumerate(units):
        layer, direction = divmod(i, directions)
        dead = np.setdiff1d(np.arange(H), kept)
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        with torch.no_grad():
            getattr(full, f"weight_hh{suffix}")[:, dead] = 0
            for end in ("", "_reverse")[:directions]:
                if layer + 1 < layers:
                    getattr(full, f"weight_ih_l{layer + 1}{end}")[:, direction * H + dead] = 0
    smaller = keep_units(full, units)
    columns = np.concatenate([d * H + k for d, k in enumerate(units[-directions:])])
    torch.testing.assert_close(smaller(x)[0], full(x)[0][:, :, columns], **EXACT)


def test_a_recurrent_classifier_is_narrowed_with_what_reads_it() -> None:
    torch.manual_seed(0)
    model = lstm_classifier(hidden=12, layers=2, bidirectional=True, channels=3)
    x = torch.randn(2, 9, 3)
    smaller = student(model, x, [], {"recurrent": 5})
    assert smaller.get_submodule("classifier").in_features == 10
    assert smaller(x).shape == (2, 10)


def test_the_same_weights_stay_whatever_the_order_of_the_layers() -> None:
    gru = nn.GRU(3, 5, 3, batch_first=True)
    smaller = drop_layers(gru, frozenset([1]))
    assert smaller.num_layers == 2
    assert torch.equal(smaller.state_dict()["weight_hh_l1"], gru.state_dict()["weight_hh_l2"])
    with pytest.raises(ValueError, match="first layer"):
        drop_layers(gru, frozenset([0]))


def test_a_projected_lstm_is_refused() -> None:
    lstm = nn.LSTM(3, 6, proj_size=2)
    with pytest.raises(ValueError, match="proj_size"):
        keep_units(lstm, [np.arange(4)])


def test_a_removed_block_hands_its_input_on_and_the_channels_behind_it_can_still_go() -> None:
    model = resnet14().eval()
    smaller = student(model, IMAGES, ["layer1.1", "layer3.1"], {"layer2.0.conv2": 20})
    assert smaller(IMAGES).shape == (2, 10)
    assert smaller.get_submodule("layer2.1.conv2").out_channels == 20


class Counts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


def test_what_cannot_be_traced_is_named_and_kept() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Counts(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 2, 3))
    graph = graph_of(model, IMAGES)
    assert list(graph.opaque) == ["1"]
    assert [g.makers for g in graph.groups] == [("2",)]
    with pytest.raises(CannotTrace, match="Counts cannot be traced"):
        graph_of(Counts(), IMAGES)


class Careful(nn.Module):
    """Everything here would break, or be another network, if its channels were narrowed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 8)
        self.encode = nn.Linear(8, 8)
        self.decode = nn.Linear(8, 8)
        self.decode.weight = self.encode.weight
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.across = nn.Linear(5, 5)
        self.out = nn.Linear(8, 2)
        self.offset = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.decode(self.encode(self.inner(x).relu())) + self.offset
        x, _ = self.recurrent(x, torch.zeros(1, 2, 8))
        return self.out(self.across(x.transpose(1, 2)).transpose(1, 2))


def test_channels_are_kept_where_something_else_depends_on_their_number() -> None:
    graph = graph_of(Careful(), torch.zeros(2, 5, 6))
    assert graph.groups == ()
