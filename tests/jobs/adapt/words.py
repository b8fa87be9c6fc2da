"""A tokenizer that tests make, with a token for every byte and a few for letters."""

from typing import Any

LETTERS = "ABCDEFGHIJ"


def byte_tokenizer(**special: str) -> Any:
    """Return a byte-level tokenizer of `transformers` with 266 tokens; it needs no files.

    special: such as `bos_token="<s>"`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = sorted(pre_tokenizers.ByteLevel.alphabet()) + [f"Ġ{letter}" for letter in LETTERS]
    merges = [("Ġ", letter) for letter in LETTERS]
    words = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(known)}, merges=merges))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)
