"""Language modelling on a text file, or a folder with training, validation and test parts."""

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from nas.core.answers import cross_entropy, mean_cross_entropy, tensor
from nas.core.task import BadData, Batch, Measured
from nas.tasks.options import at_least
from search_spaces.space import DataShape

Level = Literal["auto", "word", "byte"]
PARTS = {
    "train": re.compile(r"(^|[._-])train(ing)?([._-]|$)"),
    "valid": re.compile(r"(^|[._-])(valid(ation)?|dev|val)([._-]|$)"),
    "test": re.compile(r"(^|[._-])test(ing)?([._-]|$)"),
}
HELD_OUT = 0.05  # share of the text that becomes each part without a file
UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
SHORTEST = 16  # tokens: two steps of the eight columns that scores and validation read
SUFFIXES = (".txt", ".text", ".md", ".tokens", ".raw")
EVALUATED = 50  # sequences side by side in validation and test


@dataclass(frozen=True)
class LanguageModelling:
    """Predicts the next token of a text.

    train, valid, test: token numbers.
    vocabulary: number of different tokens.
    batch, window: parallel sequences, and average steps, of a training batch.
    score_batch_size, score_window: sequences and steps for scores (50 and 70 in the literature).
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: int
    batch: int
    window: int
    score_batch_size: int
    score_window: int

    metric = "perplexity"
    higher_is_better = False
    carries_state = True

    @property
    def shape(self) -> DataShape:
        return DataShape("tokens", self.vocabulary, self.vocabulary, every_step=True)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Yield windows of the text as NAS-Bench-NLP trains on them, epoch after epoch.

        A window's length is drawn from N(window, 5), one time in twenty from N(window / 2, 5),
        and is at least 5 (Merity et al. 2018, section 4.1); windows under 20 do not vary.
        Each epoch starts again at the beginning of the text; the model's state is not reset.
        """
        columns = _columns(self.train, self.batch)
        epoch = 0
        while True:
            rng = np.random.default_rng([seed, epoch])
            start = 0
            while start < columns.shape[1] - 1:
                steps = self._steps(rng)
                yield _window(columns, start, steps)
                start += steps
            epoch += 1

    def validation_batches(self) -> Iterator[Batch]:
        return _windows(self.valid, self.window)

    def test_batches(self) -> Iterator[Batch]:
        return _windows(self.test, self.window)

    def score_batch(self, seed: int) -> Batch:
        """Return the first steps of the training text's columns, the same for every seed."""
        columns = _columns(self.train, min(self.score_batch_size, len(self.train) // 8))
        return _window(columns, 0, self.score_window)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        """Return the mean cross-entropy per token in nats, and its exponential."""
        loss, _ = mean_cross_entropy(answered)
        return Measured(loss, math.exp(min(loss, 700.0)))

    def _steps(self, rng: np.random.Generator) -> int:
        if self.window < 20:
            return self.window
        mean = self.window if rng.random() < 0.95 else self.window / 2
        return max(5, int(rng.normal(mean, 5)))


def load_language_model(
    data: Path,
    *,
    level: Level = "auto",
    batch: int = 20,
    window: int = 70,
    score_batch: int = 50,
    score_window: int = 70,
) -> LanguageModelling:
    """Return the task of a text file or a folder of text files.

    In a folder, file names decide the parts (`train.txt`, `wiki.valid.tokens`, `dev.txt`,
    `ptb.test.txt`). Without such names, all text files except READMEs form the text, in order of
    their names. A part without a file is a twentieth of the training text, cut from its end (test
    last). Without a training part, the validation text becomes the training text.

    level: "word" splits at white space and ends lines with <eos>; "byte" has 256 tokens and reads
        any bytes; "auto" chooses words if the text is already tokenised, otherwise bytes.
    batch, window: parallel sequences, and average steps, of a training batch.
    score_batch, score_window: the same for the batch of training-free scores.
    Raises `BadData` for a text that is missing, empty, too short or (unless read as bytes) not
    UTF-8.
    """
    parts = {name: _read(paths, level) for name, paths in _find_parts(data).items()}
    if "train" not in parts:
        parts["train"] = parts.pop("valid", None) or parts.pop("test")
    return language_modelling(
        "language-model",
        parts,
        where=str(data),
        level=level,
        batch=batch,
        window=window,
        score_batch=score_batch,
        score_window=score_window,
    )


def language_modelling(
    name: str,
    parts: dict[str, bytes],
    *,
    where: str,
    level: Level,
    batch: int,
    window: int,
    score_batch: int,
    score_window: int,
) -> LanguageModelling:
    """Return the task of a text in parts; the part "train" is required.

    Raises `BadData` for invalid counts, an unknown level, and a text that is too short.
    """
    at_least(1, batch=batch, window=window, score_batch=score_batch, score_window=score_window)
    if level not in get_args(Level):
        raise BadData(f'unknown level "{level}"; choose {", ".join(get_args(Level))}')
    if level == "auto":
        level = "word" if _is_tokenised(parts["train"]) else "byte"
    tokens, vocabulary = _numbered(parts, level)
    for part in PARTS:
        needed = max(2 * batch, SHORTEST) if part == "train" else SHORTEST
        if len(tokens[part]) < needed:
            raise BadData(
                f"{where}: the {part} part has {len(tokens[part])} tokens but needs {needed}: "
                "give a longer text or a smaller batch"
            )
    return LanguageModelling(
        name,
        tokens["train"],
        tokens["valid"],
        tokens["test"],
        vocabulary,
        batch,
        window,
        score_batch,
        score_window,
    )


def _find_parts(data: Path) -> dict[str, list[Path]]:
    if not data.exists():
        raise BadData(f"{data} does not exist: name a text file or a folder")
    if data.is_file():
        return {"train": [data]}
    files = sorted(path for path in data.rglob("*") if _may_be_text(path.relative_to(data), path))
    named = {
        part: [path for path in files if pattern.search(path.name.lower())]
        for part, pattern in PARTS.items()
    }
    named = {part: paths for part, paths in named.items() if paths}
    if named:
        return named
    texts = [path for path in files if path.suffix and path.stem.lower() != "readme"]
    if not texts:
        raise BadData(f"{data} has no text files: add train, valid and test files, or .txt files")
    return {"train": texts}


def _may_be_text(name: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and path.suffix.lower() in (*SUFFIXES, "") and path.is_file()


def _read(paths: list[Path], level: Level) -> bytes:
    texts = []
    for path in paths:
        try:
            texts.append(path.read_bytes().removeprefix(codecs.BOM_UTF8))
            if level != "byte":
                texts[-1].decode()
        except OSError as error:
            raise BadData(f"{path} cannot be read: {error.strerror}") from None
        except MemoryError:
            raise BadData(f"{path} does not fit into memory: split it, and give a part") from None
        except UnicodeDecodeError as error:
            raise BadData(
                f"{path} is not UTF-8 at byte {error.start}: convert it, or set level to byte"
            ) from None
        if not texts[-1].strip():
            raise BadData(f"{path} is empty: give a file with text")
    return b"\n".join(texts)


def _is_tokenised(text: bytes) -> bool:
    """Return whether spaces separate punctuation from words, as in prepared corpora."""
    sample = text[:100_000].decode(errors="ignore")
    return UNKNOWN in sample or " @-@ " in sample or sample.count(" , ") > sample.count(", ") * 0.9


def _split_off(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all three parts, cutting missing ones from the end of the training part."""
    parts = dict(parts)
    held = int(len(parts["train"]) * HELD_OUT)
    for part in ("test", "valid"):
        if part not in parts:
            cut = len(parts["train"]) - held
            parts["train"], parts[part] = parts["train"][:cut], parts["train"][cut:]
    return parts


def _numbered(parts: dict[str, bytes], level: Level) -> tuple[dict[str, np.ndarray], int]:
    """Return all parts as token numbers; words are numbered in the order of the training text."""
    if level == "byte":
        return {
            part: np.frombuffer(text, np.uint8).astype(np.int64)
            for part, text in _split_off(parts).items()
        }, 256
    words = _split_off({part: _words(text.decode()) for part, text in parts.items()})
    numbers = {word: i for i, word in enumerate(dict.fromkeys([UNKNOWN, *words["train"]]))}
    return {
        part: np.array([numbers.get(word, 0) for word in these], np.int64)
        for part, these in words.items()
    }, len(numbers)


def _words(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")  # as on Windows and on old Macs
    return lines.replace("\n", f" {END_OF_LINE} ").split()


def _columns(tokens: np.ndarray, batch: int) -> np.ndarray:
    """Return the tokens as `batch` parallel stretches of the text, `[batch, steps]`."""
    steps = len(tokens) // batch
    return tokens[: batch * steps].reshape(batch, steps)


def _window(columns: np.ndarray, start: int, steps: int) -> Batch:
    end = min(start + steps, columns.shape[1] - 1)
    return Batch(tensor(columns[:, start:end]), tensor(columns[:, start + 1 : end + 1]))


def _windows(tokens: np.ndarray, window: int) -> Iterator[Batch]:
    columns = _columns(tokens, max(1, min(EVALUATED, len(tokens) // (2 * window))))
    for start in range(0, columns.shape[1] - 1, window):
        yield _window(columns, start, window)
