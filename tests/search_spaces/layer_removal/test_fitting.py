"""Students made as wide as a limit allows, with costs that are simple sums."""

from search_spaces.layer_removal.fitting import fitted
from search_spaces.layer_removal.space import Channels, Outline, Student, is_within

OUTLINE = Outline(
    removable=(("a",), ("b",)),
    channels=(
        Channels(("stem", "a.out", "b.out"), 100),
        Channels(("a.inner",), 100),
        Channels(("b.inner",), 100),
    ),
)


def cost(student: Student) -> float:
    """Ten for each block that is there, and one for each channel."""
    widths = dict(student.widths)
    total = sum(10 for block in ("a", "b") if block not in student.removed)
    for makers, width in OUTLINE.channels:
        left = [maker for maker in makers if not is_within(maker, student.removed)]
        if left:
            total += widths.get(left[0], width)
    return total


def fit(student: Student, most: float) -> Student:
    return fitted(OUTLINE, student, 1, lambda tried: cost(tried) <= most)


def test_widths_are_scaled_together_up_or_down_to_the_limit() -> None:
    proposed = Student((), (("stem", 20), ("a.inner", 40)))  # and all of b.inner
    for most in (60, 100, 200, 300):
        found = fit(proposed, most)
        assert 0.97 * most <= cost(found) <= most
    widths = dict(fit(proposed, 116).widths)
    assert abs(widths["a.inner"] - 2 * widths["stem"]) <= 1
    assert abs(widths["b.inner"] - 5 * widths["stem"]) <= 3


def test_where_narrow_layers_are_too_large_those_narrowed_most_are_removed() -> None:
    proposed = Student((), (("a.inner", 50), ("b.inner", 20)))
    found = fit(proposed, 45)  # the narrowest of both blocks cost 50
    assert found.removed == ("b",)
    assert 44 <= cost(found) <= 45
    assert fit(proposed, 11).removed == ("a", "b")


def test_removed_layers_come_back_where_whole_widths_leave_room() -> None:
    found = fit(Student(("a", "b"), (("stem", 10),)), 200)  # the stem alone costs 100
    assert found.removed == ("b",)
    assert 194 <= cost(found) <= 200
    assert fit(Student(("a", "b"), ()), 105) == Student(("b",), (("stem", 47), ("a.inner", 47)))


def test_the_smallest_is_returned_where_nothing_meets_the_limit() -> None:
    assert fit(Student((), ()), 5) == Student(("a", "b"), (("stem", 10),))


def test_the_width_of_a_group_is_kept_when_its_first_maker_goes() -> None:
    groups = (Channels(("a.out", "b.out"), 100), Channels(("b.inner",), 100))
    outline = Outline((("a",), ("b",)), groups)
    proposed = Student((), (("a.out", 50),))
    found = fitted(outline, proposed, 10, lambda student: "a" in student.removed)
    assert found == Student(("a",), ())
    found = fitted(outline, proposed, 5, lambda student: sum(dict(student.widths).values()) <= 101)
    assert dict(found.widths) == {}
