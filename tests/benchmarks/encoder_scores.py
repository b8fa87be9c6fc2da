"""Times every encoder score on 32 x 128 bytes, and correlates it with the layer count.

python -m tests.benchmarks.encoder_scores [architectures]
"""

import sys
import time

import numpy as np
import torch
from scipy.stats import kendalltau

from nas.core.registry import create
from nas.core.score import ScoreFailed
from nas.tasks.masked_text import load_masked_language_model
from search_spaces import genome
from search_spaces.space import ModelShape, ModelSize
from search_spaces.transformer.space import TransformerSpace
from search_spaces.transformer.spec import encoder_of

NAMES = (
    "head-confidence",
    "softmax-confidence",
    "head-importance",
    "synaptic-diversity",
    "encoder-activation-distance",
    "layers",
    "parameters",
)


def main(architectures: int) -> None:
    torch.set_num_threads(1)
    space, task = TransformerSpace(), load_masked_language_model()
    batch = task.score_batch(0)
    shape = ModelShape(task.shape, ModelSize(embedding=128))
    rows: dict[str, list[tuple[int, int, float, float]]] = {name: [] for name in NAMES}
    failures: dict[str, list[str]] = {name: [] for name in NAMES}
    for seed in range(architectures):
        architecture, _ = genome.sample(space, np.random.default_rng(seed))
        encoder = encoder_of(architecture)
        model = space.build(architecture, shape, torch.Generator().manual_seed(seed)).eval()
        for name in NAMES:
            started = time.perf_counter()
            try:
                value = create("scores", name)(model, batch, torch.Generator().manual_seed(0))
            except ScoreFailed as error:
                failures[name].append(str(error))
                continue
            seconds = time.perf_counter() - started
            rows[name].append((encoder.hidden, len(encoder.layers), value[name], seconds))
    print(f"{'score':28} {'ran':>4} {'failed':>6} {'s, 128':>7} {'s, 256':>7} {'tau, layers':>11}")
    for name, seen in rows.items():
        narrow, wide = (np.mean([r[3] for r in seen if r[0] == h] or [np.nan]) for h in (128, 256))
        tau = kendalltau([r[1] for r in seen], [r[2] for r in seen]).statistic
        print(
            f"{name:28} {len(seen):4} {len(failures[name]):6} {narrow:7.2f} {wide:7.2f} {tau:11.2f}"
        )
        for reason in sorted(set(failures[name])):
            print(f"  failed: {reason}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
