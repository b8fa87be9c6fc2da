"""Whether files of a network answer as it does, asked in a process without this project."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.models.inputs import Inputs

SCRIPT = Path(__file__).with_name("without_us.py")
TOLERANCE = 1e-4  # of the largest answer


@dataclass
class Written:
    """What came of the files of a network.

    takes: by file, what inputs it was shown to take. failed: by file, why it cannot be used.
    difference: the largest between an answer of a file and the network's.
    """

    takes: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    difference: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what `--json` and `architecture.json` say."""
        return {"takes": self.takes, "failed": self.failed}


class Checker:
    """A process without this project, that imports what it needs while files are written.

    Use it in a `with` block, and call `check` once.
    """

    def __enter__(self) -> "Checker":
        self._scratch = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SCRIPT), self._scratch.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._scratch.cleanup()

    def check(
        self, model: nn.Module, inputs: Inputs, folder: Path, names: Sequence[str], written: Written
    ) -> None:
        """Compare files with the model, and note in `written` what each takes or why it fails.

        inputs: shown one by one, three at a time, and, sequences, in another length.
        """
        cases = _cases(model, inputs)
        scratch = Path(self._scratch.name)
        torch.save(cases, scratch / "cases.pt")
        job = {"folder": str(folder.resolve()), "files": list(names), "paths": sys.path}
        (scratch / "job.json").write_text(json.dumps(job))
        _, said = self._process.communicate("go\n")
        if self._process.returncode:
            last = (said.strip().splitlines() or ["no reason given"])[-1]
            found = {
                name: [{"failed": f"the process that runs it ended: {last}"}] for name in names
            }
        else:
            found = json.loads((scratch / "found.json").read_text())
        for name, outcomes in found.items():
            _note(name, outcomes, inputs, written)


def _cases(model: nn.Module, inputs: Inputs) -> list[dict[str, Any]]:
    """Return inputs with the model's answers; without them if it does not take such inputs."""
    others = [inputs.examples(3), *([inputs.other_length()] if inputs.steps else [])]
    cases = [_case(model, inputs.examples(1))]
    for other in others:
        try:
            cases.append(_case(model, other))
        except Exception:  # the network is the user's: it may refuse in any way
            cases.append({"expected": None})
    return cases


def _case(model: nn.Module, inputs: Inputs) -> dict[str, Any]:
    expected = inputs.answers(model)
    return {"args": inputs.args, "kwargs": dict(inputs.kwargs), "expected": expected}


def _note(name: str, outcomes: list[dict[str, Any]], inputs: Inputs, written: Written) -> None:
    """Note what a file takes, or why it cannot be used.

    outcomes: for one example, three, and another length, where that was tried.
    """
    wrong = [reason for outcome in outcomes if (reason := _wrong(outcome))]
    reason = outcomes[0].get("failed") or next(iter(wrong), None)
    if reason is not None:
        written.failed[name] = reason
        return
    written.takes[name] = _takes(inputs, *("difference" in outcome for outcome in outcomes[1:]))
    found = [outcome["difference"] for outcome in outcomes if "difference" in outcome]
    written.difference = max(written.difference, *found)


def _wrong(outcome: dict[str, Any]) -> str | None:
    """Return why answers are not the model's; None if they are, or if there are none."""
    if "failed" in outcome or outcome["difference"] <= TOLERANCE * outcome["scale"]:
        return None
    return f"it answers differently: off by {outcome['difference']:.2g} of {outcome['scale']:.2g}"


def _takes(inputs: Inputs, any_number: bool, any_length: bool = False) -> str:
    if not inputs.steps:
        return "any number of inputs" if any_number else "one input at a time"
    number = "any number of sequences" if any_number else "one sequence at a time"
    length = "of any length" if any_length else f"of {inputs.first.shape[1]} steps only"
    return f"{number} {length}"
