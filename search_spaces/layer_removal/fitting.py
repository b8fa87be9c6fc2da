"""Makes a student as wide as its limits allow, or smaller until it meets them."""

from collections.abc import Callable
from math import sqrt
from statistics import mean

from search_spaces.layer_removal.space import Outline, Student, is_within, scaled, shares

STEPS = 8  # of the bisection


def fitted(
    outline: Outline, student: Student, narrowest: int, meets: Callable[[Student], bool]
) -> Student:
    """Return the student with all widths scaled by one factor, the largest that meets the limits.

    Where the narrowest widths are too wide still, more layers are removed first: those that the
    student narrows most. Where whole widths leave room, removed layers come back, first to last.
    meets: whether a student meets the limits; asked about ten times.
    Returns the smallest student there is if not even that one meets them.
    """
    student, is_met = _with_layers_removed(outline, student, narrowest, meets)
    kept = shares(outline, student).values()
    if not is_met or not kept:
        return scaled(outline, student, 0, narrowest)
    low, high = narrowest / 20 / max(kept), 2 / min(kept)  # the narrowest; the whole
    if meets(whole := scaled(outline, student, high, narrowest)):
        fuller = _with_a_layer_back(outline, student)
        if fuller is None or not meets(scaled(outline, fuller, 0, narrowest)):
            return whole
        return fitted(outline, fuller, narrowest, meets)
    best = scaled(outline, student, 0, narrowest)
    for _ in range(STEPS):
        middle = sqrt(low * high)
        tried = scaled(outline, student, middle, narrowest)
        if meets(tried):
            low, best = middle, tried
        else:
            high = middle
    return best


def _with_layers_removed(
    outline: Outline, student: Student, narrowest: int, meets: Callable[[Student], bool]
) -> tuple[Student, bool]:
    """Remove as few more layers as the narrowest widths need; say whether they meet the limits."""
    widths = shares(outline, student)

    def width(block: tuple[str, ...]) -> float:
        groups = outline.remaining(student.removed)
        own = [widths[m] for m, group in groups if any(is_within(x, block) for x in group.makers)]
        return mean(own or [1.0])

    left = [block for block in outline.removable if block[0] not in student.removed]
    for block in [(), *sorted(left, key=width)]:
        removed = {*student.removed, *block}
        in_order = (path for paths in outline.removable for path in paths if path in removed)
        student = Student(tuple(in_order), student.widths)
        if meets(scaled(outline, student, 0, narrowest)):
            return student, True
    return student, False


def _with_a_layer_back(outline: Outline, student: Student) -> Student | None:
    """Return the student with the first of its removed layers again; None if it has them all."""
    back = next((block for block in outline.removable if block[0] in student.removed), None)
    if back is None:
        return None
    return Student(tuple(path for path in student.removed if path not in back), student.widths)
