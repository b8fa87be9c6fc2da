"""`nas export`: write a trained candidate as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from nas.cli.job_command import Trust
from nas.core.errors import BadInput
from nas.core.files import check_folder
from nas.core.trust import trusting


def export(
    run: Annotated[Path, Argument(help="The run's folder.")],
    to: Annotated[Path, Option(help="Folder to write to.")],
    best: Annotated[
        bool, Option("--best", help="Export the best trained candidate (the default).")
    ] = False,
    candidate: Annotated[
        int | None, Option(help="Number of the trained candidate, or of the sweep's row.")
    ] = None,
    int8: Annotated[
        bool, Option("--int8", help="Also write model-int8.onnx and compare it with model.onnx.")
    ] = False,
    push_to: Annotated[
        str | None,
        Option(
            help="Upload the files to this model on the Hugging Face Hub; a new one is private."
        ),
    ] = None,
    trust: Trust = False,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write safetensors, architecture JSON and a torch.export program, and check their answers.

    For a compression, export the student; for an adaptation, the static chain; for a sweep, a row.
    """
    if best and candidate is not None:
        raise BadInput("--best and --candidate exclude each other: pass only one")
    from nas import api
    from nas.cli.output import say, say_json
    from nas.models.description import file_lines

    check_folder(to, "--to")
    with trusting(trust):
        facts = api.export(run, to, candidate, int8, push_to)
    if json:
        say_json(facts)
    elif "digest" not in facts:
        say(f"{facts['source']} → {facts['folder']}: {', '.join(facts['files'])}")
    else:
        say(
            f"candidate {facts['candidate']} ({facts['digest']}) → {facts['folder']}: "
            f"{', '.join(facts['files'])}; largest difference {facts['largest_difference']:.2g}"
        )
    for line in [] if json else file_lines(facts):
        say(f"  {line}")
    if int8 and not json:
        say(_int8_line(facts["int8"]))
    if push_to is not None and not json:
        say(f"pushed: {facts['pushed']}")


def _int8_line(facts: Mapping[str, Any]) -> str:
    """Return what int8 gains and changes, as a line."""
    before, after = facts["float32_bytes"], facts["bytes"]
    line = (
        f"int8: {before:,} → {after:,} bytes ({before / after:.1f} times smaller); batch 1 takes "
        f"{facts['float32_milliseconds']:.3g} → {facts['milliseconds']:.3g} ms in onnxruntime; "
        f"outputs differ by at most {facts['largest_difference']:.1%} of their scale"
    )
    agreed = facts["agreement"]
    return line if agreed is None else f"{line}; {agreed:.1%} of the predictions are the same"
