"""Runs the files of a folder where this project cannot be imported, and compares their answers.

A script: `nas/models/file_checks.py` starts it by its path, in a process of its own. It reads a
folder with `cases.pt` and `job.json`, and writes `found.json` there.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OURS = ("nas", "compress", "kernels", "search_spaces", "policies")


class Refusing:
    """A finder of modules that finds none of ours, whatever is installed."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{name} is imported, which is not there without the project")


def check(scratch: Path) -> None:
    """Run every file on every case; what came of each is a difference or a reason."""
    import torch  # while the files are still being written

    sys.stdin.readline()
    job = json.loads((scratch / "job.json").read_text())
    sys.path += [path for path in job["paths"] if path not in sys.path]
    cases = torch.load(scratch / "cases.pt", weights_only=True)
    folder = Path(job["folder"])
    found = {name: _outcomes(folder / name, cases) for name in job["files"]}
    (scratch / "found.json").write_text(json.dumps(found))


def _outcomes(file: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        run = RUNNERS[file.suffix](file)
    except Exception as error:  # whatever goes wrong is what came of it
        return [{"failed": first_line(error)}] * len(cases)
    return [_outcome(run, case) for case in cases]


def _outcome(run: Callable[..., Any], case: dict[str, Any]) -> dict[str, Any]:
    import torch

    expected = case["expected"]
    if expected is None:
        return {"failed": "the network itself does not take such inputs"}
    try:
        with torch.no_grad():
            found = list(_tensors(run(*case["args"], **case["kwargs"])))
    except Exception as error:  # of the network, or of what runs it
        return {"failed": first_line(error)}
    if [f.shape for f in found] != [e.shape for e in expected]:
        return {"failed": "the answers have other shapes"}
    pairs = [(f.double(), e.double()) for f, e in zip(found, expected, strict=True)]
    scale = max((float(e.abs().max()) for _, e in pairs if e.numel()), default=0.0)
    off = max((float((f - e).abs().max()) for f, e in pairs if e.numel()), default=0.0)
    return {"difference": off, "scale": scale}


def _program(file: Path) -> Callable[..., Any]:
    import torch

    return torch.export.load(file).module()


def _onnx(file: Path) -> Callable[..., Any]:
    import onnxruntime
    import torch

    onnxruntime.set_default_logger_severity(4)  # what fails is told, once
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(*args: Any, **kwargs: Any) -> list[Any]:
        read = list(_tensors((args, kwargs)))
        given = dict(zip(names, (tensor.numpy() for tensor in read), strict=True))
        return [torch.from_numpy(answer) for answer in session.run(None, given)]

    return run


def _own_code(file: Path) -> Callable[..., Any]:
    import runpy

    return runpy.run_path(str(file))["load"]()


RUNNERS: dict[str, Callable[[Path], Callable[..., Any]]] = {
    ".pt2": _program,
    ".onnx": _onnx,
    ".py": _own_code,
}


def _tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors in tuples, lists and dictionaries, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, "numpy"):
        yield value


def first_line(error: Exception) -> str:
    """Return the kind of an error and the first line of its message."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {said[0] if said else 'no reason given'}"[:300]


if __name__ == "__main__":
    sys.meta_path.insert(0, Refusing())  # type: ignore[arg-type]
    check(Path(sys.argv[1]))
