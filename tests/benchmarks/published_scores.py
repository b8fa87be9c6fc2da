"""Correlates scores with the authors' published values and with trained losses.

Run as `nas score --recipes FILE.jsonl --score hidden-covariance … --json > scores.jsonl`, then
`python tests/benchmarks/published_scores.py FILE.jsonl scores.jsonl`, where FILE.jsonl has the
values as `ref_metrics` and the losses as `last_test`. Recipes with several ids count once. The
shipped fit of predicted-loss has seen these losses, so use `nas bench scores` to judge it.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr

COLUMNS = {
    "hidden-covariance-1": "hcov1",
    "hidden-covariance-2": "hcov2",
    "hidden-covariance-3": "hcov3",
    "jacobian-cosine": "jac_cos",
    "noised-jacobian-cosine-more": "mn_jac_cos",
    "activation-distance": "act_dist",
    "hidden-saliency": "hid_sal",
    "synaptic-saliency": "syn_sal",
}


def main(published: str, scored: str) -> None:
    rows = {row["id"]: row for row in map(json.loads, Path(published).read_text().splitlines())}
    ours = [json.loads(line) for line in Path(scored).read_text().splitlines()]
    print(f"{len(ours)} recipes, {sum(line['failed'] is not None for line in ours)} failed")
    distinct = {line["digest"]: line for line in reversed(ours) if line["failed"] is None}
    losses: dict[str, list[float]] = {}
    for line in ours:
        if (loss := rows[line["id"]]["last_test"]) is not None:
            losses.setdefault(line["digest"], []).append(loss)
    for name in next(iter(distinct.values()))["scores"]:
        pairs = [
            (line["scores"][name], np.mean(losses[digest]))
            for digest, line in distinct.items()
            if digest in losses
        ]
        a, b = np.array(pairs).T
        print(f"{name}: Kendall tau-b {kendalltau(a, b).statistic:+.3f} with the last test loss")
    for name, column in COLUMNS.items():
        pairs = [
            (line["scores"][name], metrics[column])
            for line in distinct.values()
            if name in line["scores"]
            and (metrics := rows[line["id"]].get("ref_metrics"))
            and metrics.get(column)
        ]
        if not pairs:
            continue
        a, b = np.array(pairs).T
        print(
            f"{name}: Kendall tau-b {kendalltau(a, b).statistic:.3f}, "
            f"Spearman rho {spearmanr(a, b).statistic:.3f}, "
            f"median relative difference {np.median(np.abs(a / b - 1)):.2%} (n = {len(a)})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
