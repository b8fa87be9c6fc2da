"""The Reber grammar: disjoint parts, padding and options."""

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.classification import Examples
from nas.tasks.reber import is_reber, load_reber


def strings(part: Examples) -> set[bytes]:
    rows = zip(part.inputs.astype(np.uint8), part.lengths, strict=True)
    return {row[:length].tobytes() for row, length in rows}


def test_no_string_occurs_twice() -> None:
    task = load_reber(strings=1000)
    parts = [strings(part) for part in (task.train, task.valid, task.test)]
    assert [len(part) for part in parts] == [600, 150, 250]
    assert len(set.union(*parts)) == 1000


def test_equal_data_seeds_give_equal_strings_and_others_do_not() -> None:
    one, same, other = (load_reber(strings=100, data_seed=seed) for seed in (1, 1, 2))
    assert strings(one.train) == strings(same.train) != strings(other.train)


def test_the_empty_text_and_other_letters_are_not_in_the_grammar() -> None:
    assert is_reber("BTSXXTVVE")
    assert not any(map(is_reber, ["", "B", "BTSXXTVVA", "btsxxtvve", "BTSXXTVV", "XBTXSE"]))


def test_padding_is_cut_to_the_longest_string_of_a_batch() -> None:
    batch = next(load_reber(strings=100, batch=4).training_batches(0))
    assert batch.lengths is not None
    assert batch.inputs.shape == (4, int(batch.lengths.max()))


@pytest.mark.parametrize(
    ("option", "value"), [("strings", 9), ("batch", 0), ("data_seed", -1), ("strings", 1e4)]
)
def test_invalid_options_are_named(option: str, value: object) -> None:
    with pytest.raises(BadData, match=f"^{option} is {value!r}: give a whole number"):
        load_reber(**{option: value})  # type: ignore[arg-type]
