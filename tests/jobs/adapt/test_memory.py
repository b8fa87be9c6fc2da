"""`nas adapt --memory` bounds what a run takes beside the weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.adapt.words import byte_tokenizer

VOCABULARY, MEMORY = 128_256, 64  # Llama 3's; in MiB
PEAK = Path("/proc/self/clear_refs")  # writing 5 resets the peak of a process
CHILD = """
import json, sys
from pathlib import Path
import torch
from nas import api
from nas.core.settings import read_config
from nas.jobs.adapt.config import AdaptConfig

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

torch.set_num_threads(1)
for flags in json.loads(sys.argv[1]):  # the first run loads all code
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    api.adapt(read_config(AdaptConfig, None, sys.argv[2:], flags))
print(status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not PEAK.exists(), reason="reads the peak as Linux counts it")
def test_the_peak_stays_within_the_memory_and_the_weights(tmp_path: Path) -> None:
    """Logits of all rows and positions would take 1.5 GiB."""
    transformers = pytest.importorskip("transformers")
    items, runs = tmp_path / "items.jsonl", []
    asked = [{"prompt": "x" * 60 + f"{n} is", "answer": f" {n}"} for n in range(20)]
    items.write_text("\n".join(map(json.dumps, asked)))
    for vocabulary in (300, VOCABULARY):
        model = tmp_path / f"model-{vocabulary}"
        config = transformers.LlamaConfig(
            **{"vocab_size": vocabulary, "hidden_size": 8, "intermediate_size": 8},
            **{"num_hidden_layers": 2, "num_attention_heads": 1, "tie_word_embeddings": True},
        )
        transformers.LlamaForCausalLM(config).save_pretrained(model)
        byte_tokenizer().save_pretrained(model)
        flags = {"model": str(model), "items": str(items), "run": f"{model}-run"}
        runs.append({**flags, "samples": 4, "simulations": 4, "menu": 0, "memory": MEMORY})
    sets = ["heal_steps=0", "generate=1", "others=16", "execution.executor=serial"]
    child = [sys.executable, "-c", CHILD, json.dumps(runs), *sets]
    ended = subprocess.run(child, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    weights = sum(file.stat().st_size for file in model.glob("*.safetensors")) / 2**20
    assert float(ended.stdout) <= 1.2 * (MEMORY + weights)
    assert (tmp_path / f"model-{VOCABULARY}-run" / "static" / "config.json").exists()
