"""Architectures as data."""

import pytest

from search_spaces.architecture import Architecture

NESTED = Architecture("toy", (1, ("a", (True, None, 0.5)), ()))


def test_json_restores_nested_tuples_that_can_be_hashed() -> None:
    again = Architecture.from_json(NESTED.to_json())
    assert again == NESTED
    assert {again, NESTED} == {NESTED}
    assert "\n" not in NESTED.to_json()


def test_a_digest_is_the_same_on_every_machine() -> None:
    # printf '["toy",[1,["a",[true,null,0.5]],[]]]' | sha256sum
    assert NESTED.digest() == "d97026a57624684a"


def test_different_spaces_and_specs_have_different_digests() -> None:
    others = [Architecture("tot", NESTED.spec), Architecture("toy", 1), Architecture("toy", "1")]
    assert len({a.digest() for a in [NESTED, *others]}) == 4


@pytest.mark.parametrize("text", ["[]", "3", '{"space": "toy"}', '{"spec": []}', "no json"])
def test_json_that_is_not_an_architecture_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Architecture.from_json(text)


def test_an_object_in_a_spec_is_refused_for_it_cannot_be_hashed() -> None:
    with pytest.raises(ValueError, match="lists and plain values, not objects"):
        Architecture.from_json('{"space": "toy", "spec": [1, {"op": "linear"}]}')
