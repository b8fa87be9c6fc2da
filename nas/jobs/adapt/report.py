"""The report of an adaptation: facts, tables, figures."""

import math
from dataclasses import asdict
from statistics import stdev
from typing import Any

from nas.jobs.adapt.export import failed_exports
from nas.jobs.adapt.figures import figure
from nas.jobs.adapt.harness import harness_scores, harness_table
from nas.jobs.adapt.held_out_table import held_out_facts, held_out_table, share_error
from nas.jobs.adapt.oracle import shares
from nas.jobs.adapt.page import sample_explorer, shared_explorer
from nas.jobs.adapt.shared_chains import Static
from nas.jobs.adapt.summary import AdaptSummary
from nas.reporting.report import Drawing, Report, printed
from nas.reporting.table import aligned


def adapt_facts(summary: AdaptSummary) -> dict[str, Any]:
    """Return what `nas adapt --json` prints; a share of zero samples is null."""
    facts: dict[str, Any] = {
        "run": str(summary.folder),
        "model": summary.model,
        "failed": list(summary.failed),
        "failed_exports": failed_exports(summary.folder),
        **_without_nan(shares(summary.found)),
        "layer_calls": summary.layer_calls,
        "layer_calls_naive": summary.layer_calls_naive,
        "seconds": summary.seconds,
        "by_difficulty": {k: _without_nan(shares(v)) for k, v in summary.groups.items()},
    }
    if summary.by != "gold":
        facts["pass_at_1"] = _chosen_right(summary)
    if summary.shared.statics:
        static = summary.shared.statics[summary.shared.best_static]
        facts["static"] = {
            **_static_facts(static),
            "full_pass_at_1": summary.shared.statics[0].pass_at_1,
            "path": str(summary.folder / "static"),
            "curves": [_static_facts(s) for s in summary.shared.statics],
        }
    facts["half"] = list(summary.shared.half)
    facts["held_out"] = held_out_facts(summary.shared)
    facts["harness"] = [asdict(score) for score in harness_scores(summary.folder)]
    if summary.shared.menu:
        menu = summary.shared.menu
        facts["router"] = {
            **menu.routed[menu.best]._asdict(),
            "menu": [list(chain) for chain in menu.chains],
            "by_price": [routed._asdict() for routed in menu.routed],
        }
    return facts


def adapt_table(summary: AdaptSummary) -> str:
    """Return a line per difficulty, then the results for all inputs, within 80 columns."""
    values = shares(summary.found)
    fewer = summary.layer_calls_naive / max(1, summary.layer_calls)
    lines = [
        f"{summary.folder.name}: {summary.model}, {len(summary.found)} samples, "
        f"{summary.simulations} simulations each, {len(summary.failed)} failed, "
        f"{summary.seconds:.0f} s",
        "",
        "with the right answers known (an oracle):",
        *_shares_table(summary),
        "",
        f"layer calls: {summary.layer_calls}, {fewer:.1f} times fewer than chain by chain, "
        f"in {summary.search_seconds:.0f} s",
    ]
    if values["wrong_put_right"] <= values["control_pass_at_n"]:
        lines.append(
            "no better than chance: as many random perturbations fix as many wrong answers"
        )
    if summary.by != "gold":
        lines.append(f"chosen by {summary.by}: {_chosen_right(summary):.3f} right (pass@1)")
    lines += held_out_table(summary.shared)
    lines += [*harness_table(summary.folder), *failed_exports(summary.folder)]
    return "\n".join([*lines, *(f"failed: {reason}" for reason in summary.failed)])


def adapt_report(summary: AdaptSummary) -> Report:
    """Return the report of an adaptation, finished or not."""
    text, rows = adapt_table(summary), _sample_rows(summary)
    caption = "Calls of each layer, lengths of chains, and accuracy against layer calls"
    drawings = [Drawing("adapt", caption, figure(summary))] if summary.found else []
    shared = [shared_explorer(summary)] if summary.shared.judgements else []
    page = [printed(text), *shared, sample_explorer(summary), *drawings]
    return Report(summary.folder.name, text, adapt_facts(summary), page, {"rows.csv": rows})


def _sample_rows(summary: AdaptSummary) -> list[list[object]]:
    rows = [
        [
            one.difficulty,
            one.tried[one.full].correct,
            None if one.shortest is None else " ".join(map(str, one.shortest)),
            len(one.tried),
        ]
        for one in summary.found
    ]
    return [["difficulty", "full chain right", "shortest right chain", "chains tried"], *rows]


def _shares_table(summary: AdaptSummary) -> list[str]:
    head = [
        "difficulty",
        "n",
        "right",
        "shorter chain",
        "calls saved",
        "put right",
        "by chance",
        "calls",
    ]
    rows = [[name or "all", *_cells(found)] for name, found in summary.groups.items()]
    if len(rows) > 1:
        rows.append(["all", *_cells(summary.found)])
    return aligned([head, *rows])


def _cells(found: Any) -> list[str]:
    values = shares(found)
    names = ("full_accuracy", "right_with_shorter_chain", "calls_saved", "wrong_put_right")
    percents = [_percent(values[name]) for name in (*names, "control_pass_at_n")]
    lengths = [len(one.shortest or one.full) for one in found]
    error = f"{stdev(lengths) / len(lengths) ** 0.5:.1f}" if lengths[1:] else "–"
    percents[0] += f" ± {100 * share_error(values['full_accuracy'], len(found)):.0f}"
    return [str(len(found)), *percents, f"{values['mean_chain_length']:.1f} ± {error}"]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.0%}"


def _chosen_right(summary: AdaptSummary) -> float:
    return sum(one.tried[one.chosen].correct for one in summary.found) / len(summary.found)


def _static_facts(static: Static) -> dict[str, Any]:
    return {
        "method": static.method,
        "chain": list(static.chain),
        "pass_at_1": static.pass_at_1,
        "layer_calls": len(static.chain),
    }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
