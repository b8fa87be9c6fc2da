"""Writes what a checkpoint needs besides its weights: the tokenizer and a model card."""

from pathlib import Path
from typing import Any

from torch import nn

from nas.core.files import write_atomically

CARD = """---
base_model: {base}
library_name: transformers
pipeline_tag: text-generation
tags: [layer-pruning, nas]
---
# {title}

A decoder with {calls} layers, made by `nas adapt` from {base}.

Layers of the original, in order: {chain}. All other weights are the original's.
{compared}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("{title}", dtype="auto")
tokenizer = AutoTokenizer.from_pretrained("{title}")
```
"""


def write_card(network: nn.Module, folder: Path, found: float | None) -> None:
    """Write `README.md`, if the network was made from a named model.

    found: the largest difference of logits after loading; None if it was not loaded.
    """
    config: Any = getattr(network, "config", None)
    chain = getattr(config, "layer_chain", None)
    if chain is None:
        return
    compared = "" if found is None else f"Loaded again, its logits differ by at most {found:.2g}."
    card = CARD.format(
        base=Path(base_of(network)).name or type(network).__name__,
        title=folder.name,
        calls=len(chain),
        chain=" ".join(map(str, chain)),
        compared=compared,
    )
    write_atomically(folder / "README.md", card)


def write_tokenizer(network: nn.Module, folder: Path) -> None:
    """Write the tokenizer of the model that the network was made from, if that has one."""
    if not base_of(network):
        return
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(base_of(network)).save_pretrained(folder)


def base_of(network: nn.Module) -> str:
    """Return the folder or hub name of the model that a network was made from, or ""."""
    return getattr(getattr(network, "config", None), "_name_or_path", "")
