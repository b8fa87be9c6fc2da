"""Small stand-ins for what the pages leave to the reader: a model, weights, images, a table, texts.

`python -m tests.docs.stand_ins llama my-llama` writes one; pages do so in `<!-- prepare: … -->`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

CELLS = ("lstm", "gru", "mgu", "ugrnn", "rnn-tanh", "rnn-relu")
SENTENCES = ("the cell forgets", "a gate opens", "the state decays", "one layer is enough")


def llama(path: Path) -> None:
    """Write an untrained Llama of four layers with a byte tokenizer, as `transformers` does."""
    import transformers

    from tests.jobs.adapt.words import byte_tokenizer

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config = transformers.LlamaConfig(
        vocab_size=300, num_hidden_layers=4, tie_word_embeddings=True, **sizes
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    byte_tokenizer().save_pretrained(path)


def questions(path: Path) -> None:
    """Write 24 sums with choices."""
    rows = [
        {"query": f"{n} + 1 =", "choices": [f"{n + 1}", f"{n + 2}"], "gold": 0} for n in range(24)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))


def text(path: Path) -> None:
    """Write sentences in a random order."""
    chosen = np.random.default_rng(0).choice(SENTENCES, 2000)
    path.write_text("\n".join(map(str, chosen)))


def texts(path: Path) -> None:
    """Write a folder with two files of text."""
    path.mkdir()
    for name in ("a", "b"):
        text(path / f"{name}.txt")


def cifar(path: Path) -> None:
    """Write images of noise, brighter or darker by their class, in the layout of CIFAR-10."""
    path.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train", 200), ("test", 50)):
        labels = np.arange(count) % 10
        noise = rng.integers(0, 100, (count, 32, 32, 3))
        pixels = (noise + 15 * labels[:, None, None, None]).astype(np.uint8)
        np.savez(path / f"{name}.npz", x=pixels, y=labels)


def resnet(path: Path) -> None:
    """Write random weights of the network that the file is named after."""
    from nas.core.registry import create

    torch.manual_seed(0)
    torch.save({"state_dict": create("models", path.stem).state_dict()}, path)


def recipes(path: Path) -> None:
    """Write a table of known cells with invented curves of losses."""
    from kernels.cell.zoo import ZOO

    _write_table(path, [ZOO[name] for name in CELLS])


def many_recipes(path: Path) -> None:
    """Write such a table of 80 random cells."""
    from search_spaces import genome
    from search_spaces.rnn_cell.recipe import cell_of
    from search_spaces.rnn_cell.space import RnnCellSpace

    rng, cells = np.random.default_rng(0), {}
    while len(cells) < 80:
        architecture, _ = genome.sample(RnnCellSpace(), rng)
        cells[architecture.digest()] = cell_of(architecture).to_recipe()
    _write_table(path, list(cells.values()))


def _write_table(path: Path, recipes: list[dict]) -> None:
    rows = []
    for number, recipe in enumerate(recipes):
        curve = [6.0 + number / 100 - epoch / 20 for epoch in range(50)]
        row = {"id": number, "recipe": recipe, "last_test": curve[-1], "wall_per_epoch": 60.0}
        rows.append(row | {"val_losses": curve})
    path.write_text("\n".join(map(json.dumps, rows)))


STAND_INS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (llama, questions, text, texts, cifar, resnet, recipes, many_recipes)
}

if __name__ == "__main__":
    STAND_INS[sys.argv[1]](Path(sys.argv[2]))
