"""What became of a network's files, in lines; imports no torch."""

from collections.abc import Mapping
from typing import Any


def said_of(facts: Mapping[str, Any]) -> list[str]:
    """Return a line for each file that takes inputs and for each that failed.

    facts: those of `Written`, or a description that holds them.
    """
    lines = [f"{file} takes {takes}" for file, takes in facts.get("takes", {}).items()]
    return lines + [f"{file} failed: {why}" for file, why in facts.get("failed", {}).items()]
