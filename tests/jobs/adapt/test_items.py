"""Reading question sets, and asking real models."""

import json
from pathlib import Path

import pytest
import torch

from nas.core.errors import BadInput
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.free_text import generated_answers
from nas.jobs.adapt.items import Item, read_items
from nas.jobs.adapt.language import DecoderSource, question_of
from search_spaces.layer_chain.decoder import generate


def write(folder: Path, *lines: object) -> Path:
    path = folder / "items.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return path


def test_both_forms_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"query": "Which?", "choices": ["a", "b"], "gold": 1, "difficulty": 2},
        "",
        {"prompt": "1+1=", "answer": 2},
        {"question": "How many?", "answer": "3 + 4 = 7 of them\n#### 7"},
    )
    first, second, third = read_items(path)
    assert third == Item("How many?", answer="7")
    assert first == Item("Which?", ("a", "b"), 1, difficulty="2")
    assert second == Item("1+1=", answer="2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("3", "not a JSON object"),
        ({"answer": "2"}, "has no prompt"),
        ({"query": "?"}, "has no answer: add choices and gold, or answer"),
        ({"prompt": "a", "answer": ["4"]}, "answer must be text or a number"),
        ({"prompt": "a\ud800", "answer": "4"}, "prompt holds half of a surrogate pair"),
        ({"query": "a", "choices": ["x", "y"], "gold": True}, "gold must be the number"),
        ({"query": "a", "choices": ["x", None], "gold": 0}, "choices must be text or a number"),
        ({"query": "?", "choices": ["a"], "gold": 0}, "list of two or more"),
        ({"query": "?", "choices": ["a", "b"]}, "gold must be .* 0 to 1, not None"),
        ({"query": "?", "choices": ["a", "b"], "gold": 2}, "0 to 1, not 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, message: str) -> None:
    path = write(tmp_path, {"prompt": "1+1=", "answer": 2}, line)
    with pytest.raises(BadInput, match=message):
        read_items(path)


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no items"):
        read_items(write(tmp_path, ""))
    with pytest.raises(BadInput, match="does not exist"):
        read_items(tmp_path / "none.jsonl")


def test_a_real_model_answers_real_question_sets(data_folder: Path) -> None:
    """Its accuracy is at chance, because it was trained only on children's stories."""
    model = data_folder / "weights" / "stories260k" / "stories260K.bin"
    language = DecoderSource(str(model)).load()
    items = read_items(data_folder / "qa" / "arc_easy.jsonl")[:24]
    evaluator = ChainEvaluator(
        language.decoder, [question_of(i, language, True) for i in items], 2**28
    )
    (judged,) = evaluator.answers([tuple(range(language.decoder.layers))])
    assert 0 < sum(one.correct for one in judged) < 20
    assert len({one.answer for one in judged}) > 1
    sums = read_items(data_folder / "qa" / "simple_arithmetic_nospaces.jsonl")[:4]
    for item in sums:
        question_of(item, language, False)
    with pytest.raises(BadInput, match="use --answers likelihoods"):
        question_of(items[0], language, False)


def test_free_text_is_generated_by_the_chain(data_folder: Path) -> None:
    model = data_folder / "weights" / "stories260k" / "stories260K.bin"
    language = DecoderSource(str(model)).load()
    prompt, full = "Once upon a time, there was", tuple(range(language.decoder.layers))
    tokens = torch.tensor([language.read(prompt)])
    new = generate(language.decoder, tokens, full, 12)[0, tokens.shape[1] :].tolist()
    items = [Item(prompt, answer=language.text(new)), Item(prompt, answer="another end")]
    assert sum(generated_answers(language, items, full, 12)) == 1
    assert not any(generated_answers(language, items, (0, 0, 0), 12))
