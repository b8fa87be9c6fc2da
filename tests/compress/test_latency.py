"""The table of latencies: what is measured, and once only."""

import torch
from torch import Tensor, nn

from compress.latency import LatencyTable


class Residual(nn.Module):
    """Two equal layers, one other, and functions between them; one works in place."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.rest = nn.Sequential(nn.Linear(8, width), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest((self.one(x) + self.two(x)).relu_())


def test_layers_and_functions_are_measured_once() -> None:
    table, model, x = LatencyTable(), Residual().eval(), torch.randn(2, 8)
    before = model(x)
    total = table.milliseconds(model, x)
    assert len(table.times) == 4  # of linear layers of one size, +, relu_ and ReLU
    linear, *others = table.times.values()
    assert total == 3 * linear + sum(others)
    assert table.milliseconds(model, x) == total
    assert torch.equal(model(x), before)  # and the network is as it was


def test_other_sizes_inputs_and_threads_are_measured_again() -> None:
    table, x = LatencyTable(), torch.randn(2, 8)
    counts = []
    for model, inputs in ((Residual(), x), (Residual(5), x), (Residual(5), x[:1])):
        table.milliseconds(model.eval(), inputs)
        counts.append(len(table.times))
    assert counts == [4, 6, 11]
    assert all(key.startswith(f"{torch.get_num_threads()} threads") for key in table.times)


def test_a_table_that_was_kept_is_used_again() -> None:
    table, model, x = LatencyTable(), Residual().eval(), torch.randn(2, 8)
    table.milliseconds(model, x)
    kept = LatencyTable(dict.fromkeys(table.times, 2.0))
    assert kept.milliseconds(model, x) == 12.0


def test_layers_of_pytorch_with_parts_are_one_entry() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    table = LatencyTable()
    table.milliseconds(model, torch.randn(1, 4, 8))
    assert len([key for key in table.times if "TransformerEncoderLayer" in key]) == 1
    assert not [key for key in table.times if "Linear" in key]
