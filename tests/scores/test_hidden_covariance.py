"""Hidden covariance agrees with the authors' formula, states and published values."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from kernels.cell.zoo import ZOO
from nas.api import score
from nas.core.registry import load_task
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.jobs.search.single import PUBLISHED_SIZE
from nas.scores.hidden_covariance import (
    HiddenCovariance,
    covariance_score,
    states_entering,
)
from nas.scores.recurrent import layer_outputs
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize

# Of the recipes with published values, five that span their range; all of them are compared by
# tests/benchmarks/published_scores.py.
FIVE = 5


def authors_score(states: np.ndarray) -> float:
    """Return the score as the notebook computes it; states `[B, H, T]`, as it stacks them."""
    rows = np.transpose(states, (1, 0, 2)).reshape(states.shape[1], -1)
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(rows))
    return -np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5))


def test_the_formula_agrees_with_the_authors_code() -> None:
    states = torch.randn(6, 40, 9, generator=torch.Generator().manual_seed(0))
    expected = authors_score(states.permute(0, 2, 1).double().numpy())
    assert covariance_score(states, layer=1) == pytest.approx(expected, rel=1e-9)


def test_independent_units_score_nearly_minus_their_number() -> None:
    states = torch.randn(200, 500, 10, generator=torch.Generator().manual_seed(0))
    assert covariance_score(states, layer=1) == pytest.approx(-10, abs=0.01)


def test_the_papers_form_compares_sequences() -> None:
    states = torch.randn(6, 40, 9, generator=torch.Generator().manual_seed(0))
    expected = authors_score(states.permute(1, 0, 2).double().numpy())
    found = covariance_score(states, layer=1, between="sequences")
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_states_before_each_step_count() -> None:
    outputs = torch.arange(1.0, 4.0).view(1, 3, 1)
    assert states_entering(outputs).flatten().tolist() == [0, 1, 2]


def test_a_unit_that_never_changes_is_named() -> None:
    states = torch.randn(4, 5, 6)
    states[:, :, 2] = 1
    with pytest.raises(ScoreFailed, match="layer 3: 1 of 6 units never change"):
        covariance_score(states, layer=3)


def test_a_layer_whose_states_are_not_finite_is_named() -> None:
    states = torch.full((2, 3, 4), float("inf"))
    with pytest.raises(ScoreFailed, match="layer 1 has values that are not finite"):
        covariance_score(states, layer=1)


def test_every_layer_is_scored_once_and_the_decoder_does_not_run() -> None:
    shape = ModelShape(DataShape("tokens", 50, 50, True), ModelSize(6, 8, 3))
    generator = torch.Generator().manual_seed(0)
    model = RnnCellSpace().build(read_recipe(ZOO["lstm"]), shape, generator).eval()
    model.decoder_bias = None  # running the decoder would fail
    tokens = torch.randint(50, (5, 20), generator=generator)
    outputs = layer_outputs(model, Batch(tokens, tokens))
    assert [tuple(y.shape) for y in outputs] == [(5, 20, 8), (5, 20, 8), (5, 20, 6)]
    values = HiddenCovariance()(model, Batch(tokens, tokens), generator)
    assert list(values) == [f"hidden-covariance-{i}" for i in (1, 2, 3)]
    assert not model._forward_hooks


def test_five_published_values_are_ranked_alike_at_full_size(
    data_folder: Path, tmp_path: Path
) -> None:
    lines = (data_folder / "nas" / "nas_bench_nlp_wt2.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if (row.get("ref_metrics") or {}).get("hcov1")]
    rows.sort(key=lambda row: row["ref_metrics"]["hcov1"])
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, FIVE).astype(int)]
    recipes = tmp_path / "cells.jsonl"
    recipes.write_text("".join(json.dumps(row) + "\n" for row in chosen))
    task = load_task("language-model", {"data": data_folder / "lang" / "wikitext-2"})
    scored = list(score(recipes, ["hidden-covariance"], task, PUBLISHED_SIZE))
    assert [line["id"] for line in scored] == [row["id"] for row in chosen]
    for layer in (1, 2, 3):
        ours = [line["scores"][f"hidden-covariance-{layer}"] for line in scored]
        theirs = [row["ref_metrics"][f"hcov{layer}"] for row in chosen]
        assert kendalltau(ours, theirs).statistic > 0.9
        ratios = np.array(ours) / np.array(theirs)
        assert np.median(np.abs(ratios - 1)) < 0.1
