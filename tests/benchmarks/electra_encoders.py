"""Do scores of untrained encoders rank 380 trained ones by their results on GLUE?

python -m tests.benchmarks.electra_encoders electra_encoders_glue.jsonl [--values FILE] [--limit N]

The file holds ELECTRA encoders of Serianni and Kalita's benchmark, a line each: id, hidden_size,
encoder_layers, scores. First come rules that count parts of a recipe, then the scores of
`nas search`, computed on the encoder of the space `transformer` that the recipe describes. --values
keeps them; started again, it goes on. Prints rank correlations with the mean GLUE score, and the
mean tau-b of the four groups of equal depth and hidden size, with 95 % bootstrap intervals: for all
encoders, for the first 260, on which rules may be chosen, and for the last 120.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.bench.bootstrap import with_interval
from nas.bench.ranks import spearman
from nas.core.json_text import json_lines
from nas.core.registry import create_score
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.tasks.masked_text import load_masked_language_model
from search_spaces.architecture import Architecture
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.space import TransformerSpace
from search_spaces.transformer.spec import EncoderSpec, encoder_of

CHOSEN_ON = 260  # encoders at the file's start
SEQUENCES, STEPS = 8, 64  # of the batch that scores see
NAMES = {"SA": "self-attention", "LT": "linear-transform", "DSC": "span-convolution"}
NAMES |= {"SDP": "scaled-dot-product", "WMA": "weighted-multiplicative", "DFT": "dft", "DCT": "dct"}
KEYS = ("operation_type", "operation_parameter", "num_operation_heads", "feed_forward_dimension")
SCORES: tuple[str, ...] = (
    *("parameters", "flops", "head-confidence", "softmax-confidence", "head-importance"),
    *("synaptic-diversity", "encoder-activation-distance", "gradient-norm"),
)
PARTS = {"": slice(None), "first ": slice(CHOSEN_ON), "last ": slice(CHOSEN_ON, None)}
Array = NDArray[np.float64]


def _sum(encoder: EncoderSpec, field: str, end: int | None = None) -> int:
    return sum(getattr(layer, field) for layer in encoder.layers[:end])


def _mixed(encoder: EncoderSpec) -> int:
    return _sum(encoder, "heads") + _sum(encoder, "feed_forwards", -1)


def _sized(encoder: EncoderSpec) -> float:
    return 1000 * len(encoder.layers) + encoder.hidden


RULES: dict[str, Callable[[EncoderSpec], float]] = {
    "layers": lambda e: len(e.layers),
    "hidden size": lambda e: e.hidden,
    "layers, then hidden size": _sized,
    "self-attentions": lambda e: sum(layer.mixing == "self-attention" for layer in e.layers),
    "feed-forward sizes": lambda e: _sum(e, "feed_forward_size"),
    "heads": lambda e: _sum(e, "heads"),
    "feed-forwards": lambda e: _sum(e, "feed_forwards"),
    "feed-forwards before the last layer": lambda e: _sum(e, "feed_forwards", -1),
    "heads + feed-forwards": lambda e: _sum(e, "heads") + _sum(e, "feed_forwards"),
    "heads + feed-forwards before the last layer": _mixed,
    "layers, hidden size, then these": lambda e: _sized(e) + _mixed(e) / 100,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", type=Path)
    parser.add_argument("--values", type=Path)
    parser.add_argument("--limit", type=int, help="compute scores of the first LIMIT encoders only")
    asked = parser.parse_args()
    rows = [row for _, row in json_lines(asked.encoders)]
    encoders = [encoder_of(Architecture("transformer", _spec(row))) for row in rows]
    glue = np.array([row["scores"]["glue"] for row in rows])
    columns = {name: np.array([rule(e) for e in encoders], float) for name, rule in RULES.items()}
    if asked.values:
        kept, unknown = _scored(asked.values, rows[: asked.limit]), dict.fromkeys(SCORES, math.nan)
        columns |= {
            name: np.array([kept.get(row["id"], unknown)[name] for row in rows]) for name in SCORES
        }
    groups = columns["layers, then hidden size"]
    for title, part in PARTS.items():
        _print(
            f"{title}{len(glue[part])} encoders",
            {name: column[part] for name, column in columns.items()},
            glue[part],
            groups[part],
        )


def _spec(row: dict[str, Any]) -> Any:
    layers = [
        [*(NAMES.get(layer[key], layer[key]) for key in KEYS), layer["num_feed_forward"]]
        for layer in row["encoder_layers"]
    ]
    return row["hidden_size"], tuple(map(tuple, layers))


def _scored(path: Path, rows: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Return the scores of every encoder by its id, and append to the file those that it lacks."""
    torch.set_num_threads(1)
    task = load_masked_language_model(score_batch=SEQUENCES, score_window=STEPS)
    batch = task.score_batch(0)
    kept = {row["id"]: row for _, row in json_lines(path)} if path.exists() else {}
    for row in rows:
        if row["id"] not in kept:
            found = _scores(Architecture("transformer", _spec(row)), task.shape, batch)
            kept[row["id"]] = {"id": row["id"], **found}
            with path.open("a") as file:
                file.write(json.dumps(kept[row["id"]]) + "\n")
    return kept


def _scores(architecture: Architecture, data: DataShape, batch: Batch) -> dict[str, float]:
    """Return every score of the untrained encoder; NaN for one that fails."""
    shape, generator = ModelShape(data, ModelSize(embedding=128)), torch.Generator().manual_seed(0)
    model = TransformerSpace().build(architecture, shape, generator).eval()
    found = dict.fromkeys(SCORES, math.nan)
    for name in SCORES:
        try:
            value = create_score(name)(model, batch, torch.Generator().manual_seed(0))[name]
            found[name] = float(f"{value:.6g}")
        except ScoreFailed as error:
            print(f"{name}: {error}")
    return found


def _print(title: str, columns: dict[str, Array], glue: Array, groups: Array) -> None:
    print(f"\n**{title}**\n\n| | tau-b | rho | tau-b within a size | n |\n|---|---|---|---|---|")
    for name, column in columns.items():
        known = np.isfinite(column)
        a, b, sizes = column[known], glue[known], groups[known]
        found = (_cell(_tau, a, b), _cell(spearman, a, b), _cell(_within, a, b, sizes))
        print(f"| {name} | " + " | ".join(found) + f" | {len(a)} |", flush=True)


def _tau(a: Array, b: Array) -> float | None:
    tau: Any = kendalltau(a, b)[0] if len(a) > 2 else math.nan
    return None if math.isnan(tau) else float(tau)


def _within(a: Array, b: Array, groups: Array) -> float | None:
    """Return the mean of the groups' tau-b, weighted by their sizes."""
    masks = [groups == i for i in np.unique(groups)]
    found = [(tau, m.sum()) for m in masks if (tau := _tau(a[m], b[m])) is not None]
    return sum(tau * n for tau, n in found) / sum(n for _, n in found) if found else None


def _cell(statistic: Callable[..., float | None], *columns: Array) -> str:
    value, low, high = with_interval(statistic, np.random.default_rng(0), *columns)
    return "–" if value is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
