"""The explorer of a depth reduction's chains."""

from collections.abc import Iterator

from nas.jobs.adapt.text.evaluator import TextGrade
from nas.jobs.adapt.text.results import TextSummary
from nas.reporting.explorer import Column, Explorer, Row, failed_rows
from search_spaces.layer_chain.chain import Chain


def depth_explorer(summary: TextSummary) -> Explorer:
    """Return the explorer of the chains of every length by every method, and of healed ones."""
    rows = [
        Row(
            number,
            f"{method} {len(chain)}",
            "trained",
            {
                "#": number,
                "method": method,
                "layer calls": len(chain),
                "perplexity": grade.perplexity,
                "divergence": grade.divergence,
                "chain": " ".join(map(str, chain)),
            },
        )
        for number, (method, chain, grade) in enumerate(_chains(summary))
    ]
    failed = failed_rows("a method", summary.failed, len(rows))
    return Explorer(
        title="Chains",
        noun="chain",
        columns=[
            Column("#", ""),
            Column("perplexity", "result", "test part", -1),
            Column("divergence", "result", "nats", -1),
            Column("layer calls", "cost", "", -1),
            Column("method", "decision"),
            Column("chain", "decision"),
        ],
        rows=[*rows, *failed],
        table=["method", "layer calls", "perplexity", "divergence", "chain"],
        axes=["method", "layer calls", "divergence", "perplexity"],
        x="layer calls",
        y="perplexity",
        colour="perplexity",
        by_label=True,
    )


def _chains(summary: TextSummary) -> Iterator[tuple[str, Chain, TextGrade]]:
    """Yield the method, the chain and its grade on the test windows."""
    for method, depths in summary.depths.items():
        for depth in depths:
            yield method, depth.chain, depth.test
    if chosen := summary.chosen:
        yield "full", chosen.full.chain, chosen.full.test
        for healed in chosen.healed:
            yield f"healed, {healed.way}", healed.chain, healed.after
