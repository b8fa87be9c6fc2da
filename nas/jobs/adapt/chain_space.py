"""The search space of static chains, for `nas search`."""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from torch import nn

from nas.core.errors import BadInput
from nas.core.settings import Named
from nas.jobs.adapt.setup import DECODER
from nas.models.source import find_model
from nas.models.space import Answering
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.llama import Llama
from search_spaces.layer_chain.shortened import shortened
from search_spaces.layer_chain.space import LayerChainSpace
from search_spaces.space import ModelSize


def load_layer_chain(
    *, decoder: str = "", task: str = "arithmetic", edits: int = 4
) -> LayerChainSpace:
    """Return the space of chains of the small decoder that `nas adapt` trains.

    decoder: `decoder.safetensors` from its run. edits: the most edits that make a chain.
    Raises `BadInput` if there is no such decoder.
    """
    if not Path(decoder).is_file():
        raise BadInput(
            f'no trained decoder "{decoder}": pass --set space.decoder=RUN/decoder.safetensors, '
            "where RUN is the run of a `nas adapt` without --model"
        )
    network, _ = find_model(DECODER, None, Named(name=task), ModelSize())
    try:
        model = replace(network, weights=Path(decoder).read_bytes()).build(0)
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{decoder} is not a decoder for {task}: {reason}") from None
    assert isinstance(model, Answering) and isinstance(model.network, Llama)
    network = model.network

    def make(chain: Chain) -> nn.Module:
        return Answering(shortened(network, chain).requires_grad_(True))

    return LayerChainSpace(Rules(network.layers, most=edits), make)
