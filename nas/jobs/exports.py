"""Exports the network that a run of any kind found, to a folder of the user's choice."""

from pathlib import Path
from typing import Any

from nas.core.errors import BadInput, NasError
from nas.loop.run_file import read_run_file
from nas.models.description import DESCRIPTION, read_description

KEPT = {"compress": "student", "sweep": "pruned", "adapt": "static"}  # folders of a run


def export_run(folder: Path, to: Path, number: int | None) -> dict[str, Any]:
    """Write or copy a run's network; see `nas.api.export`."""
    kind = read_run_file(folder).kind
    if kind == "search":
        from nas.jobs.search.single import export_candidate

        return export_candidate(folder, to, number)
    kept = folder / KEPT[kind]
    if not kept.is_dir():
        raise BadInput(f"{folder} has no network to export yet: let `nas {kind}` finish first")
    if kind == "sweep":
        kept = _row(folder, kept, number)
    return {"candidate": number, **_copied(folder, kept, to)}


def _copied(folder: Path, kept: Path, to: Path) -> dict[str, Any]:
    """Copy a network's files, and write programs where it has none and they can be had."""
    from nas.jobs.sweep.config import SweepConfig
    from nas.models.model_files import copied  # imports torch

    facts, about = copied(kept, to), read_run_file(folder)
    if about.kind == "sweep" and "model.pt2" not in facts["files"]:
        from nas.jobs.sweep.run import add_row_programs

        try:
            written = add_row_programs(SweepConfig(**about.settings), to)
        except NasError as error:
            return {**facts, "failed": {"model.pt2": f"the data are needed: {error}"}}
        return {**facts, "files": [*facts["files"], *written.takes], **written.facts()}
    if not (to / DESCRIPTION).exists():
        return facts
    told = read_description(to)
    return {**facts, **{key: told[key] for key in ("takes", "failed") if key in told}}


def _row(folder: Path, rows: Path, number: int | None) -> Path:
    """Return the folder of a sweep's row; raises `BadInput` if there is no such row."""
    known = sorted(int(row.name) for row in rows.iterdir())
    if number not in known:
        raise BadInput(
            f"{folder} is a sweep: choose a row from {known[0]} to {known[-1]} with --candidate; "
            f"{folder / 'report' / 'rows.csv'} lists them"
        )
    return rows / f"{number:04d}"
