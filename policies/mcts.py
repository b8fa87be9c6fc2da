"""Monte Carlo tree search over decisions: the tree grows where results are good."""

from dataclasses import dataclass, field

import numpy as np

from search_spaces.decisions import Decision, Path

Answer = tuple[str, int]  # a decision's name and the index taken


@dataclass(slots=True)
class Statistics:
    """Results of the finished candidates that share some answers.

    visits: how many finished.
    successes: how many of them did not fail.
    total: the sum of their rewards.
    best: their highest reward.
    """

    visits: int = 0
    successes: int = 0
    total: float = 0.0
    best: float = -np.inf

    def add(self, reward: float | None) -> None:
        self.visits += 1
        if reward is not None:
            self.successes += 1
            self.total += reward
            self.best = max(self.best, reward)


@dataclass(slots=True)
class Node(Statistics):
    """A prefix of decisions.

    options: how many answers the next decision has; 0 at the end of a candidate.
    closed: whether every candidate below is known, so that a visit would learn nothing.
    flying: how many candidates below are being evaluated; not rebuilt from a record.
    """

    options: int = 0
    children: dict[Answer, "Node"] = field(default_factory=dict)
    closed: bool = False
    flying: int = field(default=0, compare=False)


class TreeSearch:
    """UCT (Kocsis and Szepesvári 2006, https://doi.org/10.1007/11871842_29, eq. 1) for candidates.

    - An answer's value mixes the mean and the best of its rewards. Rewards are scaled to the range
      seen, from the `floor` quantile (anything worse counts 0) to the best. Failures count 0.
    - RAVE: the value of an answer anywhere in the tree counts like `equivalence` visits (Gelly and
      Silver 2011, https://doi.org/10.1016/j.artint.2011.03.007, their hand-selected schedule).
    - Progressive widening: at most `widening * sqrt(visits + 1)` answers of a node are open
      (Couëtoux et al. 2011, https://doi.org/10.1007/978-3-642-25566-3_32, with alpha = 1/2).
    - Virtual loss: a candidate in flight counts as a visit without value, in a separate counter
      (Chaslot et al. 2008, https://doi.org/10.1007/978-3-540-87608-3_6, section 3.3).
    - Below the tree, an answer is random with probability `chance`, otherwise the best by RAVE.
    - A subtree whose candidates are all known is skipped until every subtree is known.

    exploration: weight of UCT's bonus.  best_share: weight of the best reward, 0 to 1.

    >>> import optuna
    >>> from policies.path_sampler import PathSampler
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=PathSampler(TreeSearch(np.random.default_rng(0))))
    >>> def distance(trial): return sum(trial.suggest_int(f"n{i}", 0, 5) for i in range(4))
    >>> study.optimize(distance, n_trials=80)
    >>> study.best_value <= 2
    True
    """

    def __init__(
        self,
        rng: np.random.Generator,
        exploration: float = 0.5,
        best_share: float = 0.4,
        equivalence: float = 10.0,
        widening: float = 2.0,
        chance: float = 0.1,
        floor: float = 0.5,
    ) -> None:
        for name, value in (("best_share", best_share), ("chance", chance), ("floor", floor)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        if exploration < 0 or equivalence < 0 or widening <= 0:
            raise ValueError("exploration and equivalence must be at least 0, widening above 0")
        self.rng = rng
        self.exploration, self.best_share = exploration, best_share
        self.equivalence, self.widening = equivalence, widening
        self.chance, self.floor = chance, floor
        self.root = Node()
        self.anywhere: dict[Answer, Statistics] = {}
        self.rewards: list[float] = []
        self._range = (0.0, 0.0)

    def choose(self, path: Path, name: str, options: int) -> int:
        nodes = self._walk(path)
        if len(nodes) == 1:
            nodes[0].flying += 1
        node = nodes[-1]
        free = [i for i in range(options) if not self._closed(node, (name, i))]
        index = self._pick(node, name, free or list(range(options)))
        node.children.setdefault((name, index), Node()).flying += 1
        return index

    def learn(self, path: Path, reward: float | None) -> None:
        decided = _open(path)
        if not decided:
            return
        if reward is not None:
            self.rewards.append(reward)
            self._range = float(np.quantile(self.rewards, self.floor)), max(self.rewards)
        nodes = [self.root]
        for decision in decided:
            nodes[-1].options = decision.options
            answer = (decision.name, decision.index)
            self.anywhere.setdefault(answer, Statistics()).add(reward)
            nodes.append(nodes[-1].children.setdefault(answer, Node()))
        for node in reversed(nodes):
            node.add(reward)
            node.flying = max(node.flying - 1, 0)
            known = [child for child in node.children.values() if child.closed]
            node.closed = len(known) >= node.options

    def _walk(self, path: Path) -> list[Node]:
        """Return the nodes of a path's prefixes, starting at the root."""
        nodes = [self.root]
        for decision in _open(path):
            answer = (decision.name, decision.index)
            nodes.append(nodes[-1].children.setdefault(answer, Node()))
        return nodes

    def _closed(self, node: Node, answer: Answer) -> bool:
        child = node.children.get(answer)
        return child is not None and child.closed

    def _pick(self, node: Node, name: str, free: list[int]) -> int:
        if not node.visits and self.rng.random() < self.chance:
            return free[self.rng.integers(len(free))]
        answers = [(name, i) for i in free]
        known = [a for a in answers if a in node.children]
        opened = max(1, int(self.widening * (node.visits + node.flying + 1) ** 0.5))
        if len(known) >= opened:
            answers = known
        values = [self._value(node, answer) for answer in answers]
        best = np.flatnonzero(np.array(values) >= max(values) - 1e-12)
        return answers[best[self.rng.integers(len(best))]][1]

    def _value(self, node: Node, answer: Answer) -> float:
        """Return an answer's value, here and by RAVE, plus UCT's bonus for few visits."""
        child = node.children.get(answer, Node())
        elsewhere = self.anywhere.get(answer, Statistics())
        tried = child.visits + child.flying
        share = 1.0
        if self.equivalence or tried:
            share = (self.equivalence / (3 * tried + self.equivalence)) ** 0.5
        value = (1 - share) * self._mix(child, tried) + share * self._mix(
            elsewhere, elsewhere.visits
        )
        visits = node.visits + node.flying + 1
        return value + self.exploration * (np.log(visits) / (tried + 1)) ** 0.5

    def _mix(self, known: Statistics, tried: int) -> float:
        if not known.successes:
            return 0.5 if not tried else 0.0
        low, high = self._range
        mean, best = (
            min(max((reward - low) / (high - low), 0.0), 1.0) if high > low else 0.5
            for reward in (known.total / known.successes, known.best)
        )
        return (1 - self.best_share) * mean * known.successes / tried + self.best_share * best


def _open(path: Path) -> list[Decision]:
    """Return the decisions that have more than one option."""
    return [decision for decision in path if decision.options > 1]
