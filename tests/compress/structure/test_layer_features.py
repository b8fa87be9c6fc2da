"""What a policy sees of layers."""

import torch

from compress.structure.layer_features import layer_features
from compress.structure.outline import outline_of
from nas.core.registry import create
from search_spaces.layer_removal.space import LayerRemovalSpace


def features_of(name: str) -> dict[str, tuple[float, ...]]:
    outline = outline_of(create("models", name), torch.zeros(2, 3, 32, 32))
    return {layer.path: layer.values for layer in outline.layers}


def test_a_convolution_is_described_by_kind_sizes_and_skips() -> None:
    found = features_of("resnet8")
    kinds, sizes, skips = (found["layer2.0.conv1"][a:b] for a, b in ((0, 6), (6, 12), (12, 14)))
    assert kinds == (1, 0, 0, 0, 0, 0)
    raw = [round(2 ** (8 * value) - 1) for value in sizes]
    assert raw == [3, 2, 1, 16, 32, 1]  # kernel, stride, padding, inputs, outputs, who shares
    assert skips == (0, 0)
    assert found["conv1"][12:] == (1, 0)  # the first block adds to it
    assert found["layer1.0.conv2"][12:] == (0, 1)
    assert found["bn1"][:6] == (0, 0, 1, 0, 0, 0)


def test_all_layers_of_all_teachers_have_as_many_features_of_order_one() -> None:
    small, large, vgg = (features_of(name) for name in ("resnet8", "resnet20", "vgg11"))
    every = [*small.values(), *large.values(), *vgg.values()]
    assert {len(values) for values in every} == {14}
    assert all(0 <= value < 1.6 for values in every for value in values)
    assert small["layer1.0.conv1"] == large["layer1.2.conv1"]  # their names are not seen


def test_recurrent_layers_are_layers_of_their_own() -> None:
    model = create("models", "gru-classifier", {"channels": 3, "hidden": 6, "layers": 3})
    outline = outline_of(model, torch.randn(2, 5, 3))
    paths = [layer.path for layer in layer_features(model, outline.channels)]
    assert paths[:3] == ["recurrent", "recurrent:1", "recurrent:2"]
    removals, widths = LayerRemovalSpace(outline, lambda *_: model).layers_decided()
    assert removals == {"remove/recurrent:1": 1, "remove/recurrent:2": 2}
    assert widths["width/recurrent"] == 0
