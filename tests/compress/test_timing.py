"""Speed and memory in cases where the right value is known beforehand."""

import torch
from torch import nn

from compress.timing import milliseconds, peak_bytes, speeds


def test_peak_memory_counts_the_tensors_alive_at_the_same_time() -> None:
    model = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(), nn.Linear(1000, 10))
    assert peak_bytes(model, torch.zeros(4, 10)) == 2 * 4 * 1000 * 4  # before and after ReLU
    in_place = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(inplace=True), nn.Linear(1000, 10))
    assert peak_bytes(in_place, torch.zeros(4, 10)) == 4 * 1000 * 4 + 4 * 10 * 4


def test_the_median_pass_is_reported_and_models_take_turns() -> None:
    ticks = iter([0.0, 10.0, 20.0, 20.001, 21.0, 21.002, 30.0, 30.003, 31.0, 31.004])
    taken = milliseconds([nn.Identity()] * 2, torch.zeros(1), repeats=2, clock=lambda: next(ticks))
    assert [round(t, 3) for t in taken] == [2.0, 3.0]


def test_every_measure_of_a_smaller_network_is_lower() -> None:
    large, small = (
        nn.Sequential(nn.Linear(64, h), nn.ReLU(), nn.Linear(h, 64)) for h in (4096, 16)
    )
    before = torch.get_num_threads()
    slow, fast = speeds([large, small], torch.zeros(2, 64), repeats=5)
    assert torch.get_num_threads() == before
    assert fast.parameters == 64 * 16 + 16 + 16 * 64 + 64
    assert fast.bytes < slow.bytes and fast.peak_bytes < slow.peak_bytes
    assert fast.milliseconds[64] < slow.milliseconds[64]
    assert set(fast.milliseconds_all_threads) == {1, 64}
