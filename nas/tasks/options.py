"""Checks the options of a task before anything uses them."""

from nas.core.task import BadData


def at_least(least: int, **options: int) -> None:
    """Raise `BadData` for the first option that is not a whole number of at least `least`.

    >>> at_least(1, batch=0)
    Traceback (most recent call last):
    nas.core.task.BadData: batch is 0: give a whole number, at least 1
    """
    for name, value in options.items():
        if type(value) is not int or value < least:
            raise BadData(f"{name} is {value!r}: give a whole number, at least {least}")
