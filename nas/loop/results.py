"""What is known of a candidate once one more result of it has come."""

from dataclasses import replace

from nas.core.job import Screened, Trained
from nas.loop.candidate import Candidate, Rung


def with_screening(candidate: Candidate, result: Screened) -> Candidate:
    return replace(
        candidate,
        parameters=result.parameters,
        flops=result.flops,
        scores=result.scores,
        measures=result.measures,
        seconds=result.seconds,
    )


def with_training(candidate: Candidate, result: Trained, checkpoint: str) -> Candidate:
    """checkpoint: the file that holds the weights, relative to the run's folder."""
    rung = Rung(
        step=result.step,
        loss=result.validation.loss,
        metric=result.validation.metric,
        train_loss=result.train_loss,
        seconds=result.seconds,
        checkpoint=checkpoint,
    )
    return replace(
        candidate,
        rungs=(*candidate.rungs, rung),
        measures={**candidate.measures, **result.measures},
        seconds=candidate.seconds + result.seconds,
    )


def with_failure(candidate: Candidate, reason: str, seconds: float = 0.0) -> Candidate:
    return replace(candidate, failed=reason, seconds=candidate.seconds + seconds)


def with_results_of(original: Candidate, candidate: Candidate, with_rung: bool) -> Candidate:
    """A duplicate, with what is known of the original; with its first rung if wanted."""
    return replace(
        candidate,
        parameters=original.parameters,
        flops=original.flops,
        scores=original.scores,
        measures=original.measures,
        failed=original.failed,
        rungs=original.rungs[:1] if with_rung else (),
        duplicate_of=original.number,
    )
