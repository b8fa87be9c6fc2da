"""Speed and memory in cases where the right value is known beforehand."""

import torch
from torch import nn

from compress.timing import BURST, milliseconds, peak_bytes, speeds


def test_peak_memory_counts_the_tensors_alive_at_the_same_time() -> None:
    model = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(), nn.Linear(1000, 10))
    assert peak_bytes(model, torch.zeros(4, 10)) == 2 * 4 * 1000 * 4  # before and after ReLU
    in_place = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(inplace=True), nn.Linear(1000, 10))
    assert peak_bytes(in_place, torch.zeros(4, 10)) == 4 * 1000 * 4 + 4 * 10 * 4


def test_the_median_pass_is_reported_without_the_first_of_each_turn() -> None:
    ticks = [10.0]  # the first pass begins, and does not count
    for taken in (0.001, 0.002, 0.003, 0.004, 9.0):
        ticks += [20.0, 20.0 + taken]
    clock = iter(ticks)
    taken = milliseconds([nn.Identity()], torch.zeros(1), repeats=5, clock=lambda: next(clock))
    assert [round(t, 3) for t in taken] == [3.0]


def test_models_take_turns() -> None:
    calls: list[str] = []
    models = [lambda _, name=name: calls.append(name) for name in "ab"]
    milliseconds(models, torch.zeros(1), repeats=2 * BURST)
    turn = BURST + 1
    assert calls == ["a"] * turn + ["b"] * turn + ["a"] * turn + ["b"] * turn


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
