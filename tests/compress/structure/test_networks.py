"""Kinds of networks in miniature: what is narrowed, exactly, and the rest of it still runs."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.models.cifar_resnet import resnet8
from nas.models.recurrent_classifier import lstm_classifier
from tests.compress.structure.exact import check_exact, size, widths

torch.manual_seed(0)
IMAGES, SEQUENCES = torch.randn(2, 3, 8, 8), torch.randn(3, 7, 5)
TOKENS = torch.arange(12).view(2, 6)


def sequence(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class Branches(nn.Module):
    """Branches side by side, a depthwise convolution, a gate of its own, then flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.norm, self.gate = nn.BatchNorm2d(10), nn.Linear(10, 10)
        self.hidden, self.out = nn.Linear(40, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x).relu(), self.right(x).relu()], dim=1)
        x = self.norm(self.depthwise(x))
        x = x * self.gate(x.mean(dim=(2, 3))).sigmoid()[:, :, None, None]
        x = F.adaptive_avg_pool2d(x, 2)
        return self.out(self.hidden(torch.flatten(x, 1)).relu())


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up, self.join = nn.ConvTranspose2d(8, 6, 2, 2), nn.Conv2d(12, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.down(x).relu()
        x = self.up(self.middle(F.max_pool2d(kept, 2)).relu())
        return self.head(self.join(torch.cat([x, kept], 1)).relu())


class Gates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(5, 16, 3, padding=1), nn.Conv1d(8, 16, 3)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.glu(self.first(F.pad(x.mT, (1, 0))), dim=1)
        value, gate = self.second(x).chunk(2, dim=1)
        return self.head((value * torch.sigmoid(gate)).mean(-1))


class Attention(nn.Module):
    """Heads of a fused projection, with a scale and a table for each head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn(heads, 7, 7))
        self.gamma = nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        qkv = self.qkv(x).reshape(B, T, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=self.table)
        return self.gamma * self.proj(x.transpose(1, 2).reshape(B, T, C))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 16)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 7, 16))
        self.norm, self.attention = nn.LayerNorm(16), Attention(16, 4)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)[:, 1:]], dim=1) + self.place
        return self.head((x + self.attention(self.norm(x)))[:, 0])


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        self.tokens = sequence(nn.Linear(7, 12), nn.GELU(), nn.Linear(12, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.head((x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)).mean(1))


class Decoder(nn.Module):
    """Several queries share their keys and values; the root mean square is taken by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.scale = nn.Embedding(20, 16), nn.Parameter(torch.rand(16))
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.o, self.head, self.depth = nn.Linear(16, 16), nn.Linear(16, 20), 4
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        y = self.scale * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        q, k, v = (
            p(y).unflatten(-1, (-1, self.depth)).transpose(1, 2) for p in (self.q, self.k, self.v)
        )
        k, v = (t[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(x + self.o(y.transpose(1, 2).flatten(2)))


class Window(nn.Module):
    """Windows of a feature map, as Swin has them, rolled and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.inside, self.head = nn.Conv2d(3, 8, 1), nn.Linear(8, 8), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.roll(self.embed(x).permute(0, 2, 3, 1), (-2, -2), dims=(1, 2))
        B, height, width, C = x.shape
        x = x.view(B, height // 4, 4, width // 4, 4, C).permute(0, 1, 3, 2, 4, 5)
        x = self.inside(x.reshape(-1, 16, C)).relu()
        x = x.view(B, height // 4, width // 4, 4, 4, C).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(B, height, width, C)
        x = torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], dim=-1)
        return self.head(x.mean(dim=(1, 2)))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.again, self.out = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x).relu()
        for _ in range(3):
            x = self.again(x).relu() if x.sum() < 1e9 else x  # a loop and a branch
        return self.out(x)


class Noisy(nn.Module):
    """A variational autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.mean, self.spread = nn.Linear(5, 8), nn.Linear(8, 4), nn.Linear(8, 4)
        self.outer = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x).tanh()
        mean, spread = self.mean(x), self.spread(x)
        return self.outer(mean + 0 * torch.randn_like(mean) * spread.exp())


NETWORKS = {
    "shortcuts without weights": (resnet8, torch.randn(2, 3, 32, 32), 6),
    "branches, depthwise, flattened": (Branches, IMAGES, 3),
    "u-net": (UNet, IMAGES, 4),
    "gates of halves": (Gates, SEQUENCES, 2),
    "fused attention": (Transformer, SEQUENCES, 1),
    "mixer": (Mixer, SEQUENCES, 2),
    "grouped queries, tied weights": (Decoder, TOKENS, 2),
    "windows": (Window, IMAGES, 1),
    "shared module, branch in Python": (Shared, SEQUENCES, 1),
    "noise": (Noisy, SEQUENCES, 2),
    "pixel shuffle": (
        lambda: sequence(nn.Conv2d(3, 16, 3), nn.PixelShuffle(2), nn.PReLU(4), nn.Conv2d(4, 2, 1)),
        IMAGES,
        1,
    ),
    "group norm, grouped convolution": (
        lambda: sequence(
            *(nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, groups=2), nn.InstanceNorm2d(16, affine=True), nn.Flatten()),
            nn.Linear(16 * 16, 3),
        ),
        IMAGES,
        2,
    ),
    "norm without weights": (
        lambda: sequence(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.Conv2d(8, 2, 3)),
        IMAGES,
        1,
    ),
    "an encoder of torch": (
        lambda: sequence(
            nn.Linear(5, 16),
            nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), 2),
            nn.Linear(16, 3),
        ),
        SEQUENCES,
        3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_every_group_goes_exactly(name: str) -> None:
    make, example, groups = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    graph, smaller = check_exact(model, example)
    assert len(graph.groups) == groups, widths(graph)
    assert size(smaller) < 0.75 * size(model)


@pytest.mark.parametrize(
    "normed",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_normed_weights_are_narrowed(normed) -> None:
    model = sequence(normed(nn.Conv1d(5, 8, 3)), nn.ReLU(), normed(nn.Conv1d(8, 2, 3)))
    _, smaller = check_exact(model, SEQUENCES.mT)
    assert smaller[0].out_channels == smaller[2].in_channels == 4


def test_recurrent_layers_are_narrowed_with_what_reads_them() -> None:
    model = lstm_classifier(hidden=12, layers=2, bidirectional=True, channels=5)
    graph, smaller = check_exact(model, SEQUENCES)
    assert widths(graph) == {"recurrent": 12}
    assert smaller.get_submodule("recurrent").hidden_size == 6
    assert smaller.get_submodule("classifier").in_features == 12


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_units_of_every_recurrent_kind_go_exactly(kind, layers: int, bidirectional: bool) -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = kind(5, 6, layers, bidirectional=bidirectional, batch_first=True)
            self.head = nn.Linear(12 if bidirectional else 6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    graph, smaller = check_exact(Reads(), SEQUENCES)
    assert widths(graph) == {"rnn": 6} and smaller.get_submodule("rnn").hidden_size == 3


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(5, 8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        pack, pad = nn.utils.rnn.pack_padded_sequence, nn.utils.rnn.pad_packed_sequence
        states, last = self.gru(pack(x, lengths, batch_first=True, enforce_sorted=False))
        return self.head(last[-1]), self.head(pad(states, batch_first=True)[0])


def test_packed_sequences_and_several_inputs_and_outputs() -> None:
    lengths = torch.tensor([7, 3, 5])
    for example in ((SEQUENCES, lengths), {"x": SEQUENCES, "lengths": lengths}):
        graph, _ = check_exact(Packed(), example)
        assert widths(graph) == {"gru": 8}


class Speller(nn.Module):
    """An encoder hands its state to cells that attend to what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encoder = nn.Embedding(20, 6), nn.LSTM(6, 8, batch_first=True)
        self.cell, self.query = nn.LSTMCell(6 + 8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 20)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        embedded = self.embed(tokens)
        memory, (hidden, cell) = self.encoder(embedded)
        hidden, cell, answers = hidden[-1], cell[-1], []
        for step in range(tokens.shape[1]):
            weights = (memory @ self.query(hidden)[:, :, None]).softmax(1)
            seen = (weights * memory).sum(1)
            hidden, cell = self.cell(torch.cat([embedded[:, step], seen], 1), (hidden, cell))
            answers.append(self.head(hidden))
        return {"logits": torch.stack(answers, 1)}


def test_an_encoder_and_a_decoder_of_cells_are_one_group() -> None:
    graph, _ = check_exact(Speller(), TOKENS)
    assert widths(graph) == {"embed": 6, "encoder": 8}
    assert graph.groups[1].makers == ("encoder", "query", "cell") or set(
        graph.groups[1].makers
    ) == {
        "encoder",
        "cell",
        "query",
    }
