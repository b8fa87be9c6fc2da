"""Students: layers removed, channels narrowed, by the names that an outline gives."""

import pytest
import torch
from torch import nn

from compress.structure.graph import CannotTrace, graph_of
from compress.structure.outline import outline_of
from compress.structure.recurrent_layers import drop_layers
from compress.structure.student import student, without
from kernels.cell.layer import CompiledRNN
from kernels.cell.zoo import ZOO
from nas.models.cifar_resnet import resnet14
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.space import TransformerSpace
from tests.compress.structure.exact import check_exact, widths

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TOKENS = torch.arange(14).view(2, 7)


def test_a_removed_block_hands_its_input_on_and_the_channels_behind_it_can_still_go() -> None:
    model = resnet14().eval()
    smaller = student(model, IMAGES, ["layer1.1", "layer3.1"], {"layer2.0.conv2": 20})
    assert smaller(IMAGES).shape == (2, 10)
    assert smaller.get_submodule("layer2.1.conv2").out_channels == 20


def test_the_channels_with_the_largest_weights_stay() -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].weight[[1, 4]] = 100
        model[2].weight[:] = 1
    smaller = student(model, torch.zeros(1, 3), [], {"0": 2})
    assert torch.equal(smaller[0].weight, model[0].weight[[1, 4]])


def test_a_width_or_path_that_does_not_exist_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    example = torch.zeros(1, 3)
    with pytest.raises(ValueError, match="cannot be changed"):
        student(model, example, [], {"2": 1})
    with pytest.raises(ValueError, match="cannot have 7 of 6"):
        student(model, example, [], {"0": 7})
    with pytest.raises(ValueError, match="no module 9"):
        student(model, example, ["9"], {})
    with pytest.raises(CannotTrace, match="Sequential cannot be run"):
        graph_of(model, torch.zeros(1, 4))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_same_weights_stay_whatever_the_order_of_the_layers(kind) -> None:
    whole = nn.Sequential(kind(3, 5, 3, batch_first=True, bidirectional=True))
    smaller = without(whole, ["0:1"])[0]
    assert smaller.num_layers == 2 and len(list(smaller.parameters())) == 16
    expected = whole.state_dict()["0.weight_hh_l2_reverse"]
    assert torch.equal(smaller.state_dict()["weight_hh_l1_reverse"], expected)
    assert smaller(torch.zeros(1, 4, 3))[0].shape == (1, 4, 10)
    assert whole[0].num_layers == 3
    with pytest.raises(ValueError, match="first layer"):
        drop_layers(smaller, frozenset([0]))


def classifier(cell: str, layers: int = 2, **options) -> nn.Module:
    shape = ModelShape(DataShape("tokens", 20, 3, False), ModelSize(6, 9, layers, **options))
    generator = torch.Generator().manual_seed(0)
    return RnnCellSpace().build(read_recipe(ZOO[cell]), shape, generator).eval()


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn-tanh", "mgu"])
def test_layers_of_cells_are_narrowed_with_what_reads_them(cell: str) -> None:
    model = classifier(cell, 3, hidden_dropout=0.5)
    graph, _ = check_exact(model, TOKENS)
    layers = [g.makers for g in graph.groups if g.makers[0].startswith("layers")]
    assert layers == [(f"layers.{layer}",) for layer in range(3)]
    smaller = student(model, TOKENS, [], {"layers.0": 4, "layers.2": 5})
    sizes = [(layer.input_size, layer.hidden_size) for layer in smaller.layers]  # type: ignore[union-attr]
    assert sizes == [(6, 4), (4, 9), (9, 5)]
    answered = smaller(TOKENS, None, torch.tensor([7, 3]))
    assert answered.answers.shape == (2, 3) and answered.state[2][0].shape == (2, 5)


def test_heads_and_masks_of_cells_are_left_alone() -> None:
    for name in ("heads", "mask"):
        model = classifier("gru", 2)
        layers: nn.ModuleList = model.layers  # type: ignore[assignment]
        if name == "mask":
            layers[0].keep_only(torch.ones_like(layers[0].on_h, dtype=torch.bool))  # type: ignore[operator]
        else:
            layers[0] = CompiledRNN(layers[0].cell, 6, 9, num_heads=3)  # type: ignore[arg-type]
        assert "layers.0" not in widths(graph_of(model, TOKENS))
        assert widths(graph_of(model, TOKENS))["layers.1"] == 9


def test_encoders_of_the_search_space_are_narrowed_and_shortened() -> None:
    layers = (
        ("self-attention", "scaled-dot-product", 2, 24, 1),
        ("linear-transform", "dct", 2, 16, 2),
    )
    shape = ModelShape(DataShape("tokens", 20, 20, True, masked=True), ModelSize())
    architecture = Architecture("transformer", (32, layers))
    model = TransformerSpace().build(architecture, shape, torch.Generator().manual_seed(0)).eval()
    outline = outline_of(model, TOKENS)
    assert outline.removable == (("layers.0",), ("layers.1",))
    narrow = {c.makers[0]: c.width for c in outline.channels}
    assert narrow["layers.0.feed_forward.0"] == 24
    smaller = student(model, TOKENS, ["layers.1"], {"layers.0.feed_forward.0": 10})
    assert smaller.get_submodule("layers.0.feed_forward.0").out_features == 10
    assert smaller(TOKENS).answers.shape == (2, 7, 20)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_decoders_of_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    common = {"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2}
    if name == "llama":
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        config = transformers.LlamaConfig(**sizes, **heads, **common)
        model, blocks = transformers.LlamaForCausalLM(config), "model.layers"
        expected = {"model.layers.1.mlp.gate_proj": 24, "model.layers.1.self_attn.q_proj": 2}
    else:
        config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, **common)
        model, blocks = transformers.GPT2LMHeadModel(config), "transformer.h"
        expected = {"transformer.h.1.mlp.c_fc": 64, "transformer.wte": 16}
    outline = outline_of(model.eval(), TOKENS)
    assert outline.removable == tuple((f"{blocks}.{i}",) for i in range(3))
    assert {c.makers[0]: c.width for c in outline.channels}.items() >= expected.items()
    half = {maker: width // 2 for maker, width in expected.items()}
    smaller = student(model, TOKENS, [f"{blocks}.2"], half)
    assert smaller(TOKENS, use_cache=False).logits.shape == (2, 7, 20)
    assert sum(p.numel() for p in smaller.parameters()) < 0.8 * model.num_parameters()
