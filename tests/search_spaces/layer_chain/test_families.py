"""Every decoder family of `transformers`: chains, their networks and their checkpoints agree."""

from pathlib import Path

import pytest
import torch

from tests.search_spaces.layer_chain.families import cells_of, families

QUICK = (
    *("llama", "gpt2", "bloom", "gptj", "falcon", "gpt_neo", "opt", "gemma2", "gemma3n_text"),
    *("gemma4_text", "llama4_text", "qwen3_moe", "deepseek_v3", "lfm2", "mamba", "gpt_oss"),
)
CANNOT_REORDER = {"gemma4_text": "layer_type", "deepseek_v3": "first_k_dense_replace"}


@pytest.mark.parametrize("family", QUICK)
def test_a_family_is_right_or_refused(family: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    for cell in cells_of(family, torch.bfloat16, tmp_path / "network"):
        if cell.chain == "reorder" and family in CANNOT_REORDER:
            assert CANNOT_REORDER[family] in cell.result
        else:
            assert cell.result == "equal", cell


@pytest.mark.slow
def test_no_family_is_silently_wrong(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    ran = set()
    for family in families():
        for cell in cells_of(family, torch.float32, tmp_path / "network"):
            assert "DIFFERS" not in cell.result, cell
            if cell.result == "equal":
                ran.add(family)
    assert len(ran) >= 32
