"""One cycle of pruning: a base method and, on top of it, activating-while-pruning."""

from collections.abc import Sequence

from torch import nn

from compress.pruning.activating_while_pruning import remove_unmoved_negatives
from compress.pruning.masks import Masks, all_left, apply_masks, remove_lowest
from compress.pruning.saliency import Evidence, Method
from compress.pruning.schedule import iterative
from compress.pruning.targets import Target, parameters_of


def prune(
    model: nn.Module,
    targets: Sequence[Target],
    method: Method,
    level: float,
    evidence: Evidence,
    *,
    masks: Masks | None = None,
    activating: float = 0.0,
    relative: bool = False,
    scope: str = "global",
) -> Masks:
    """Remove weights until the share `level` of the targets' weights is gone; return the masks.

    masks: the masks of earlier cycles.
    activating: q, the share of the weights left before the cycle that activating-while-pruning
        removes; the base method removes the others. If too few negative weights are left, the
        base method removes the rest. relative: see `remove_unmoved_negatives`.
    Raises `ValueError` if evidence is missing, or if q is more than the whole cycle removes.
    """
    missing = [name for name in method.needs if getattr(evidence, name) is None]
    if missing or (activating and evidence.start is None):
        raise ValueError(f"missing evidence for the method: {', '.join(missing or ['start'])}")
    masks = all_left(model, targets) if masks is None else masks
    size = sum(mask.numel() for mask in masks.values())
    left = sum(int(mask.sum()) for mask in masks.values())
    count = round(activating * left)
    removed = round(level * size) - (size - left)
    if count > max(removed, 0):
        raise ValueError(
            f"activating-while-pruning would remove {count} weights, but the cycle removes only "
            f"{removed}: lower q or raise the level"
        )
    masks = _by_method(model, targets, method, level - count / size, evidence, masks, scope)
    if count:
        assert evidence.start is not None
        weights = parameters_of(model, targets)
        masks = remove_unmoved_negatives(masks, weights, evidence.start, count, relative)
        masks = _by_method(model, targets, method, level, evidence, masks, scope)
    apply_masks(model, masks)
    return masks


def _by_method(
    model: nn.Module,
    targets: Sequence[Target],
    method: Method,
    level: float,
    evidence: Evidence,
    masks: Masks,
    scope: str,
) -> Masks:
    """Reach the level in the method's number of rounds, masking the weights; return the masks."""
    apply_masks(model, masks)
    for target in iterative(level, method.rounds):
        scores = method.score(model, targets, evidence)
        masks = remove_lowest(masks, scores, targets, target, scope)
        apply_masks(model, masks)
    return masks
