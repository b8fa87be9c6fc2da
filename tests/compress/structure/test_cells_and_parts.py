"""Networks of searched cells, and networks of which only parts can be traced, are narrowed too."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.structure.cell_units import keep_cell_units
from compress.structure.graph import graph_of
from compress.structure.outline import outline_of
from compress.structure.student import student
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.rnn_cell.zoo import ZOO
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.space import TransformerSpace

TOKENS = torch.arange(14).view(2, 7)
EXACT = {"atol": 1e-12, "rtol": 1e-12}  # in float64; what float32 rounds differs by processor


def classifier(cell: str, layers: int = 2, **size) -> nn.Module:
    shape = ModelShape(DataShape("tokens", 20, 3, False), ModelSize(6, 9, layers, **size))
    generator = torch.Generator().manual_seed(0)
    return RnnCellSpace().build(read_recipe(ZOO[cell]), shape, generator).eval()


@pytest.mark.parametrize("cell", ZOO)
def test_units_of_any_cell_that_nothing_reads_can_go(cell: str) -> None:
    spec, x = CellSpec.from_recipe(ZOO[cell]), torch.randn(3, 8, 5, dtype=torch.float64)
    layer = CompiledRNN(spec, 5, 9, generator=torch.Generator().manual_seed(1)).double()
    kept, dead = np.array([0, 2, 3, 7]), [1, 4, 5, 6, 8]
    with torch.no_grad():
        layer.on_h[..., dead] = 0
    smaller = keep_cell_units(layer, kept, np.array([0, 1, 4]))
    with torch.no_grad():
        layer.on_x[..., [2, 3]] = 0
    got, last = smaller(x[:, :, [0, 1, 4]])
    full, all_last = layer(x)
    torch.testing.assert_close(got, full[:, :, kept], **EXACT)
    torch.testing.assert_close(last[0], all_last[0][:, kept], **EXACT)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn-tanh"])
def test_layers_of_cells_are_narrowed_with_what_reads_them(cell: str) -> None:
    model = classifier(cell, 3, hidden_dropout=0.5)
    outline = outline_of(model, TOKENS)
    assert [(c.makers, c.width) for c in outline.channels] == [
        ((f"layers.{layer}",), 9) for layer in range(3)
    ]
    smaller = student(model, TOKENS, [], {"layers.0": 4, "layers.2": 5})
    sizes = [(layer.input_size, layer.hidden_size) for layer in smaller.layers]
    assert sizes == [(6, 4), (4, 9), (9, 5)] and smaller.head.in_features == 5
    answered = smaller(TOKENS, None, torch.tensor([7, 3]))
    assert answered.answers.shape == (2, 3) and answered.state[2][0].shape == (2, 5)


def test_the_last_layer_of_a_language_model_keeps_the_width_of_its_embedding() -> None:
    shape = ModelShape(DataShape("tokens", 20, 20, True), ModelSize(6, 9, 2))
    model = RnnCellSpace().build(read_recipe(ZOO["gru"]), shape, torch.Generator())
    assert [group.makers for group in graph_of(model, TOKENS).groups] == [("layers.0",)]


def test_heads_and_masks_are_left_alone() -> None:
    for name in ("heads", "mask"):
        model = classifier("gru", 2)
        if name == "mask":
            model.layers[0].keep_only(torch.ones_like(model.layers[0].on_h, dtype=torch.bool))
        else:
            cell = model.layers[0].cell
            model.layers[0] = CompiledRNN(cell, 6, 9, num_heads=3)
        assert [group.makers for group in graph_of(model, TOKENS).groups] == [("layers.1",)]


def silenced(model: nn.Module, path: str, columns: list[int]) -> None:
    with torch.no_grad():
        model.get_submodule(path).weight[:, columns] = 0


def test_feed_forward_layers_of_an_encoder_that_cannot_be_traced_are_narrowed_exactly() -> None:
    layers = (
        ("self-attention", "scaled-dot-product", 2, 24, 1),
        ("linear-transform", "dct", 2, 16, 2),
    )
    shape = ModelShape(DataShape("tokens", 20, 20, True, masked=True), ModelSize())
    architecture = Architecture("transformer", (32, layers))
    model = TransformerSpace().build(architecture, shape, torch.Generator().manual_seed(0))
    model = model.double().eval()
    outline = outline_of(model, TOKENS)
    assert outline.removable == (("layers.0",), ("layers.1",))
    narrow = {c.makers[0]: c.width for c in outline.channels}
    assert narrow == {
        "layers.0.feed_forward.0": 24,
        "layers.1.feed_forward.0": 16,
        "layers.1.feed_forward.2": 16,
    }
    norms = model.get_submodule("layers.0.feed_forward.0").weight
    with torch.no_grad():
        norms[10:] *= 1e-3  # so that these go
    silenced(model, "layers.0.output", list(range(10, 24)))
    smaller = student(model, TOKENS, [], {"layers.0.feed_forward.0": 10})
    assert smaller.get_submodule("layers.0.feed_forward.0").out_features == 10
    torch.testing.assert_close(smaller(TOKENS).answers, model(TOKENS).answers, **EXACT)
    assert student(model, TOKENS, ["layers.0"], {})(TOKENS).answers.shape == (2, 7, 20)


class Shared(nn.Module):
    """One feed-forward layer in two places, in a forward that cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.second = nn.Sequential(self.first, nn.Identity())
        self.own = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.own(self.second(self.first(x)) if x.sum() > 0 else x)


def test_what_two_places_share_is_kept() -> None:
    graph = graph_of(Shared(), torch.ones(2, 4))
    assert [group.makers for group in graph.groups] == [("own.0",)]
    assert "" in graph.opaque


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_decoders_of_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    common = {"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2}
    if name == "llama":
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=16,
                intermediate_size=24,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=2,
                **common,
            )
        )
        blocks, widths = "model.layers", {"model.layers.1.mlp.up_proj": 7}
    else:
        config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, **common)
        model = transformers.GPT2LMHeadModel(config)
        blocks, widths = "transformer.h", {}
    outline = outline_of(model.eval(), TOKENS)
    assert outline.removable == tuple((f"{blocks}.{i}",) for i in range(3))
    assert {maker for c in outline.channels for maker in c.makers} >= set(widths)
    smaller = student(model, TOKENS, [f"{blocks}.2"], widths)
    assert smaller(TOKENS, use_cache=False).logits.shape == (2, 7, 20)
    assert sum(p.numel() for p in smaller.parameters()) < model.num_parameters()
