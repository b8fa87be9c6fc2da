"""What an encoder reads, and how large it is."""

import pytest
import torch
from torch import nn

from search_spaces.space import DataShape, ModelShape
from search_spaces.transformer.mixing import LinearTransform, SelfAttention, cosines, mixing
from search_spaces.transformer.model import Encoder
from search_spaces.transformer.space import TransformerSpace
from search_spaces.transformer.spec import MIXINGS, EncoderSpec, LayerSpec

CLASSES = ModelShape(DataShape("tokens", 11, 3, False))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("hidden", [128, 256])
@pytest.mark.parametrize("size", [512, 1024])
def test_hidden_and_feed_forward_size_are_applied(hidden: int, size: int) -> None:
    layer = LayerSpec("self-attention", "scaled-dot-product", 2, size, 3)
    built = Encoder(EncoderSpec(hidden, (layer,)), CLASSES, 8, generator()).layers[0]
    widths = [m.out_features for m in built.feed_forward if isinstance(m, nn.Linear)]  # type: ignore
    assert widths == [size] * 3
    assert built.norm.normalized_shape == (hidden,)


@pytest.mark.parametrize("variant", MIXINGS["self-attention"] + MIXINGS["span-convolution"])
def test_padding_is_not_read(variant) -> None:
    kind = next(name for name, variants in MIXINGS.items() if variant in variants)
    layers = (LayerSpec(kind, variant, 2, 8, 1),) * 2
    model = Encoder(EncoderSpec(8, layers), CLASSES, 16, generator()).eval()
    tokens = torch.randint(11, (2, 9), generator=generator())
    padded = torch.cat([tokens, torch.full((2, 5), 7)], dim=1)
    answers = model(padded, None, torch.tensor([9, 9])).answers
    torch.testing.assert_close(answers, model(tokens).answers)


def test_attention_equals_torchs() -> None:
    attention = SelfAttention(8, 2, 8)
    x = torch.randn(3, 5, 8, generator=generator())
    q, k, v = (
        part(x).view(3, 5, 2, 4).transpose(1, 2)
        for part in (attention.query, attention.key, attention.value)
    )
    expected = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x, torch.ones(3, 5, dtype=torch.bool)), expected)


def test_the_cosine_transform_is_orthonormal_and_follows_its_definition() -> None:
    matrix = cosines(7, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(7, dtype=torch.float64))
    constant = torch.ones(7, dtype=torch.float64)
    assert (matrix @ constant)[0] == pytest.approx(7**0.5)


def test_heads_change_a_linear_transform() -> None:
    x = torch.randn(1, 6, 8, generator=generator())
    two, four = LinearTransform(8, 2, "dft"), LinearTransform(8, 4, "dft")
    four.load_state_dict(two.state_dict())
    valid = torch.ones(1, 6, dtype=torch.bool)
    assert not torch.allclose(two(x, valid), four(x, valid))


def test_a_span_convolution_mixes_only_its_window() -> None:
    part = mixing(LayerSpec("span-convolution", 5, 4, 8, 1), 16)
    x = torch.randn(1, 12, 16, generator=generator())
    changed = x.clone()
    changed[:, 11] += 1
    valid = torch.ones(1, 12, dtype=torch.bool)
    # the second half of the width convolves, over two steps on each side
    moved = (part(x, valid) - part(changed, valid))[0, :, 8:].abs().sum(-1) > 1e-6
    assert moved.tolist() == [False] * 9 + [True] * 3


def test_a_next_token_task_is_refused() -> None:
    with pytest.raises(ValueError, match="use --task masked-language-model"):
        TransformerSpace().check(DataShape("tokens", 11, 11, True))


def test_a_sequence_that_is_too_long_is_refused() -> None:
    layer = LayerSpec("linear-transform", "dct", 2, 8, 1)
    model = Encoder(EncoderSpec(8, (layer,)), CLASSES, 4, generator())
    with pytest.raises(ValueError, match="5 steps, but the encoder only 4 positions"):
        model(torch.zeros(1, 5, dtype=torch.long))
