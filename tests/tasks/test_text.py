"""Texts as users have them: other encodings, long lines, other files nearby, wrong options."""

import re
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.text import load_language_model

WORDS = "a b , c\n" * 1000


def write(path: Path, text: str | bytes = WORDS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_single_text_is_split_in_order_into_90_5_and_5_percent(tmp_path: Path) -> None:
    text = bytes(i % 251 for i in range(10_000))
    task = load_language_model(write(tmp_path / "bytes.txt", text), level="byte")
    assert [len(part) for part in (task.train, task.valid, task.test)] == [9000, 500, 500]
    assert np.concatenate([task.train, task.valid, task.test]).tolist() == list(text)


def test_a_text_of_a_title_and_one_long_line_is_split_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "novel.txt", "Title\n" + "word " * 2000)
    task = load_language_model(path, level="byte")
    assert len(task.train) == pytest.approx(0.9 * path.stat().st_size, abs=2)


def test_the_byte_level_accepts_any_encoding(tmp_path: Path) -> None:
    text = "é\r\n".encode("latin-1") * 500
    path = write(tmp_path / "latin.txt", text)
    task = load_language_model(path, level="byte")
    assert task.train[:3].tolist() == [0xE9, 13, 10]
    with pytest.raises(BadData, match=r"latin\.txt is not UTF-8 at byte 0: .* level to byte"):
        load_language_model(path, level="word")


def test_tokenised_text_is_read_as_words_and_other_text_as_bytes(tmp_path: Path) -> None:
    words = load_language_model(write(tmp_path / "tokenised.txt"))
    assert words.vocabulary == 6, "a b , c <eos> <unk>"
    plain = load_language_model(write(tmp_path / "plain.txt", "Say, friend, how?\n" * 500))
    assert plain.vocabulary == 256


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_byte_order_mark_and_other_line_ends_change_no_word(tmp_path: Path, end: str) -> None:
    plain = load_language_model(write(tmp_path / "plain.txt"), level="word")
    other = write(tmp_path / "other.txt", "\ufeff" + WORDS.replace("\n", end))
    read = load_language_model(other, level="word")
    assert read.vocabulary == plain.vocabulary
    assert read.train.tolist() == plain.train.tolist()


def test_words_that_are_not_in_the_training_text_are_unknown(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", "a b " * 200)
    write(tmp_path / "valid.txt", "a z " * 100)
    task = load_language_model(tmp_path, level="word")
    assert task.valid[:4].tolist() == [1, 0, 1, 0]
    assert task.vocabulary == 3


def test_files_that_are_not_text_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "train.bin", b"\xff" * 999)
    write(tmp_path / ".cache" / "train.txt", "hidden " * 99)
    write(tmp_path / "README.md", "read me " * 99)
    write(tmp_path / "two.txt", "b , b\n" * 100)
    write(tmp_path / "one.txt", "a , a\n" * 100)
    task = load_language_model(tmp_path)
    words = task.vocabulary
    assert words == 5, "a b , <eos> <unk>"
    assert task.train[0] == 1 and task.train[:400].max() == 3, "one.txt comes before two.txt"


def test_a_folder_without_text_is_named(tmp_path: Path) -> None:
    write(tmp_path / "image.png", b"\x89PNG")
    with pytest.raises(BadData, match=re.escape(f"{tmp_path} has no text files")):
        load_language_model(tmp_path)


def test_a_text_that_is_too_short_is_refused_with_the_length_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the train part has 90 tokens but needs 200"):
        load_language_model(write(tmp_path / "short.txt", "x" * 100), batch=100)
    for part in ("train", "valid", "test"):
        write(tmp_path / "parts" / f"{part}.txt", "x" * 20)
    write(tmp_path / "parts" / "train.txt", "x" * 15)
    with pytest.raises(BadData, match="the train part has 15 tokens but needs 16"):
        load_language_model(tmp_path / "parts", batch=1)
    write(tmp_path / "parts" / "train.txt", "x" * 16)
    shortest = load_language_model(tmp_path / "parts", batch=1)
    assert shortest.score_batch(0).inputs.shape == (2, 7)


@pytest.mark.parametrize("option", ["batch", "window", "score_batch", "score_window"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "many", True])
def test_options_that_are_not_counts_are_named(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(BadData, match=f"^{option} is {value!r}: give a whole number"):
        load_language_model(write(tmp_path / "text.txt"), **{option: value})


def test_an_unknown_level_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match='unknown level "letter"; choose auto, word, byte'):
        load_language_model(write(tmp_path / "text.txt"), level="letter")  # type: ignore[arg-type]


def test_window_lengths_vary_as_published_and_small_windows_do_not(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", "x" * 400_000)
    task = load_language_model(path, batch=2, level="byte")
    steps = np.array([b.inputs.shape[1] for b in islice(task.training_batches(0), 2000)])
    halved = steps < 52
    assert 0.03 < halved.mean() < 0.07
    assert steps[~halved].mean() == pytest.approx(70, abs=1)
    assert steps[halved & (steps > 20)].mean() == pytest.approx(35, abs=2)
    small = load_language_model(path, batch=2, window=19, level="byte")
    assert {b.inputs.shape[1] for b in islice(small.training_batches(0), 50)} == {19}


def test_epochs_differ_and_each_starts_at_the_beginning_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", bytes(range(250)) * 20)
    task = load_language_model(path, batch=2, window=70, level="byte")
    batches = list(islice(task.training_batches(0), 100))
    starts = [i for i, b in enumerate(batches) if b.inputs[0, :3].tolist() == [0, 1, 2]]
    columns = len(task.train) // 2
    assert sum(b.inputs.shape[1] for b in batches[: starts[1]]) <= columns - 1
    one, two = ([b.inputs.shape[1] for b in batches[a:b]] for a, b in pairwise(starts[:3]))
    assert one != two


def test_validation_covers_its_text_once_and_test_has_a_different_text(tmp_path: Path) -> None:
    task = load_language_model(write(tmp_path / "text.txt", WORDS * 20), batch=4)
    batches = list(task.validation_batches())
    B = batches[0].inputs.shape[0]
    assert sum(b.targets.numel() for b in batches) == (len(task.valid) // B - 1) * B
    assert not np.shares_memory(task.valid, task.test)
