"""Checkpoints as training scripts write them, read into a model."""

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nas.core.errors import BadInput
from nas.models.checkpoints import PREFIXES, WRAPPERS
from nas.models.weights import load_weights

Weights = dict[str, Tensor]


class Net(nn.Module):
    """A layer with statistics, and a buffer with infinity in it, as attention masks have."""

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(features, 4), nn.BatchNorm1d(4))
        self.model = nn.Linear(4, 2)  # the name is a known prefix
        self.register_buffer("mask", torch.full((2,), -torch.inf))


def named(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


def loaded(path: Path, content: Any) -> Net:
    """A model with the weights of a file with this content; warnings are errors."""
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    torch.manual_seed(1)
    model = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_weights(model, path)
    return model


def check_same(model: nn.Module, weights: Weights) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    return Net().state_dict()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_weights_under_a_key_are_found(tmp_path: Path, weights: Weights, wrapper: str) -> None:
    more = {"epoch": 3, "best": torch.tensor(0.9), "optimizer": {"state": {}, "param_groups": []}}
    check_same(loaded(tmp_path / "w.pth", {wrapper: weights, **more}), weights)


@pytest.mark.parametrize("keys", [("model", "state_dict"), ("ema", "module"), ("net", "net")])
def test_weights_two_keys_deep_are_found(tmp_path: Path, weights: Weights, keys) -> None:
    outer, inner = keys
    content = {outer: {inner: named("module.", weights), "updates": 7}, "epoch": 3}
    check_same(loaded(tmp_path / "w.pt", content), weights)


@pytest.mark.parametrize(
    "prefix",
    [
        *PREFIXES,
        *("module._orig_mod.", "_orig_mod.module.", "module.module.", "model.net._orig_mod."),
        *("model.model.", "net.module.model.", "ema_model.module."),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_wrappers_put_before_names_is_removed(
    tmp_path: Path, weights: Weights, prefix: str, suffix: str
) -> None:
    check_same(loaded(tmp_path / f"w{suffix}", named(prefix, weights)), weights)


def test_a_prefix_that_the_models_own_names_have_stays(tmp_path: Path, weights: Weights) -> None:
    assert "model.weight" in weights
    check_same(loaded(tmp_path / "w.pth", weights), weights)


def test_real_wrappers_are_read(tmp_path: Path, weights: Weights) -> None:
    torch.manual_seed(0)
    model = Net()
    wrapped: dict[str, Callable[[], Weights]] = {
        "parallel": lambda: nn.DataParallel(model).state_dict(),
        "compiled": lambda: torch.compile(model).state_dict(),
        "averaged": lambda: AveragedModel(model).state_dict(),
        "both": lambda: AveragedModel(torch.compile(model)).state_dict(),
    }
    for name, state in wrapped.items():
        check_same(loaded(tmp_path / f"{name}.ckpt", state()), weights)


def test_counters_that_the_model_lacks_are_ignored(tmp_path: Path, weights: Weights) -> None:
    counters = {"n_averaged": torch.tensor(3), "step": torch.tensor(9), "on": torch.tensor(True)}
    check_same(loaded(tmp_path / "flat.pth", {**weights, **counters}), weights)
    prefixed = {**named("model.", weights), **counters, "model.seen": torch.tensor(1)}
    check_same(loaded(tmp_path / "prefixed.ckpt", {"state_dict": prefixed}), weights)
    with pytest.raises(BadInput, match='the model has no "scale" scalar'):
        loaded(tmp_path / "scale.pth", {**weights, "scale": torch.tensor(2.0)})


def test_statistics_may_lack_their_counter(tmp_path: Path, weights: Weights) -> None:
    less = {name: v for name, v in weights.items() if "num_batches_tracked" not in name}
    check_same(loaded(tmp_path / "w.pth", {"state_dict": named("module.", less)}), weights)


@pytest.mark.parametrize("averaged", ["ema", "model_ema"])
def test_the_model_is_taken_rather_than_its_average(
    tmp_path: Path, weights: Weights, averaged: str
) -> None:
    zeros = {name: value * 0 for name, value in weights.items() if name != "mask"} | {
        "mask": weights["mask"]
    }
    torch.save({averaged: zeros, "model": weights}, tmp_path / "w.pth")
    model = Net()
    with pytest.warns(UserWarning, match=f'took those under "model", not those under "{averaged}"'):
        load_weights(model, tmp_path / "w.pth")
    check_same(model, weights)
    only = loaded(tmp_path / "only.pth", {averaged: zeros, "model": {"depth": 2}})
    assert not only.model.weight.any()


def test_an_average_and_a_loss_beside_the_model_are_left_out(
    tmp_path: Path, weights: Weights
) -> None:
    zeros = {name: value * 0 for name, value in weights.items()}
    beside = {"loss.weight": torch.ones(2)}
    content = named("ema_model.", zeros) | named("model.", weights) | beside
    torch.save({"state_dict": content}, tmp_path / "w.ckpt")
    model = Net()
    with pytest.warns(UserWarning, match=r'begin with "model\.", not \d+ others such as "ema_m'):
        load_weights(model, tmp_path / "w.ckpt")
    check_same(model, weights)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("stem.0.weight", torch.nan, "stem.0.weight holds NaN in 3 of 12 values"),
        ("stem.0.weight", torch.inf, "stem.0.weight holds infinity in 3 of 12 values"),
        ("model.bias", -torch.inf, "model.bias holds infinity in 2 of 2 values"),
        ("stem.1.running_var", torch.nan, "stem.1.running_var holds NaN in 3 of 4 values"),
        ("mask", torch.nan, "mask holds NaN in 2 of 2 values"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_broken_weights_are_refused_by_name(
    tmp_path: Path, weights: Weights, name: str, value: float, said: str, dtype: torch.dtype
) -> None:
    weights[name].view(-1)[:3] = value
    halves = {n: v.to(dtype) if v.is_floating_point() else v for n, v in weights.items()}
    with pytest.raises(BadInput, match=rf"w\.pth: {re.escape(said)}: its training failed"):
        loaded(tmp_path / "w.pth", {"net": named("module.", halves)})


def test_what_does_not_fit_is_named_with_both_shapes(tmp_path: Path, weights: Weights) -> None:
    wider = named("module.", Net(features=5).state_dict())
    with pytest.raises(BadInput, match=r'w.pth: "stem.0.weight" is 4×5, but the model needs 4×3'):
        loaded(tmp_path / "w.pth", {"model": wider})
    less = named("model.", {n: v for n, v in weights.items() if n != "stem.0.bias"})
    with pytest.raises(BadInput, match=r'less.pth lacks "stem.0.bias" 4: pass weights of the same'):
        loaded(tmp_path / "less.pth", less)
    more = named("_orig_mod.", {**weights, "head.weight": torch.ones(7, 2)})
    with pytest.raises(BadInput, match=r'more.pth: the model has no "head.weight" 7×2'):
        loaded(tmp_path / "more.pth", more)


def test_a_refused_file_leaves_the_model_as_it_was(tmp_path: Path, weights: Weights) -> None:
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights["mask"][0] = torch.nan
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(BadInput):
        load_weights(model, tmp_path / "w.pth")
    check_same(model, before)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"generator": {"w": 1}, "epoch": 3}, 'has no weights, only "generator", "epoch": save'),
        ({}, "has no weights, no dictionary of tensors: save"),
        ([torch.ones(2)], "has no weights, no dictionary of tensors: save"),
        (nn.Linear(2, 2), r"holds more than tensors \(torch.nn.modules.linear.Linear\): save"),
        ({"net": {}, "args": argparse.Namespace(a=1)}, r"more than tensors \(argparse.Namespace\)"),
    ],
)
def test_a_file_without_weights_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        loaded(tmp_path / "w.pth", content)
    assert "w.pth" in str(refused.value) and "\n" not in str(refused.value)
