"""The best of values that come and go."""

from heapq import heappop, heappush

from nas.core.job import Objective


class Best:
    """The best value among the candidates that have not failed.

    what: the values' name and direction; None to keep nothing.
    """

    def __init__(self, what: Objective | None) -> None:
        self.what = what
        self._values: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []  # of costs; some are out of date

    def add(self, number: int, value: float) -> None:
        assert self.what is not None
        if self._values.get(number) != value:
            self._values[number] = value
            heappush(self._heap, (self.what.cost(value), number))

    def remove(self, number: int) -> None:
        self._values.pop(number, None)

    def value(self) -> float | None:
        while self._heap and self.what is not None:
            cost, number = self._heap[0]
            value = self._values.get(number)
            if value is not None and self.what.cost(value) == cost:
                return value
            heappop(self._heap)
        return None
