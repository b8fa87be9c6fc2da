"""Compares sweeps of the Reber grammar with the thesis that they reproduce.

python tests/benchmarks/reber_pruning.py SWEEP.json …

Each file is the output of `nas sweep … --json`: a cell's levels 0.1 to 0.9 with three epochs of
recovery, or its level 1 with ten. Prints, for cells, weights and levels, the accuracy right after
pruning in per cent, mean over seeds, followed by the epochs until it was within a point of the
unpruned network, for each seed, – for never. The row below is the thesis (Darji 2024,
https://arxiv.org/abs/2407.20601, recomputed from its published tables; one seed, 10 epochs).
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
THESIS = {
    ("tanh", "both"): ("93.7", "93.7", "93.3", "91.9 1", "65.6 2", "49.4 –"),
    ("tanh", "i2h"): ("93.7", "93.7", "93.1", "81.4 1", "49.4 3", "49.4 –"),
    ("tanh", "h2h"): ("93.7", "93.7", "92.6", "93.7 1", "72.0 1", "49.4 –"),
    ("relu", "both"): ("99.8", "99.3", "98.6", "54.9 1", "50.3 1", "50.6 –"),
    ("relu", "i2h"): ("100", "100", "100", "95.0 1", "90.5 1", "50.6 –"),
    ("relu", "h2h"): ("100", "99.7", "99.1", "64.9 1", "46.4 1", "50.6 –"),
    ("lstm", "both"): ("100", "100", "80.3 1", "66.8 1", "49.5 1", "50.6 –"),
    ("lstm", "i2h"): ("100", "100", "99.2", "94.6 1", "62.1 1", "50.6 –"),
    ("lstm", "h2h"): ("100", "100", "100", "99.9", "95.3 1", "52.1 2"),
    ("gru", "both"): ("100", "100", "99.8", "99.4", "55.1 1", "50.6 –"),
    ("gru", "i2h"): ("100", "100", "100", "99.7", "87.6 1", "50.6 –"),
    ("gru", "h2h"): ("100", "99.8", "99.3", "95.6 1", "95.1 1", "57.3 2"),
}


def main(files: list[Path]) -> None:
    rows: dict[tuple[str, str, float], list[dict[str, Any]]] = defaultdict(list)
    dense: dict[str, list[float]] = defaultdict(list)
    for file in files:
        facts = json.loads(file.read_text())
        cell = facts["model"].removeprefix("reber-")
        for row in facts["rows"]:
            rows[cell, row["what"], row["level"]].append(row)
            dense[cell].append(row["metric_dense"])
    print("| cell (dense) | what | " + " | ".join(f"{level:.0%}" for level in LEVELS) + " |")
    print("|---" * (2 + len(LEVELS)) + "|")
    for (cell, what), published in THESIS.items():
        if cell not in dense:
            continue
        ours = [_cell(rows[cell, what, level]) for level in LEVELS]
        print(f"| {cell} ({mean(dense[cell]):.1%}) | {what} | " + " | ".join(ours) + " |")
        theirs = [*["never hurts"] * 4, *published]
        print("| *thesis* | | " + " | ".join(f"*{figure}*" for figure in theirs) + " |")


def _cell(rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if not row["failed"]]
    if not known:
        return ""
    accuracy = 100 * mean(row["metric_before"] for row in known)
    epochs = ["–" if row["recovery_epochs"] is None else row["recovery_epochs"] for row in known]
    return f"{accuracy:.1f} " + "/".join(map(str, epochs))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
