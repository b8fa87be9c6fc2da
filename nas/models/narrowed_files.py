"""A network that lost layers or channels, as files that run without this project."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from nas.core.files import write_atomically
from nas.models.changes import changes_between, tensors_of_smaller
from nas.models.exported_programs import write_programs
from nas.models.file_checks import TOLERANCE, Written
from nas.models.inputs import Inputs
from nas.models.model_files import SEQUENCES, load_model
from nas.models.own_code import write_own_code
from nas.models.source import ModelSource
from nas.models.space import Answering
from nas.models.without_us import first_line


def network_of(model: nn.Module) -> nn.Module:
    """Return the network inside of one that answers as those of search spaces do."""
    return model.network if isinstance(model, Answering) else model


def write_narrowed(
    model: nn.Module,
    source: ModelSource,
    described: Mapping[str, Any],
    given: Any,
    folder: Path,
    programs: bool = True,
) -> Written:
    """Write weights, description, programs and, for a class of the user, `model.py`.

    source: the network that it was made of, which may be narrowed itself.
    described: for `architecture.json`, see `describe`.
    given: inputs of the network: a tensor, a tuple of tensors, or a dictionary of them.
    programs: whether to write programs and `model.py`.
    Each file is run again and compared. What fails is left out, with a line on stderr.
    """
    original = network_of(source.original.build(0)).eval()
    smaller = network_of(model).cpu().eval()
    changes = changes_between(original, smaller)
    weights = save(tensors_of_smaller(original, smaller))
    write_atomically(folder / "model.safetensors", weights)
    inputs = Inputs.of(given, source.shape.data.kind in SEQUENCES)

    def own_code() -> list[str]:
        return write_own_code(source, smaller, changes, folder)

    written = write_programs(smaller, inputs, folder, own_code) if programs else Written()
    file, told = folder / "architecture.json", {**described, "changes": changes.to_json()}
    write_atomically(file, json.dumps(told, indent=1))
    _compare_weights(smaller, inputs.examples(1), folder, written)
    write_atomically(file, json.dumps({**told, **written.facts()}, indent=1))
    return written


def _compare_weights(model: nn.Module, inputs: Inputs, folder: Path, written: Written) -> None:
    """Load the network from its weights and compare; the weights stay there whatever is found."""
    try:
        again = network_of(load_model(folder))
        pairs = zip(inputs.answers(again), inputs.answers(model), strict=True)
        for found, expected in pairs:
            difference = float((found - expected).abs().max())
            if not difference <= TOLERANCE * float(expected.abs().max()):
                raise ValueError(f"loaded again, it answers differently: off by {difference:.2g}")
            written.difference = max(written.difference, difference)
    except Exception as error:  # the user's class may refuse in any way
        written.failed["model.safetensors"] = first_line(error)
        print(f"{folder / 'model.safetensors'} failed: {first_line(error)}", file=sys.stderr)
