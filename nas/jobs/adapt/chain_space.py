"""The search space of static chains, for `nas search`."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from nas.core.errors import BadInput
from nas.core.files import reason_of
from nas.core.settings import Named
from nas.jobs.adapt.small_decoder import built, decoder_source, decoder_task
from nas.models.space import Answering
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.shortened import shortened
from search_spaces.layer_chain.space import LayerChainSpace

STACK = "network.stack."  # begins the names of a layer's weights


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
    found, weights = decoder_task(Named(name=task)), Path(decoder).read_bytes()
    try:
        layers = {name.split(".")[2] for name in load(weights) if name.startswith(STACK)}
        network = built(decoder_source(len(layers), found, weights))
    except (RuntimeError, SafetensorError) as error:
        raise BadInput(f"{decoder} is not a decoder for {task}: {reason_of(error)}") from None

    def make(chain: Chain) -> nn.Module:
        return Answering(shortened(network, chain).requires_grad_(True))

    return LayerChainSpace(Rules(network.layers, most=edits), make)
