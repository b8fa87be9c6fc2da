"""The results of an adaptation, for its report and its caller."""

from dataclasses import dataclass
from pathlib import Path

from nas.core.files import read_bytes, read_text, undamaged
from nas.jobs.adapt.config import By
from nas.jobs.adapt.job import found_from_bytes
from nas.jobs.adapt.oracle import Found
from nas.jobs.adapt.shared_chains import SharedChains
from nas.loop.candidate import Candidate, candidates_in, checkpoint_of
from nas.loop.run_file import read_run_file

SHARED = "shared_chains.json"
SHARED_REMEDY = "run the same command again, which writes it"
FOUND_REMEDY = "delete its folder, and the command of the run searches these samples again"


@dataclass(frozen=True)
class AdaptSummary:
    """The results of an adaptation.

    folder: the run's folder. depth: the layers of the full chain.
    found: one result per sample. failed: why groups of samples failed.
    layer_calls: the searches' layer calls, each on one row of tokens; `layer_calls_naive`: those
        that running the same chains one after another would take.
    shared: the chains and the router that serve all inputs.
    seconds: of the whole run. search_seconds: of the searches, summed over workers.
    """

    folder: Path
    model: str
    depth: int
    simulations: int
    by: By
    found: tuple[Found, ...]
    failed: tuple[str, ...]
    layer_calls: int
    layer_calls_naive: int
    shared: SharedChains
    seconds: float = 0.0
    search_seconds: float = 0.0

    @property
    def groups(self) -> dict[str, list[Found]]:
        """Samples by difficulty, easiest first; one group if items have none."""
        groups: dict[str, list[Found]] = {}
        for one in self.found:
            groups.setdefault(one.difficulty, []).append(one)
        return dict(sorted(groups.items()))


def read_adaptation(folder: Path) -> AdaptSummary:
    """Return an adaptation's results, finished or not; raises `BadInput` if there is no run."""
    about, candidates = read_run_file(folder), candidates_in(folder)
    done = [c for c in candidates if c.rungs]
    file = folder / SHARED
    return AdaptSummary(
        folder=folder,
        model=about.details["model"],
        depth=about.details["depth"],
        simulations=about.settings["simulations"],
        by=about.settings["by"],
        found=tuple(one for c in done for one in _found(folder, c)),
        failed=tuple(c.failed for c in candidates if c.failed),
        layer_calls=int(sum(c.measures["layer_calls"] for c in done)),
        layer_calls_naive=int(sum(c.measures["layer_calls_naive"] for c in done)),
        shared=_shared(file) if file.exists() else SharedChains(),
        seconds=about.seconds,
        search_seconds=sum(c.rungs[-1].seconds for c in done),
    )


def _found(folder: Path, candidate: Candidate) -> list[Found]:
    path = checkpoint_of(folder, candidate)
    data = read_bytes(path, FOUND_REMEDY)
    with undamaged(path, FOUND_REMEDY):
        return found_from_bytes(data)


def _shared(file: Path) -> SharedChains:
    text = read_text(file, SHARED_REMEDY)
    with undamaged(file, SHARED_REMEDY):
        return SharedChains.from_json(text)
