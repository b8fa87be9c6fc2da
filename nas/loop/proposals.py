"""New candidates: who proposes them, which are equal to a known one, which results are awaited."""

from collections.abc import Callable

from nas.core.job import Job
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal, Proposer
from nas.loop.plan import Plan
from nas.loop.promotion import best_of_pool
from nas.loop.run_folder import RunFolder

REDRAWS = 20  # of a proposal whose result is known, before it counts as a candidate


class Proposals:
    """Makes candidates of a controller's proposals, and tells it what came of them.

    candidates: all of the run by number; new ones are added.
    drawer: proposes the pool of a plan that has one.
    answer: gives a candidate (first argument) the results of an equal one (second argument).

    unscreened: candidates whose screening is awaited.
    opening: the best of the pool, which open the search; None until the pool is screened.
    """

    def __init__(
        self,
        run: RunFolder,
        job: Job,
        plan: Plan,
        candidates: dict[int, Candidate],
        controller: Proposer,
        drawer: Proposer,
        answer: Callable[[int, int], None],
    ) -> None:
        self._run, self._space, self._plan = run, job.space, plan
        self._candidates, self._answer = candidates, answer
        self._controller, self._drawer = controller, drawer
        self._tokens: dict[int, int] = {}  # of the candidates that the controller waits for
        self._originals: dict[str, int] = {}  # digest -> the first candidate that has it
        self._duplicates: dict[int, list[int]] = {}  # original -> those that wait for it
        self.unscreened: set[int] = set()
        self.opening: list[int] | None = None

    @property
    def left(self) -> int:
        """How many proposals the plan still asks for."""
        return self._plan.records - len(self._candidates)

    def wanted_now(self) -> int:
        """How many proposals the next call screens; none while the pool's last are screened."""
        if self.opening is None:
            return min(self._plan.batch, self._plan.pool - len(self._candidates))
        return min(self._plan.batch if self._plan.guide else 1, self.left)

    def propose(self, wanted: int) -> list[int]:
        """Add new candidates; returns the numbers of those that must be evaluated."""
        new = []
        for _ in range(wanted):
            proposal = self._proposal()
            candidate = self._run.add(proposal)
            self._candidates[candidate.number] = candidate
            if self.opening is not None:
                self._tokens[candidate.number] = proposal.token
            if self.is_new(candidate):
                new.append(candidate.number)
        return new

    def is_new(self, candidate: Candidate) -> bool:
        """Whether no equal candidate is known; if one is, this one gets its results."""
        original = self._originals.setdefault(candidate.digest, candidate.number)
        if original == candidate.number:
            self.unscreened.add(original)
            return True
        if self._is_awaited(original):
            self._duplicates.setdefault(original, []).append(candidate.number)
        else:
            self._answer(candidate.number, original)
        return False

    def remember(self, candidate: Candidate) -> None:
        """Take in a result of the record."""
        self._originals.setdefault(candidate.digest, candidate.number)

    def introduce(self, candidate: Candidate) -> None:
        """Tell the controller about a candidate of the pool or the record."""
        if self.opening is None:
            return
        known = self._plan.is_told(candidate)
        trial = self._run.trial(candidate.number)
        token = self._controller.remember(trial, self._plan.value(candidate), known)
        if not known:
            self._tokens[candidate.number] = token

    def open(self) -> None:
        """Make the best of the pool the controller's first proposals, once all is screened.

        The others count as never drawn: a proposal of one of them is a new candidate.
        """
        pool = self._plan.pool
        if self.opening is not None or len(self._candidates) < pool:
            return
        if any(number < pool for number in self.unscreened):
            return
        drawn = [c for n, c in self._candidates.items() if n < pool]
        self.opening, ranked = best_of_pool(self._plan, drawn)
        closed = ranked - set(self.opening)
        self._originals = {d: n for d, n in self._originals.items() if n not in closed}
        for number in self.opening:
            self.introduce(self._candidates[number])

    def tell(self, candidate: Candidate) -> None:
        """Tell the controller about a new result, and give it to the candidate's duplicates."""
        number, in_pool = candidate.number, self.is_in_the_pool(candidate.number)
        if not self._plan.is_told(candidate) and not in_pool:
            return
        token = self._tokens.pop(number, None)
        if token is not None:
            self._controller.tell(token, self._plan.value(candidate))
        elif candidate.failed and not in_pool:
            self._controller.tell_late_failure(self._run.trial(number))
        for duplicate in self._duplicates.pop(number, ()):
            self._answer(duplicate, number)

    def offer(self, candidate: Candidate) -> None:
        """Offer the scores to a controller that waits for losses."""
        if candidate.scores and not self._plan.guide:
            self._controller.offer(self._run.trial(candidate.number), candidate.scores)

    def is_in_the_pool(self, number: int) -> bool:
        """Whether it was drawn for the pool and is not one of those that open the search."""
        return number < self._plan.pool and number not in (self.opening or ())

    def _is_awaited(self, number: int) -> bool:
        return number in self._tokens or number in self.unscreened

    def _proposal(self) -> Proposal:
        """A proposal that has not been evaluated before, if one comes within a few draws.

        The proposer is told the recorded results of the others.
        """
        proposer = self._drawer if self.opening is None else self._controller
        proposal = proposer.propose(self._space)
        for _ in range(REDRAWS):
            original = self._originals.get(proposal.architecture.digest())
            if original is None or self._is_awaited(original):
                break
            proposer.tell(proposal.token, self._plan.value(self._candidates[original]))
            proposal = proposer.propose(self._space)
        return proposal
