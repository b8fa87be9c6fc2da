"""Turns proposals into candidates, finds duplicates, and tracks which results are pending."""

from collections.abc import Callable

from nas.core.job import Job
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal, Proposer
from nas.loop.plan import Plan
from nas.loop.promotion import best_of_pool
from nas.loop.run_folder import RunFolder

REDRAWS = 20  # proposals with known results before such a proposal becomes a candidate


class Proposals:
    """Makes candidates from a controller's proposals, and reports their results to it.

    add: records a proposal as the next candidate; returns None if the record has another one.
    candidates: the run's candidates by number; new ones are added.
    drawer: proposes the pool, if the plan has one.
    answer: gives a candidate (first argument) the results of an equal one (second argument).

    unscreened: the candidates that are still being screened.
    opening: the best of the pool, which open the search; None until the pool is screened.
    """

    def __init__(
        self,
        add: Callable[[Proposal], Candidate | None],
        run: RunFolder,
        job: Job,
        plan: Plan,
        candidates: dict[int, Candidate],
        controller: Proposer,
        drawer: Proposer,
        answer: Callable[[int, int], None],
    ) -> None:
        self._add, self._run, self._space, self._plan = add, run, job.space, plan
        self._candidates, self._answer = candidates, answer
        self._controller, self._drawer = controller, drawer
        self._tokens: dict[int, int] = {}  # of candidates whose value the controller lacks
        self._originals: dict[str, int] = {}  # digest -> the first candidate that has it
        self._duplicates: dict[int, list[int]] = {}  # original -> duplicates that wait for it
        self.unscreened: set[int] = set()
        self.opening: list[int] | None = None

    @property
    def left(self) -> int:
        """The number of proposals that the plan still needs."""
        return max(0, self._plan.records - len(self._candidates))

    def wanted_now(self) -> int:
        """Return how many proposals to screen in the next call; 0 while the pool finishes."""
        if self.opening is None:
            return min(self._plan.batch, max(0, self._plan.pool - len(self._candidates)))
        return min(self._plan.batch if self._plan.guide else 1, self.left)

    def propose(self, wanted: int) -> list[int]:
        """Add new candidates; returns the numbers of those to evaluate."""
        new = []
        for _ in range(wanted):
            proposal = self._proposal()
            candidate = self._add(proposal)
            if candidate is None:
                break
            self._candidates[candidate.number] = candidate
            if self.opening is not None:
                self._tokens[candidate.number] = proposal.token
            if self.is_new(candidate):
                new.append(candidate.number)
        return new

    def is_new(self, candidate: Candidate) -> bool:
        """Return whether no equal candidate is known; otherwise share the known one's results."""
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
        """Register a recorded candidate that has a result."""
        self._originals.setdefault(candidate.digest, candidate.number)

    def introduce(self, candidate: Candidate) -> None:
        """Pass a candidate of the pool or the record to the controller."""
        if self.opening is None:
            return
        known = self._plan.has_value(candidate)
        trial = self._run.trial(candidate.number)
        token = self._controller.remember(trial, self._plan.value(candidate), known)
        if not known:
            self._tokens[candidate.number] = token

    def open(self) -> None:
        """Make the best of the pool the controller's first proposals, once the pool is screened.

        The others count as never proposed: if one is proposed later, it is a new candidate.
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
        """Report a new result to the controller, and share it with the candidate's duplicates."""
        number, in_pool = candidate.number, self.is_in_the_pool(candidate.number)
        if not self._plan.has_value(candidate) and not in_pool:
            return
        token = self._tokens.pop(number, None)
        if token is not None:
            self._controller.tell(token, self._plan.value(candidate))
        elif candidate.failed and not in_pool:
            self._controller.tell_late_failure(self._run.trial(number))
        for duplicate in self._duplicates.pop(number, ()):
            self._answer(duplicate, number)

    def offer(self, candidate: Candidate) -> None:
        """Offer a candidate's scores to a controller that waits for losses."""
        if candidate.scores and not self._plan.guide:
            self._controller.offer(self._run.trial(candidate.number), candidate.scores)

    def is_in_the_pool(self, number: int) -> bool:
        """Whether a candidate was drawn for the pool and does not open the search."""
        return number < self._plan.pool and number not in (self.opening or ())

    def _is_awaited(self, number: int) -> bool:
        return number in self._tokens or number in self.unscreened

    def _proposal(self) -> Proposal:
        """Return a proposal that has not been evaluated before, if a few draws find one.

        The proposer receives the recorded results of the other draws.
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
