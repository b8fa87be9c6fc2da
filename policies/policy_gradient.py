"""Policy gradient: trains a network to give the answers that earned rewards."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from policies.decision_lstm import DecisionLstm
from search_spaces.decisions import Decision, Path

Method = Literal["ppo", "reinforce"]
Baseline = Literal["leave-one-out", "moving"]
Step = tuple[Decision | None, str, int]  # previous decision, this decision's name, its options


class Network(Protocol):
    """The interface of the `nn.Module` that a policy gradient trains; it answers step by step.

    Called with paths, it returns the answers' log-probabilities and the entropies as shares of
    their maxima, both `[B, T]` with zeros after a path's end. Each path has at least one decision,
    and each decision more than one option.
    """

    def __call__(self, decided: Sequence[Path]) -> tuple[Tensor, Tensor]: ...

    def start(self) -> Any:
        """Return the state before the first decision."""
        ...

    def step(
        self, state: Any, before: Decision | None, name: str, options: int
    ) -> tuple[np.ndarray, Any]:
        """Return the probabilities of a decision's options, `[O]`, and the state after it."""
        ...

    def parameters(self) -> Iterator[Any]: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


class PolicyGradient:
    """REINFORCE or PPO on an autoregressive policy.

    Williams 1992, https://doi.org/10.1007/BF00992696; for architectures Zoph and Le 2017, section
    3.2, https://arxiv.org/abs/1611.01578; PPO: Schulman et al. 2017, eq. 7,
    https://arxiv.org/abs/1707.06347. A reward counts by its rank among all rewards so far, 0 to 1,
    as in Salimans et al. 2017, section 2, https://arxiv.org/abs/1703.03864; a failure counts 0.
    PPO's old probabilities are those of the policy when a batch is complete: candidates that were
    in flight during the previous update were proposed by a slightly older policy.

    batch: results per update.
    method: "ppo" takes `epochs` steps on a batch and clips the ratio; "reinforce" takes one step.
    baseline: the mean reward of the other results in the batch (Kool et al. 2019,
        https://openreview.net/forum?id=r1lgTGL5DE), or a moving average over batches.
    entropy: weight of a decision's entropy, as a share of its maximum, relative to its reward.
    network: trained in place; by default an LSTM over the decisions' names.

    >>> import optuna
    >>> from policies.path_sampler import PathSampler
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> sampler = PathSampler(PolicyGradient(np.random.default_rng(0)))
    >>> study = optuna.create_study(sampler=sampler)
    >>> def distance(trial): return sum(trial.suggest_int(f"n{i}", 0, 3) for i in range(5))
    >>> study.optimize(distance, n_trials=150)
    >>> study.best_value <= 2
    True
    """

    def __init__(
        self,
        rng: np.random.Generator,
        batch: int = 10,
        method: Method = "ppo",
        baseline: Baseline = "leave-one-out",
        learning_rate: float = 0.04,
        entropy: float = 0.1,
        epochs: int = 2,
        clip: float = 0.2,
        network: Network | None = None,
    ) -> None:
        if method not in get_args(Method) or baseline not in get_args(Baseline):
            methods, baselines = ", ".join(get_args(Method)), ", ".join(get_args(Baseline))
            raise ValueError(
                f"unknown method {method} or baseline {baseline}; "
                f"methods: {methods}; baselines: {baselines}"
            )
        if batch < 2 or epochs < 1:
            raise ValueError("batch must be at least 2, epochs at least 1")
        self.rng = rng
        self.size, self.method, self.baseline = batch, method, baseline
        self.entropy, self.clip = entropy, clip
        self.epochs = epochs if method == "ppo" else 1
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        self.network: Network = network or DecisionLstm(generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        self.batch: list[tuple[Path, float | None]] = []
        self.rewards: list[float] = []  # sorted
        self.average = 0.5
        self._steps: list[tuple[Step, np.ndarray, Any]] = []

    def choose(self, path: Path, name: str, options: int) -> int:
        decided = [decision for decision in path if decision.options > 1]
        asked: list[Step] = [
            (before, decision.name, decision.options)
            for before, decision in zip([None, *decided], decided, strict=False)
        ]
        asked.append((decided[-1] if decided else None, name, options))
        for t, step in enumerate(asked):  # steps of earlier questions are cached
            if t == len(self._steps) or self._steps[t][0] != step:
                state = self._steps[t - 1][2] if t else self.network.start()
                self._steps[t:] = [(step, *self.network.step(state, *step))]
        probabilities = self._steps[len(asked) - 1][1]
        return int(self.rng.choice(options, p=probabilities))

    def learn(self, path: Path, reward: float | None) -> None:
        decided = tuple(decision for decision in path if decision.options > 1)
        if not decided:
            return
        if reward is not None:
            insort(self.rewards, reward)
        self.batch.append((decided, reward))
        if len(self.batch) == self.size:
            self._update()
            self.batch = []
            self._steps = []

    def _update(self) -> None:
        paths = [path for path, _ in self.batch]
        decisions = sum(len(path) for path, _ in self.batch)
        advantages = self._advantages()
        before = None
        for _ in range(self.epochs):
            log_p, entropies = self.network(paths)
            before = log_p.detach() if before is None else before
            gain = self._gain(log_p, before, advantages[:, None])
            loss = -(gain + self.entropy * entropies).sum() / decisions
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    def _gain(self, log_p: Tensor, before: Tensor, advantages: Tensor) -> Tensor:
        """Return the objective to maximise, `[B, T]`; forced decisions have no gradient."""
        if self.method == "reinforce":
            return log_p * advantages
        ratio = (log_p - before).clamp(-20, 20).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        return torch.minimum(ratio * advantages, clipped * advantages)

    def _advantages(self) -> Tensor:
        ranks = torch.tensor([self._rank(reward) for _, reward in self.batch])
        if self.baseline == "leave-one-out":
            return (ranks - ranks.mean()) * self.size / (self.size - 1)
        advantages = ranks - self.average
        self.average += 0.3 * (float(ranks.mean()) - self.average)
        return advantages

    def _rank(self, reward: float | None) -> float:
        if reward is None:
            return 0.0
        around = bisect_left(self.rewards, reward), bisect_right(self.rewards, reward)
        return sum(around) / 2 / len(self.rewards)
