"""Membership in the Reber grammar: can the automaton generate this string?"""

from functools import cache

import numpy as np

from nas.tasks.classification import Classification, Examples
from nas.tasks.options import at_least
from search_spaces.space import DataShape

# state -> (letter, next state); Reber 1967, drawn in Cleeremans et al. 1989, figure 2
AUTOMATON: dict[int, tuple[tuple[str, int], ...]] = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
}
FOLLOWING = {state: dict(branches) for state, branches in AUTOMATON.items()}
END = 7
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHORTEST, MODE, LONGEST = 11, 22, 53
VOCABULARY = 128  # ASCII; 0 is padding


def load_reber(*, strings: int = 25_000, batch: int = 64, data_seed: int = 0) -> Classification:
    """Return half valid strings, half strings with altered letters, of 11 to 53 letters.

    The sizes follow the literature on sparse recurrent networks: 25,000 strings, a quarter of them
    for test. A fifth of the rest is validation here.
    strings: total number, at least 10. data_seed: draws the strings; independent of a search's
    seed.
    """
    at_least(10, strings=strings)
    at_least(1, batch=batch)
    at_least(0, data_seed=data_seed)
    rng = np.random.default_rng([data_seed, 17])
    texts: dict[str, None] = {}
    for wanted_valid in (True, False):
        wanted = strings // 2
        while wanted:
            text = draw(rng)
            if not wanted_valid:
                text = altered(text, rng)
            if text not in texts and is_reber(text) == wanted_valid:
                texts[text] = None
                wanted -= 1
    examples = _examples(list(texts))
    examples = examples.take(rng.permutation(len(examples)))
    tested = len(examples) // 4
    validated = (len(examples) - tested) // 5
    return Classification(
        name="reber",
        shape=DataShape("tokens", VOCABULARY, 2, every_step=False),
        test=examples.take(slice(0, tested)),
        valid=examples.take(slice(tested, tested + validated)),
        train=examples.take(slice(tested + validated, None)),
        batch=batch,
    )


def is_reber(text: str) -> bool:
    """Return whether the automaton can generate the text from its first to its last state.

    >>> is_reber("BTSSXXTVVE"), is_reber("BTXSE"), is_reber("BTXPE")
    (True, True, False)
    """
    state = 0
    for letter in text:
        state = FOLLOWING[state].get(letter, -1) if state in FOLLOWING else -1
    return state == END


def draw(rng: np.random.Generator) -> str:
    """Draw a length, then a valid string uniformly from all strings of that length.

    Lengths have a triangular distribution from 11 to 53 with mode 22, as in the literature.
    """
    left = int(rng.triangular(SHORTEST, MODE, LONGEST + 1))
    state, letters = 0, []
    for chance in rng.random(left):
        of_first, of_all = _ways(state, left)
        letter, state = AUTOMATON[state][-1 if chance * of_all >= of_first else 0]
        letters.append(letter)
        left -= 1
    return "".join(letters)


@cache
def _ways(state: int, letters: int) -> tuple[int, int]:
    """In how many ways the automaton can end from a state by its first branch, and by any."""
    ways = [_endings(following, letters - 1) for _, following in AUTOMATON[state]]
    return ways[0], sum(ways)


@cache
def _endings(state: int, letters: int) -> int:
    """Return in how many ways the automaton can end from `state` with exactly `letters` letters."""
    if state == END or letters == 0:
        return int(state == END and letters == 0)
    return sum(_endings(following, letters - 1) for _, following in AUTOMATON[state])


def altered(text: str, rng: np.random.Generator) -> str:
    """Return the text with one to three of its inner letters redrawn from A to Z."""
    letters = list(text)
    for place in rng.choice(np.arange(1, len(letters) - 1), int(rng.integers(1, 4)), replace=False):
        letters[place] = LETTERS[int(rng.integers(len(LETTERS)))]
    return "".join(letters)


def _examples(texts: list[str]) -> Examples:
    inputs = np.zeros((len(texts), LONGEST), np.int64)
    for row, text in zip(inputs, texts, strict=True):
        row[: len(text)] = np.frombuffer(text.encode(), np.uint8)
    return Examples(
        inputs,
        np.array([is_reber(text) for text in texts], np.int64),
        np.array([len(text) for text in texts], np.int64),
    )
