"""The explorers of an adaptation: what serves all inputs, and the chains of single samples."""

import math
from collections.abc import Iterator, Sequence

from nas.jobs.adapt.oracle import Found
from nas.jobs.adapt.shared_chains import SharedChains
from nas.jobs.adapt.summary import AdaptSummary
from nas.reporting.explorer import Cell, Column, Explorer, Graph, Row, failed_rows
from search_spaces.layer_chain.chain import Chain

Z = 1.96
ERROR = "half of the 95 % interval"


def shared_explorer(summary: AdaptSummary) -> Explorer:
    """Return the explorer of all ways to serve all inputs, judged on the held-out items."""
    rows = [
        Row(number, label, "trained", {"#": number, **cells}, None, None, _graph(chain))
        for number, (label, chain, cells) in enumerate(_ways(summary.shared))
    ]
    return Explorer(
        title="What serves all inputs",
        noun="way",
        columns=[
            Column("#", ""),
            Column("right", "result", "pass@1", 1, ERROR),
            Column("right by chance", "result", "share of items"),
            Column("layer calls", "cost", "per item", -1),
            Column("tokens written", "cost", "per second", 1),
            Column("kind", "decision"),
            Column("chain", "decision"),
            Column("held-out items", "cost"),
            Column(ERROR, ""),
        ],
        rows=rows,
        table=["kind", "right", "layer calls", "right by chance", "tokens written", "chain"],
        axes=["kind", "layer calls", "right"],
        x="layer calls",
        y="right",
        colour="right",
        sort=("right", True),
        by_label=True,
    )


def sample_explorer(summary: AdaptSummary) -> Explorer:
    """Return the explorer of the samples, each with its shortest right chain."""
    rows = [_sample(number, one) for number, one in enumerate(summary.found)]
    failed = failed_rows("a group of samples", summary.failed, len(rows))
    return Explorer(
        title="Samples",
        noun="sample",
        columns=[
            Column("#", ""),
            Column("shortest right chain", "result", "layer calls", -1),
            Column("right with the full chain", "result"),
            Column("share of right chains", "result", "", 1),
            Column("right by a random change", "result", "share of changes"),
            Column("chains tried", "cost"),
            Column("difficulty", "decision"),
            Column("chain", "decision"),
        ],
        rows=[*rows, *failed],
        table=["difficulty", "right with the full chain", "shortest right chain", "chains tried"],
        axes=["difficulty", "chains tried", "share of right chains", "shortest right chain"],
        x="difficulty" if any(one.difficulty for one in summary.found) else "#",
        y="shortest right chain",
        colour="shortest right chain",
    )


def _ways(shared: SharedChains) -> Iterator[tuple[str, Chain, dict[str, Cell]]]:
    """Yield the label, the chain if it is one chain for all, and the cells of each way."""
    for key, one in shared.judgements.items():
        yield (
            one.name.strip(),
            shared.half if key.startswith(("half", "healed")) else (),
            {
                **_share(_part(one.right), len(one.right)),
                "right by chance": _part(one.by_chance) if one.by_chance else None,
                "layer calls": one.calls,
                "tokens written": one.written,
                "kind": "chosen",
            },
        )
    n = len(shared.difficulties)
    for static in shared.statics:
        calls = len(static.chain)
        cells = {**_share(static.pass_at_1, n), "layer calls": calls, "kind": static.method}
        yield f"{static.method} {calls}", static.chain, {**cells, "chain": _text(static.chain)}
    for place, routed in enumerate(shared.menu.routed if shared.menu else ()):
        cells = {**_share(routed.pass_at_1, n), "layer calls": routed.layer_calls}
        yield f"router, price {place + 1}", (), {**cells, "kind": "router"}


def _share(right: float, n: int) -> dict[str, Cell]:
    return {"right": right, "held-out items": n, ERROR: _half_width(right, n) if n else None}


def _half_width(share: float, n: int) -> float:
    """Return half of Wilson's interval of a share, which is not empty for none or all of few.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    return Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)


def _part(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers)


def _sample(number: int, one: Found) -> Row:
    tried = list(one.tried.values())
    cells: dict[str, Cell] = {
        "#": number,
        "shortest right chain": None if one.shortest is None else len(one.shortest),
        "right with the full chain": one.right_at_first,
        "share of right chains": _part([judged.correct for judged in tried]),
        "right by a random change": _part(one.controls) if one.controls else None,
        "chains tried": len(tried),
        "difficulty": one.difficulty or None,
        "chain": None if one.shortest is None else _text(one.shortest),
    }
    label = f"difficulty {one.difficulty}" if one.difficulty else "sample"
    return Row(number, label, "trained", cells, None, None, _graph(one.shortest or ()))


def _graph(chain: Chain) -> Graph | None:
    """Return a chain of layers; a layer that is called again is marked."""
    if not chain:
        return None
    kinds = ("activation" if layer in chain[:i] else "linear" for i, layer in enumerate(chain))
    nodes = tuple((f"layer {layer}", kind) for layer, kind in zip(chain, kinds, strict=True))
    return Graph(nodes, tuple((i, i + 1) for i in range(len(chain) - 1)))


def _text(chain: Chain) -> str:
    return " ".join(map(str, chain))
