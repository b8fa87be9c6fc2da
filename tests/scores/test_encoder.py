"""The encoder scores against direct restatements of their formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.encoder import (
    EncoderActivationDistance,
    EncoderSize,
    HeadConfidence,
    HeadImportance,
    LayerCount,
    SoftmaxConfidence,
    SynapticDiversity,
)
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.model import Encoder
from search_spaces.transformer.spec import EncoderSpec, LayerSpec

BATCH = Batch(
    torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1)),
    torch.tensor([0, 1, 2, 1]),
    torch.tensor([6, 3, 5, 4]),
)
ATTENTION = ("self-attention", "scaled-dot-product")


def encoder(mixing: str, variant: str) -> Encoder:
    shape = ModelShape(DataShape("features", 3, 3, False), ModelSize(6))
    spec = EncoderSpec(8, (LayerSpec(mixing, variant, 2, 12, 1),))
    return Encoder(spec, shape, 8, torch.Generator().manual_seed(0)).eval()


def scored(score, model: nn.Module) -> float:
    return score(model, BATCH, torch.Generator())[score.name]


def read(model: Encoder) -> torch.Tensor:
    """Return the first layer's input, `[B, T, H]`."""
    embedded = model.embedding(BATCH.inputs) + model.positions.weight[:6]
    return model.projection(model.norm(embedded))


def test_head_confidence_is_the_largest_output_of_each_head() -> None:
    model = encoder("linear-transform", "dft")
    outputs = model.layers[0].mixing.input(read(model))  # type: ignore[union-attr]
    largest = [
        outputs[b, :length, 4 * head : 4 * head + 4].max()
        for b, length in enumerate([6, 3, 5, 4])
        for head in range(2)
    ]
    assert scored(HeadConfidence(), model) == pytest.approx(
        float(torch.stack(largest).mean().detach()), rel=1e-4
    )


def test_softmax_confidence_is_the_largest_probability_of_each_query() -> None:
    model = encoder(*ATTENTION)
    attention = model.layers[0].mixing
    x = read(model)
    query, key = attention.query(x), attention.key(x)  # type: ignore[union-attr,operator]
    largest = []
    for b, length in enumerate([6, 3, 5, 4]):
        for part in (slice(0, 4), slice(4, 8)):
            likeness = query[b, :length, part] @ key[b, :length, part].T / 2
            largest += likeness.softmax(-1).amax(-1).tolist()
    assert scored(SoftmaxConfidence(), model) == pytest.approx(sum(largest) / len(largest))


def gradients(model: Encoder, weights: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    answers = model(BATCH.inputs, None, BATCH.lengths).answers
    return torch.autograd.grad(functional.cross_entropy(answers, BATCH.targets), weights)


def test_head_importance_is_weight_times_gradient_of_the_projections() -> None:
    model = encoder(*ATTENTION)
    mixing = model.layers[0].mixing
    weights = [getattr(mixing, name).weight for name in ("query", "key", "value")]
    pairs = zip(weights, gradients(model, weights), strict=True)
    expected = sum(float((w * g).abs().sum().detach()) for w, g in pairs)
    assert scored(HeadImportance(), model) == pytest.approx(expected / 3, rel=1e-4)


def test_synaptic_diversity_is_the_product_of_nuclear_norms() -> None:
    model = encoder("linear-transform", "dct")
    layer = model.layers[0]
    weights = [layer.mixing.input.weight, layer.projection.weight]  # type: ignore[union-attr]
    products = [
        torch.linalg.svdvals(w).sum() * torch.linalg.svdvals(g).sum()
        for w, g in zip(weights, gradients(model, weights), strict=True)  # type: ignore[arg-type]
    ]
    assert scored(SynapticDiversity(), model) == pytest.approx(
        float(torch.stack(products).mean().detach()), rel=1e-4
    )


def test_activation_distance_counts_equal_activations_in_the_shared_steps() -> None:
    model = encoder(*ATTENTION)
    fired: list[torch.Tensor] = []
    gelu = model.layers[0].feed_forward[1]  # type: ignore[index]
    gelu.register_forward_hook(lambda _, __, answer: fired.append(answer[:, :3] > 0))  # type: ignore
    expected = scored(EncoderActivationDistance(), model)
    codes = fired[0].flatten(1)
    alike = torch.tensor([[float((a == b).sum()) for b in codes] for a in codes]).double()
    assert expected == pytest.approx(float(torch.linalg.slogdet(alike).logabsdet))


def test_the_layer_count_is_the_number_of_layers() -> None:
    assert scored(LayerCount(), encoder(*ATTENTION)) == 1


def sized(hidden: int, *layers: LayerSpec) -> float:
    shape = ModelShape(DataShape("features", 3, 3, False), ModelSize(6))
    spec, generator = EncoderSpec(hidden, layers), torch.Generator().manual_seed(0)
    return scored(EncoderSize(), Encoder(spec, shape, 8, generator))


def test_encoder_size_counts_heads_and_the_feed_forwards_before_the_last_layer() -> None:
    first = LayerSpec("span-convolution", 5, 4, 12, 3)
    last = LayerSpec("linear-transform", "dft", 2, 12, 1)
    assert sized(8, first, last) == pytest.approx(2 + 8e-4 + (4 + 2 + 3) * 1e-8, abs=1e-12)


def test_encoder_size_compares_depth_before_hidden_size_before_parts() -> None:
    small, large = (LayerSpec(*ATTENTION, heads, 12, 1) for heads in (1, 8))
    assert sized(8, small) < sized(8, large) < sized(16, small) < sized(8, small, small)


def test_softmax_confidence_refuses_an_encoder_without_attention() -> None:
    with pytest.raises(ScoreFailed, match="no self-attention"):
        scored(SoftmaxConfidence(), encoder("linear-transform", "dft"))
