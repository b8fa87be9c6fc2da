"""A forest of regression trees, stored as plain numbers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from nas.core.files import DAMAGE

TREES = 50
SMALLEST_LEAF = 4
SHARE_OF_FEATURES = 0.4
DIGITS = 6  # precision of the numbers in a file

NOTHING = -1  # the child of a leaf


@dataclass(frozen=True)
class Forest:
    """Predicts the mean of regression trees.

    names: the features, in order.
    trees: for each tree, the columns `feature`, `threshold`, `left`, `right` and `value`, with one
        row per node, the root first; a leaf has the children -1. A value up to the threshold goes
        left.
    """

    names: tuple[str, ...]
    trees: tuple[Mapping[str, Sequence[float]], ...]

    @classmethod
    def fit(
        cls, rows: Sequence[Mapping[str, float]], targets: Sequence[float], seed: int = 0
    ) -> "Forest":
        """Return extremely randomised trees fitted to the rows: Geurts et al. 2006,
        https://doi.org/10.1007/s10994-006-6226-1."""
        names = tuple(rows[0])
        model = ExtraTreesRegressor(
            TREES,
            min_samples_leaf=SMALLEST_LEAF,
            max_features=SHARE_OF_FEATURES,
            random_state=seed,
        ).fit([[row[name] for name in names] for row in rows], targets)
        return cls(names, tuple(_columns(tree.tree_) for tree in model.estimators_))

    def predict(self, row: Mapping[str, float]) -> float:
        """Return the prediction for a row; raises `KeyError` for a missing feature."""
        values = [row[name] for name in self.names]
        return float(np.mean([_leaf(tree, values) for tree in self.trees]))

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the forest; `about` tells readers of the file where the numbers come from."""
        text = json.dumps({"about": about, "names": self.names, "trees": self.trees})
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Forest":
        """Return the forest in a file; raises `ValueError` if there is none."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            trees = tuple(map(_checked, found["trees"]))
            return cls(tuple(map(str, found["names"])), trees)
        except (OSError, *DAMAGE) as error:
            raise ValueError(f"{path} is not a fitted score: {error!r}") from None


def _checked(tree: Any) -> Mapping[str, Sequence[float]]:
    """Return the tree; raises `ValueError` for a node whose children do not follow it."""
    for node, children in enumerate(zip(tree["left"], tree["right"], strict=True)):
        if tree["left"][node] != NOTHING and not node < min(children) <= max(children) < len(
            tree["left"]
        ):
            raise ValueError(f"node {node} has the children {children}")
    return tree


def _columns(tree: Any) -> dict[str, list[float]]:
    def rounded(numbers: np.ndarray) -> list[float]:
        return [float(f"{number:.{DIGITS}g}") for number in numbers]

    return {
        "feature": tree.feature.tolist(),
        "threshold": rounded(tree.threshold),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "value": rounded(tree.value.ravel()),
    }


def _leaf(tree: Mapping[str, Sequence[float]], values: Sequence[float]) -> float:
    node = 0
    while tree["left"][node] != NOTHING:
        left = values[int(tree["feature"][node])] <= tree["threshold"][node]
        node = int(tree["left" if left else "right"][node])
    return tree["value"][node]
