"""Ray's workers do not import another package named nas from the current folder."""

from pathlib import Path

import pytest

from nas.execution.ray import NoRay, RayExecutor


def test_a_cluster_is_not_joined_from_a_folder_with_another_nas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "nas" / "__init__.py"
    other.parent.mkdir()
    other.touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoRay, match=str(other)):
        RayExecutor(address="auto")
