"""The results of a depth reduction, for its report and its caller."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.jobs.adapt.config import Healing
from nas.jobs.adapt.speed import Speed
from nas.jobs.adapt.static import METHODS, Method
from nas.jobs.adapt.text.evaluator import TextGrade
from nas.jobs.adapt.text.job import Depth, depth_from, depths_from_bytes, method_of
from nas.loop.candidate import candidates_in
from nas.loop.run_file import read_run_file
from search_spaces.layer_chain.chain import Chain

FILE = "depths.json"


@dataclass(frozen=True, slots=True)
class Healed:
    """A chain that was trained, with its grades on the test windows before and after."""

    way: Healing
    chain: Chain
    before: TextGrade
    after: TextGrade


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chain to use, what was healed, and speeds of the full chain, this one and the healed.

    settings: of the stages that found them.
    """

    settings: Mapping[str, Any]
    method: str
    depth: Depth
    full: Depth
    healed: tuple[Healed, ...]
    speeds: tuple[Speed, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True)
class TextSummary:
    """The results of a depth reduction.

    depths: by method, a chain of every length. chosen: None until the run is finished.
    graded: by method, the chains that it graded.
    """

    folder: Path
    model: str
    text: str
    depths: Mapping[Method, list[Depth]]
    graded: dict[str, int]
    failed: tuple[str, ...]
    chosen: Chosen | None
    seconds: float


def read_depths(folder: Path) -> TextSummary:
    """Return the results of a depth reduction, finished or not."""
    about, candidates = read_run_file(folder), candidates_in(folder)
    done = {method_of(c.architecture): c for c in candidates if c.rungs}
    file = folder / FILE
    return TextSummary(
        folder=folder,
        model=about.details["model"],
        text=about.settings["text"],
        depths={
            method: depths_from_bytes((folder / done[method].rungs[-1].checkpoint).read_bytes())
            for method in METHODS
            if method in done
        },
        graded={method: int(c.measures["chains_graded"]) for method, c in done.items()},
        failed=tuple(c.failed for c in candidates if c.failed),
        chosen=_chosen(json.loads(file.read_text())) if file.exists() else None,
        seconds=about.seconds,
    )


def _chosen(data: dict[str, Any]) -> Chosen:
    return Chosen(
        data["settings"],
        data["method"],
        depth_from(data["depth"]),
        depth_from(data["full"]),
        tuple(
            Healed(h["way"], tuple(h["chain"]), TextGrade(**h["before"]), TextGrade(**h["after"]))
            for h in data["healed"]
        ),
        tuple(Speed(**one) for one in data["speeds"]),
    )
