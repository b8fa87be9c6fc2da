"""Networks of users that once ended in students that could not run."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.structure.graph import graph_of
from compress.structure.outline import outline_of
from compress.structure.student import student
from tests.compress.structure.exact import check_exact, widths

FRAMES = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Tutorial(nn.Module):
    """The view says how many channels there are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(6 * 4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv2(F.max_pool2d(self.conv1(x).relu(), 2)).relu(), 2)
        return self.fc2(self.fc1(x.view(-1, 6 * 4)).relu())


def test_a_number_written_out_keeps_its_channels_and_is_said() -> None:
    graph, _ = check_exact(Tutorial(), IMAGES)
    assert widths(graph) == {"conv1": 4, "fc1": 8}
    assert "shape" in graph.kept["conv2"]
    assert ("conv2", graph.kept["conv2"]) in outline_of(Tutorial(), IMAGES).kept


class ByHand(nn.Module):
    """The first states are made of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.hidden = 2, 8
        self.lstm, self.fc = nn.LSTM(5, 8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        zeros = torch.zeros(self.layers, x.size(0), self.hidden, dtype=x.dtype)
        return self.fc(self.lstm(x, (zeros, zeros))[0][:, -1])


class ByDirection(nn.Module):
    """The last states are seen as layers and directions."""

    def __init__(self, units: int | None) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8, 2, batch_first=True, bidirectional=True)
        self.fc, self.units = nn.Linear(16, 3), units

    def forward(self, x: Tensor) -> Tensor:
        h = self.lstm(x)[1][0].view(2, 2, x.size(0), -1 if self.units is None else self.units)
        return self.fc(torch.cat([h[-1, 0], h[-1, 1]], dim=1))


def test_states_made_or_reshaped_by_hand_keep_their_layers() -> None:
    for model in (ByHand(), ByDirection(None), ByDirection(8)):
        graph, smaller = check_exact(model, FRAMES)
        assert widths(graph) == {"lstm": 8} and smaller.get_submodule("lstm").hidden_size == 4
        outline = outline_of(model, FRAMES)
        assert outline.removable == () and "lstm:1" in dict(outline.kept)


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(input=self.conv(input=x).relu().mean(dim=(2, 3)))


def test_a_call_by_keyword_is_as_one_by_place() -> None:
    assert widths(check_exact(Keywords(), IMAGES)[0]) == {"conv": 8}


class OnlyOutputs(nn.LSTM):
    def forward(self, x: Tensor, hx=None) -> Tensor:  # type: ignore[override]
        return super().forward(x, hx)[0]


def test_a_subclass_with_a_forward_of_its_own_is_narrowed() -> None:
    model = nn.Sequential(OnlyOutputs(5, 8, 2, batch_first=True), nn.Linear(8, 6), nn.Linear(6, 3))
    graph, smaller = check_exact(model, FRAMES)
    assert widths(graph) == {"0": 8, "1": 6} and isinstance(smaller[0], OnlyOutputs)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.gate = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 1)
        self.conv2, self.fc = nn.Conv2d(8, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).relu()
        x = torch.sigmoid(self.gate(x)) * x  # one channel on the left side
        return self.fc(self.conv2(x).relu().mean(dim=(2, 3)))


def test_a_map_of_one_channel_may_stand_on_either_side() -> None:
    assert widths(check_exact(Gated(), IMAGES)[0]) == {"conv1": 8, "conv2": 6}


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 12, 2, batch_first=True, proj_size=4)
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(self.lstm(x)[0].mean(dim=1)).relu())


def test_units_and_projections_of_an_lstm_are_narrowed() -> None:
    graph, smaller = check_exact(Projected(), FRAMES)
    assert widths(graph)["fc1"] == 8 and len(graph.groups) == 3
    lstm = smaller.get_submodule("lstm")
    assert (lstm.hidden_size, lstm.proj_size) == (6, 2)
    names = {maker: group.width for group in graph.groups for maker in group.makers}
    assert names == {"lstm": 4, "lstm#2": 12, "fc1": 8}
    assert student(Projected(), FRAMES, [], {"lstm#2": 9})(FRAMES).shape == (2, 3)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.share = nn.Conv2d(6, 6, 3, padding=1), 0.9

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).relu()


class Scaled(nn.Module):
    """The network reads an attribute of its blocks, and of what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(1, 6, 3, padding=1), nn.Linear(6, 3)
        self.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x) * block.share * block.conv.stride[0]
        return self.fc(x.mean(dim=(2, 3)))


def test_a_removed_block_still_answers_to_what_its_parent_reads() -> None:
    model = Scaled()
    assert outline_of(model, IMAGES).removable == tuple((f"blocks.{i}",) for i in range(3))
    smaller = student(model, IMAGES, ["blocks.0", "blocks.2"], {"blocks.1.conv": 3})
    assert smaller(IMAGES).shape == (2, 3) and smaller.get_submodule("stem").out_channels == 3


class ByNumber(nn.Module):
    """The first channels are another thing than the rest, by their number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x)[:, :3])


def test_channels_that_are_read_by_their_number_stay() -> None:
    assert "conv" not in {m for g in graph_of(ByNumber(), IMAGES).groups for m in g.makers}


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.fft.fft(self.inner(x)).real)


def test_an_operation_without_a_rule_keeps_its_channels_and_is_named() -> None:
    graph = graph_of(Unknown(), FRAMES)
    assert graph.groups == () and "fft_fft" in graph.kept["inner"]
