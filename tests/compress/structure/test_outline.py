"""Which layers of a network may be taken away."""

import pytest
import torch
from torch import nn

from compress.structure.outline import outline_of, removable
from compress.structure.student import student, without
from nas.core.registry import create

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_blocks_that_keep_the_shape_can_go_from_a_resnet() -> None:
    outline = outline_of(create("models", "resnet14"), IMAGES)
    paths = ["layer1.0", "layer1.1", "layer2.1", "layer3.1"]
    assert outline.removable == tuple((path,) for path in paths)
    stream = next(c for c in outline.channels if "conv1" in c.makers)
    assert stream == (("conv1", "layer1.0.conv2", "layer1.1.conv2"), 16)


def test_a_convolution_goes_with_its_norm_from_a_vgg() -> None:
    found = removable(create("models", "vgg11"), IMAGES)
    assert found[0] == ("features.11", "features.12")


def test_layers_of_a_transformer_can_go() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    x = torch.randn(2, 5, 8)
    assert removable(model, x) == (("layers.0",), ("layers.1",), ("layers.2",))
    shorter = without(model, ["layers.1"])
    expected = model.layers[2](model.layers[0](x))
    torch.testing.assert_close(shorter(x), expected)


@pytest.mark.parametrize("name", ["lstm-classifier", "gru-classifier"])
def test_every_recurrent_layer_but_the_first_can_go(name: str) -> None:
    x = torch.randn(2, 5, 3)
    model = create("models", name, {"channels": 3, "hidden": 6, "layers": 3})
    assert outline_of(model, x).removable == (("recurrent:1",), ("recurrent:2",))
    smaller = student(model, x, ["recurrent:1"], {"recurrent": 2})
    assert smaller(x).shape == (2, 10)
    lstm = smaller.get_submodule("recurrent")
    assert isinstance(lstm, nn.RNNBase)
    assert (lstm.num_layers, lstm.hidden_size) == (2, 2)


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    model = create("models", "resnet8").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outline_of(model, IMAGES)
    assert model.training and all(not m._forward_hooks for m in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
