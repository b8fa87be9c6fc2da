"""Reduces the depth of two decoders by a plain text, and heals them.

python tests/benchmarks/depth_reduction.py FOLDER stories WEIGHTS [heal=full,lora] [SETTING=VALUE …]
python tests/benchmarks/depth_reduction.py FOLDER small [SETTING=VALUE …]

stories: stories260K (WEIGHTS is its .bin file; its tokenizer lies beside it). Its training text is
not at hand, so the text is sampled from the model itself, at temperature 1.
small: a small decoder of 16 layers trained on Python's standard library; the text is its test part.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from nas import api
from nas.core.settings import Named, read_config
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.small_decoder import decoder_task
from nas.reporting.report import read_report
from search_spaces.layer_chain.decoder import Slot, run_chain
from search_spaces.layer_chain.llama2c import BEGIN, read_llama, read_vocabulary

STORIES, LENGTH = 800, 200


@torch.no_grad()
def sampled_stories(weights: Path, stories: int = STORIES) -> str:
    """Return stories in the model's own words; each is cut at its end or after `LENGTH` tokens."""
    model = read_llama(weights)
    words = read_vocabulary(next(weights.parent.glob("tok*.bin")), model.size.tokens)
    generator = torch.Generator().manual_seed(0)
    chain = tuple(range(model.layers))
    slots = [Slot() for _ in chain]
    tokens = torch.full((stories, 1), BEGIN)
    for _ in range(LENGTH):
        chances = run_chain(model, tokens, chain, slots)[:, -1].softmax(dim=-1)
        tokens = torch.cat([tokens, torch.multinomial(chances, 1, generator=generator)], dim=1)
    texts = []
    for line in tokens[:, 1:].tolist():
        end = line.index(BEGIN) if BEGIN in line else len(line)
        texts.append(words.decode(line[:end]))
    return "\n".join(texts)


def settings(folder: Path, kind: str, rest: list[str]) -> dict[str, Any]:
    """Write the text; return the settings of the subject."""
    text = folder / f"{kind}.txt"
    if kind == "stories":
        text.write_text(sampled_stories(Path(rest[0])))
        return {"model": rest.pop(0), "text": text}
    task = decoder_task(Named(name="python-text"))
    text.write_bytes(task.test.astype("uint8").tobytes())  # type: ignore[union-attr]
    return {"task": {"name": "python-text"}, "decoder": {"layers": 16}, "text": text}


if __name__ == "__main__":
    where, subject, *others = sys.argv[1:]
    root = Path(where)
    root.mkdir(parents=True, exist_ok=True)
    chosen = settings(root, subject, others)
    chosen |= {"run": root / subject, "execution": {"executor": "serial"}}
    api.adapt(read_config(AdaptConfig, None, others, chosen))
    print(read_report(root / subject / "report")[0])
