"""Decoders run on the device and in the dtype that the settings name."""

import pytest
import torch

from nas.core.errors import BadInput
from nas.jobs.adapt import placement, speed
from nas.jobs.adapt.accelerated_exit import accelerated_exit
from nas.jobs.adapt.early_exit import early_exit
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.grading import Grades
from nas.jobs.adapt.healing import heal
from nas.jobs.adapt.held_out import judgement
from nas.jobs.adapt.oracle import Search, search_each
from nas.jobs.adapt.placement import Placement
from nas.jobs.adapt.router import prompt_features
from nas.jobs.adapt.speed import speeds
from nas.jobs.adapt.text.evaluator import TextEvaluator
from search_spaces.layer_chain.chain import Rules
from search_spaces.layer_chain.decoder import Decoder, generate
from search_spaces.layer_chain.faithful import check_chains
from search_spaces.layer_chain.pretrained import decoder_of
from search_spaces.layer_chain.shortened import shortened
from tests.jobs.adapt.elsewhere import DEVICE, OtherDevice
from tests.jobs.adapt.test_shared_chains import evaluator
from tests.search_spaces.layer_chain.models import random_tokens, small_llama
from tests.search_spaces.layer_chain.test_pretrained import tiny


@pytest.fixture(params=["ours", "Llama", "GPT2", "Gemma2"])
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    return small_llama() if request.param == "ours" else tiny(request.param).model


def test_every_stage_gives_the_same_on_another_device(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "NEW", 2)
    monkeypatch.setattr(speed, "REPEATS", 1)
    here = _results(decoder_of(network), network)
    with OtherDevice():
        moved = network.to(DEVICE)
        there = _results(decoder_of(moved), moved)
    assert there == here


def _results(decoder: Decoder, network: torch.nn.Module) -> list:
    """Run what a job runs, on the decoder's device."""
    asked, rules = evaluator(6).questions, Rules(decoder.layers)
    fit, test = (ChainEvaluator(decoder, part, 2**24) for part in (asked[:4], asked[2:]))
    found = search_each(test, rules, Search(6, 3), range(4))
    half, tokens = rules.full[::2], random_tokens(4, 6)
    check_chains(decoder, network, Rules(decoder.layers))
    healed = heal(shortened(network, half), network, tokens, torch.full((4,), 6), 2, 0)
    grades = TextEvaluator(decoder, tokens, 2**24)
    speeds(decoder, [half], tokens[:1])
    return [
        [one.tried.keys() for one in found],
        [one.controls for one in found],
        judgement("half", test, [half] * 4, 0, None),
        early_exit(fit, test, 0.0).calls,
        accelerated_exit(fit, test, 0.0).calls,
        Grades(test).influence().blocks.argsort().tolist(),
        prompt_features(test).shape,
        test.answers_of(healed),
        round(grades([half])[0].perplexity, 2),
        round(grades.grade_of(healed).divergence, 3),
        generate(decoder, tokens[:1, :3], half, 4).tolist(),
    ]


def test_a_device_that_is_not_there_is_refused() -> None:
    for name in ("cuda:99", "nowhere", "meta"):
        with pytest.raises(BadInput, match=f'--device: this machine has no device "{name}"'):
            Placement(name).check("model", serial=True)
    with pytest.raises(BadInput, match="--device spread needs a transformers model"):
        Placement("spread").check("stories.bin", serial=True)
    Placement("cpu").check("", serial=False)
    Placement("auto").check("", serial=True)


def test_a_gpu_is_refused_to_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "check_device", lambda *_: None)  # as if it were there
    with pytest.raises(BadInput, match=r"^--device cuda needs one process: add --executor serial$"):
        Placement("cuda").check("model", serial=False)
    Placement("cuda").check("model", serial=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_decoder_of_ours_runs_in_another_dtype(dtype) -> None:
    model = Placement(dtype=dtype).cast(small_llama())
    assert model(random_tokens(2, 5)).dtype == getattr(torch, dtype)
