"""Tasks of lm-eval judge decoders."""

import json
from pathlib import Path

import pytest
import torch

from nas.core.errors import BadInput
from nas.core.settings import read_config
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.harness import check_harness, harness_scores, harness_table, judge_exports
from tests.jobs.adapt.words import byte_tokenizer

TASK = """
task: letters
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{prompt}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def config(**flags: object) -> AdaptConfig:
    return read_config(AdaptConfig, None, [], flags)


def test_a_decoder_without_a_tokenizer_is_refused() -> None:
    for model in ("", "stories.bin"):
        with pytest.raises(BadInput, match="--harness needs a transformers model"):
            check_harness(config(model=model, harness="letters"))


def test_scores_are_those_of_the_likeliest_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 1.0}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)).eval()
    words, run = byte_tokenizer(eos_token="z"), tmp_path / "run"
    for folder in (tmp_path / "model", run / "static"):
        model.save_pretrained(folder)
        words.save_pretrained(folder)
    asked = [{"prompt": f"{n}:", "choices": ["a", "b"], "gold": n % 2} for n in range(20)]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (tmp_path / "letters.yaml").write_text(TASK % (tmp_path / "asked.jsonl"))
    chosen = config(model=str(tmp_path / "model"), harness="letters", harness_files=str(tmp_path))
    check_harness(chosen)
    judge_exports(chosen, run)
    right = 0
    options = [words.encode(text)[0] for text in "ab"]
    for one in asked:
        with torch.no_grad():
            logits = model(torch.tensor([words.encode(one["prompt"])])).logits[0, -1, options]
        right += int(logits.argmax()) == one["gold"]
    for score, name in zip(harness_scores(run), ("full", "static"), strict=True):
        assert (score.decoder, score.task, score.metric, score.n) == (name, "letters", "acc", 20)
        assert score.value == pytest.approx(right / 20) and score.error is not None
    assert "letters" in "\n".join(harness_table(run))
    with pytest.raises(BadInput, match='lm-eval has no task "nothing"'):
        check_harness(config(model="m", harness="nothing", harness_files=str(tmp_path)))
