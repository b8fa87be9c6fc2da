"""Do the survivors of a search beat random cells trained with the same budget?

Run as `python tests/benchmarks/search_quality.py [--task NAME] [--data PATH] [--seeds 3]`. For each
seed, 4 survivors of 64 candidates and 4 random unscored cells train with the same rungs. Prints
both groups' validation perplexities, mean ± standard error over the seeds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import nas
from nas.loop.candidate import Candidate

MODEL = {"embedding": 64, "hidden": 128, "layers": 2}


def at_first_rung(candidates: tuple[Candidate, ...]) -> list[float]:
    """Return the perplexities of all trained candidates after the first rung."""
    return sorted(c.rungs[0].metric for c in candidates if c.rungs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="python-text")
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    task = {"name": options.task} | ({"data": options.data} if options.data else {})
    rows = []
    for seed in range(options.seeds):
        common = {
            "task": task,
            "model": MODEL,
            "training": {"steps": options.steps, "rungs": 1},
            "survivors": 4,
            "seed": seed,
        }
        with tempfile.TemporaryDirectory() as folder:
            searched = nas.search(candidates=64, run=Path(folder) / "searched", **common)
            random = nas.search(
                candidates=4,
                scores=[],
                controller="random",
                run=Path(folder) / "random",
                **common,
            )
        survivors, others = at_first_rung(searched.candidates), at_first_rung(random.candidates)
        rows.append(
            {
                "seed": seed,
                "survivors": survivors,
                "random": others,
                "survivors_median": statistics.median(survivors),
                "random_median": statistics.median(others),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    for name in ("survivors_median", "random_median"):
        values = [row[name] for row in rows]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(f"{name}: {statistics.mean(values):.3f} ± {error:.3f} (n = {len(values)})")
    best = [row["survivors"][0] for row in rows]
    print(f"best survivor: {statistics.mean(best):.3f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
