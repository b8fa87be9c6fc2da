"""Reads a network's `architecture.json` and lists its files; imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput
from nas.core.files import read_text
from nas.core.json_text import parse_json

DESCRIPTION = "architecture.json"
MOST_WEIGHTS = 2**40  # bytes
REMEDY = "restore it from a copy, or write the network again"
HOW_TO = {  # load a file without this project
    "model.pt2": "PyTorch: `torch.export.load('model.pt2').module()(inputs)`.",
    "model.onnx": "ONNX: `onnxruntime.InferenceSession('model.onnx')`.",
    "model.py": "Your own class: `from model import load; network = load()`.",
}


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of a network's `architecture.json`; raises `BadInput` if it is damaged."""
    path = folder / DESCRIPTION
    described = parse_json(read_text(path, REMEDY), str(path), REMEDY)
    if not isinstance(described, dict):
        raise BadInput(f"{path} is damaged (not a JSON object): {REMEDY}")
    for key in ("takes", "failed"):
        if not isinstance(described.get(key, {}), dict):
            raise BadInput(f'{path} is damaged ("{key}" is not an object): {REMEDY}')
    return described


def file_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return a line for each file that takes inputs and for each that failed.

    facts: those of `Written`, or a description that holds them.
    """
    lines = [f"{file} takes {takes}" for file, takes in facts.get("takes", {}).items()]
    return lines + [f"{file} failed: {why}" for file, why in facts.get("failed", {}).items()]
