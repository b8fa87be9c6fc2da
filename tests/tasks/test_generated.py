"""Generated tasks: answers against a slow computation, lengths, streams, and options."""

from collections.abc import Callable, Iterator
from itertools import islice, permutations
from typing import Any, get_args

import numpy as np
import pytest
import torch

from kernels.cell.zoo import ZOO
from nas.core import task as tasks
from nas.core.answers import IGNORED
from nas.core.errors import BadInput
from nas.core.registry import load_task
from nas.core.task import Batch, Task
from nas.tasks.generated import stream
from nas.tasks.mad import Kind, facts
from nas.training import TrainingSettings, evaluate_sets, train_rung
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

SMALL: dict[str, dict[str, Any]] = {
    "state-tracking": {"group": "S3", "shortest": 3, "longest": 9},
    "recall": {"pairs": 4, "vocabulary": 16, "shortest": 12, "longest": 20, "passes": 2},
    "copying": {"symbols": 5, "shortest": 1, "longest": 6},
    "selective-copying": {"symbols": 5, "copied": 3, "shortest": 7, "longest": 15},
    "state-capacity": {"noise": 4, "digits": 2, "shortest": 5, "longest": 12},
    "delayed-match": {"largest": 5},
    "n-parity": {"largest": 5, "marks": False},
}
NAMES = [*SMALL, *(f"mad {kind}" for kind in get_args(Kind))]
BY_NAME = pytest.mark.parametrize("name", NAMES)
sets_of = tasks.test_sets  # by its own name, pytest would take it for a test


def task_named(name: str) -> Task:
    kind = name.removeprefix("mad ")
    return load_task(name, SMALL[name]) if name in SMALL else load_task("mad", {"kind": kind})


def rows(batch: Batch) -> Iterator[tuple[list[int], dict[int, int]]]:
    """Yield the tokens of each sequence, and the answer at each step that asks for one."""
    for row, answers in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert len(row) == len(answers)
        yield row, {t: answer for t, answer in enumerate(answers) if answer != IGNORED}


Answers = Callable[[list[int]], dict[int, int]]
ELEMENTS = [(0, 1, 2), (1, 2, 0), (1, 0, 2)]  # the identity, and the generators in their order


def products(row: list[int]) -> dict[int, int]:
    """Numbers of permutations follow from products with the generators, breadth first."""
    elements = list(ELEMENTS)
    for e in elements:
        for g in ELEMENTS[1:]:
            if (product := tuple(g[i] for i in e)) not in elements:
                elements.append(product)
    assert sorted(elements) == list(permutations(range(3)))
    state, found = (0, 1, 2), {}
    for t, number in enumerate(row):
        state = tuple(elements[number][i] for i in state)
        found[t] = elements.index(state)
    return found


def recalled(row: list[int]) -> dict[int, int]:
    """Four pairs of 16 tokens; two passes."""
    half = len(row) // 2
    assert row[:half] == row[half:]
    values = dict(zip(row[0:8:2], row[1:8:2], strict=True))
    assert len(values) == 4 and max(values) < 8 <= min(values.values())
    return {t: values[row[t]] for t in range(half + 8, 2 * half) if row[t] in values}


def copied(row: list[int]) -> dict[int, int]:
    half = row.index(5)
    assert row[half:] == [5] * half
    return {half + i: symbol for i, symbol in enumerate(row[:half])}


def copied_selectively(row: list[int], symbols: int = 5, count: int = 3) -> dict[int, int]:
    start = row.index(symbols + 1)
    found = [token for token in row[:start] if token < symbols]
    assert len(found) == count and row[start + 1 :] == [symbols] * count
    return {start + 1 + i: token for i, token in enumerate(found)}


def passkey(row: list[int]) -> dict[int, int]:
    mark = row.index(14)
    assert all(10 <= t < 14 for t in [*row[:mark], *row[mark + 3 : -2]]) and row[-2:] == [15, 15]
    return {len(row) - 2 + i: row[mark + 1 + i] for i in range(2)}


def in_context(row: list[int]) -> dict[int, int]:
    """Keys below 8, values from 8 to 15, noise above; a pair has one token of each."""
    values, found = {}, {}
    for t in range(0, len(row), 2):
        key, value = row[t : t + 2]
        if key >= 16:
            assert value >= 16
            continue
        assert key < 8 <= value < 16 and values.setdefault(key, value) == value
        if key in row[:t:2]:
            found[t] = value
    return found


def compressed(row: list[int]) -> dict[int, int]:
    end = row.index(15)
    return {t: row[end - 1 - (row[t] - 16)] for t in range(end + 1, len(row))}


def memorised(row: list[int]) -> dict[int, int]:
    assert row[1::2] == [254] * (len(row) // 2)
    return {t + 1: int(facts()[row[t]]) for t in range(0, len(row), 2)}


RIGHT: dict[str, Answers] = {
    "state-tracking": products,
    "recall": recalled,
    "copying": copied,
    "selective-copying": copied_selectively,
    "state-capacity": passkey,
    "mad selective-copying": lambda row: copied_selectively(row, 14, 16),
    "mad in-context-recall": in_context,
    "mad noisy-recall": in_context,
    "mad compression": compressed,
    "mad memorisation": memorised,
}


@pytest.mark.parametrize("name", RIGHT)
def test_answers_are_right_and_nothing_else_is_asked(name: str) -> None:
    task = task_named(name)
    for batch in [*islice(task.training_batches(1), 3), *task.test_batches()]:
        for row, answers in rows(batch):
            right = RIGHT[name](row)
            if name == "recall":  # random tokens may be keys, too
                assert len(answers) == 4 == len({row[t] for t in answers})
                right = {t: right[t] for t in answers}
            assert answers == right


def test_bits_are_answered_by_the_question_at_the_end() -> None:
    for name in ("n-parity", "delayed-match"):
        for batch in [*islice(task_named(name).training_batches(1), 300, 303)]:
            assert batch.lengths is not None
            for row, length, answer in zip(
                *(part.tolist() for part in (batch.inputs, batch.lengths, batch.targets)),
                strict=True,
            ):
                *bits, n = row[:length]
                assert n + 2 <= len(bits) <= 4 * n + 2 and set(bits) <= {0, 1}
                match = int(bits[-1] == bits[-1 - n])
                assert answer == (sum(bits[-n:]) % 2 if name == "n-parity" else match)


@pytest.mark.parametrize("name", ["n-parity", "delayed-match"])
@pytest.mark.parametrize("curriculum", ["all", "one"])
def test_a_curriculum_asks_for_its_n(name: str, curriculum: str) -> None:
    options = {"largest": 5, "steps_per_n": 2, "curriculum": curriculum}
    task = load_task(name, options | ({"marks": False} if name == "n-parity" else {}))
    asked = [set(asked_for(b)) for b in islice(task.training_batches(0), 10)]
    newest = [2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    evaluated = [[5]] if curriculum == "one" else [[2], [3], [4], [5]]
    if curriculum == "one":
        assert asked == [{n} for n in newest]
    else:
        assert asked == [set(range(2, n + 1)) for n in newest]
    assert [sorted(set(asked_for(b))) for b in task.validation_batches()] == evaluated
    for times, batches in zip((1, 2, 4, 8), sets_of(task).values(), strict=True):
        for batch, (n,) in zip(batches, evaluated, strict=True):
            assert set(asked_for(batch)) == {n} and batch.inputs.shape[1] == times * (4 * n + 2) + 1


def asked_for(batch: Batch) -> list[int]:
    assert batch.lengths is not None
    return batch.inputs[torch.arange(len(batch.inputs)), batch.lengths - 1].tolist()


@pytest.mark.parametrize("name", ["state-tracking", "recall", "copying", "state-capacity"])
def test_lengths_are_mixed_in_training_and_multiples_in_test_sets(name: str) -> None:
    task = task_named(name)
    steps = {batch.inputs.shape[1] for batch in islice(task.training_batches(0), 40)}
    assert len(steps) > 3
    tested = [next(iter(batches)).inputs.shape[1] for batches in sets_of(task).values()]
    assert tested == [times * max(steps) for times in (1, 2, 4, 8)]
    assert list(sets_of(task)) == ["1x", "2x", "4x", "8x"]


@pytest.mark.parametrize("name", ["state-tracking", "mad in-context-recall"])
def test_only_steps_beyond_the_shorter_set_count_where_questions_are_everywhere(name: str) -> None:
    for batches in sets_of(task_named(name)).values():
        (batch,) = batches
        counted = (batch.targets != IGNORED).any(dim=0)
        half = len(counted) // 2
        assert not counted[:half].any()
        assert counted[half::2].all()  # keys stand at every second step


@BY_NAME
def test_training_validation_and_test_share_no_sequences(name: str) -> None:
    task = task_named(name)
    trained = {digest(b) for seed in range(8) for b in islice(task.training_batches(seed), 8)}
    assert len(trained) == 64
    parts = [task.validation_batches(), task.test_batches(), [task.score_batch(0)]]
    held_out = [digest(b) for part in [*parts, *sets_of(task).values()] for b in part]
    assert len(set(held_out)) == len(held_out) and not trained & set(held_out)


def digest(batch: Batch) -> bytes:
    return batch.inputs.numpy().tobytes()


def test_streams_of_two_splits_never_meet() -> None:
    """Seeds without a split do: numpy fills them with zeros."""
    assert np.random.default_rng([1, 2]).random() == np.random.default_rng([1, 2, 0]).random()
    seeds = [(), (0,), (1, 2), (1, 2, 0), (2**63, 2**31)]
    first = [float(stream(split, *numbers).random()) for split in range(3) for numbers in seeds]
    assert len(set(first)) >= 3 * (len(seeds) - 2)
    by_split = [set(first[i : i + len(seeds)]) for i in range(0, len(first), len(seeds))]
    assert not by_split[0] & by_split[1] and not by_split[0] & by_split[2]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("state-tracking", {"group": "Q8"}, 'unknown group "Q8": the groups are Zn, Sn'),
        ("state-tracking", {"group": "S7"}, 'group "S7" is too large'),
        ("state-tracking", {"shortest": 0}, "shortest is 0: give a whole number, at least 1"),
        ("state-tracking", {"longest": 2}, r"longest is 2: .* at least shortest \(3\)"),
        ("state-tracking", {"times": [0]}, r"times is \[0\]: .* at least as long"),
        ("state-tracking", {"times": [0.5]}, r"times is \[0.5\]: list different whole numbers"),
        ("state-tracking", {"times": []}, r"times is \[\]"),
        ("state-tracking", {"times": [2, 2]}, "different"),
        ("state-tracking", {"batch": 0}, "batch is 0"),
        ("recall", {"pairs": 65}, "pairs is 65, but 128 tokens have 64 keys"),
        ("recall", {"pairs": 8, "shortest": 23}, "shortest is 23: .* at least 24"),
        ("recall", {"passes": 0}, "passes is 0"),
        ("mad", {"kind": "recall"}, 'unknown kind "recall"; choose in-context-recall, noisy-'),
        ("mad", {"longest": 17}, "shortest is 17: .* at least 18"),
        ("selective-copying", {"copied": 16}, "shortest is 32: .* at least 33"),
        ("copying", {"symbols": 1}, "symbols is 1"),
        ("state-capacity", {"digits": 16}, "shortest is 32: .* at least 33"),
        ("delayed-match", {"curriculum": "two"}, 'unknown curriculum "two"; choose all or one'),
        ("delayed-match", {"largest": 1}, "largest is 1"),
        ("n-parity", {"times": "all"}, "times is 'all'"),
        ("state-tracking", {"groups": "S3"}, "has no option groups; options: group, shortest"),
    ],
)
def test_invalid_options_are_refused_in_one_line(name: str, options: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        load_task(name, options)
    assert "\n" not in str(error.value)


def test_a_gru_learns_parity_for_longer_sequences() -> None:
    task = load_task("state-tracking", {"group": "Z2", "shortest": 3, "longest": 12, "batch": 32})
    space, size = RnnCellSpace(), ModelSize(embedding=16, hidden=16, layers=1)
    generator = torch.Generator().manual_seed(0)
    model = space.build(read_recipe(ZOO["gru"]), ModelShape(task.shape, size), generator)
    settings = TrainingSettings(learning_rate=0.02, clip=1.0, device="cpu")
    trained = train_rung(model, task, settings, seed=0, until=80)
    assert trained.validation.metric > 0.99
    assert evaluate_sets(model, task)["8x"] > 0.99
