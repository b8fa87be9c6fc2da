"""The space of static chains that `nas search` uses."""

from pathlib import Path

import pytest
import torch

from nas.core.errors import BadInput
from nas.core.settings import Named
from nas.jobs.adapt.chain_space import load_layer_chain
from nas.jobs.adapt.small_decoder import decoder_source, decoder_task
from nas.models.source import find_model, weights_of
from search_spaces.architecture import Architecture
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.space import ModelShape, ModelSize


def test_a_chain_is_built_from_the_trained_decoder(tmp_path: Path) -> None:
    task = decoder_task(Named(name="arithmetic"))
    trained = decoder_source(6, task).build(3)
    file = tmp_path / "decoder.safetensors"
    file.write_bytes(weights_of(trained))
    space, chain = load_layer_chain(decoder=str(file)), (0, 2, 2, 5)
    built = space.build(
        Architecture(space.name, chain), ModelShape(task.shape), torch.Generator()
    ).eval()
    tokens = task.score_batch(0).inputs[:3]
    with torch.no_grad():
        assert torch.equal(built(tokens).answers, run_chain(trained.network, tokens, chain))
    assert all(parameter.requires_grad for parameter in built.parameters())


def test_a_file_that_is_not_a_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no trained decoder"):
        load_layer_chain(decoder=str(tmp_path / "none"))
    other, _ = find_model("lstm-classifier", None, Named(name="digits"), ModelSize())
    file = tmp_path / "other.safetensors"
    file.write_bytes(weights_of(other.build(0)))
    with pytest.raises(BadInput, match="is not a decoder for arithmetic"):
        load_layer_chain(decoder=str(file))
    file.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="is not a decoder for arithmetic"):
        load_layer_chain(decoder=str(file))
