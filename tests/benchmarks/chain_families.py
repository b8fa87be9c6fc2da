"""Prints for every decoder family of `transformers` whether chains of its layers are right.

python -m tests.benchmarks.chain_families [DTYPE …] >tests/benchmarks/results/chain_families.md
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from tests.search_spaces.layer_chain.families import CHAINS, Cell, cells_of, families

DTYPES = ("float32", "bfloat16", "float16")


def line(cells: list[Cell]) -> str:
    """Return the table's row of one family and dtype."""
    first = cells[0]
    if not first.chain:
        return f"| {first.family} | {first.dtype} | – | {first.result} |"
    cached = "slots" if first.cached else "none"
    results = "; ".join(cell.result for cell in cells)
    if all(cell.result == "equal" for cell in cells):
        results = "equal"
    return f"| {first.family} | {first.dtype} | {cached} | {results} |"


def main(dtypes: list[str]) -> None:
    counts: dict[str, Counter[str]] = {dtype: Counter() for dtype in dtypes}
    print("| family | dtype | cache by call | " + ", ".join(CHAINS) + " |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for family in families():
            for dtype in dtypes:
                cells = list(cells_of(family, getattr(torch, dtype), Path(folder) / "network"))
                print(line(cells), flush=True)
                for result in {cell.result.partition(":")[0].split(" in ")[0] for cell in cells}:
                    counts[dtype][result] += 1
    print()
    for dtype, results in counts.items():
        print(f"{dtype}: families by result of at least one chain: {dict(results)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:] or list(DTYPES))
