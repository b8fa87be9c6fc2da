"""Rank correlation of hidden covariance with the authors' published values.

Run as `nas score --recipes FILE.jsonl --score hidden-covariance … --json > scores.jsonl`, then
`python tests/benchmarks/published_scores.py FILE.jsonl scores.jsonl`, where FILE.jsonl carries the
values as `ref_metrics.hcov1` to `hcov3`. Recipes with several ids count once.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr


def main(published: str, scored: str) -> None:
    rows = {row["id"]: row for row in map(json.loads, Path(published).read_text().splitlines())}
    ours = [json.loads(line) for line in Path(scored).read_text().splitlines()]
    print(f"{len(ours)} recipes, {sum(line['failed'] is not None for line in ours)} failed")
    distinct = {line["digest"]: line for line in reversed(ours) if line["failed"] is None}
    for layer in (1, 2, 3):
        name = f"hidden-covariance-{layer}"
        pairs = [
            (line["scores"][name], metrics[f"hcov{layer}"])
            for line in distinct.values()
            if (metrics := rows[line["id"]].get("ref_metrics")) and metrics[f"hcov{layer}"]
        ]
        a, b = np.array(pairs).T
        print(
            f"{name}: Kendall tau-b {kendalltau(a, b).statistic:.3f}, "
            f"Spearman rho {spearmanr(a, b).statistic:.3f}, "
            f"median relative difference {np.median(np.abs(a / b - 1)):.1%} (n = {len(a)})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
