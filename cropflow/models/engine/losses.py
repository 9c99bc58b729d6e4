"""What is minimised, and how scores become probabilities.

Every loss gives a sum over the samples with a class and the sum of their weights, so that means are exact whatever the
batches and processes. A sample is a pixel of a patch, or a parcel, chip or pixel as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models import Training
from cropflow.errors import CropflowError, refuse
from cropflow.models.batch import IGNORED

# Of the levels of a legend, finest first; all coarser ones count as the last.
LEVEL_WEIGHTS = (1.0, 0.5, 0.1)


def to_probability(scores: Tensor, loss: str, dim: int = 1) -> Tensor:
    """Scores of a network as probabilities.

    Args:
        scores: What a network gave, any float type.
        loss: The loss that it was trained with.
        dim: Axis of the classes.

    Returns:
        float32 in [0, 1] of the shape of the scores: the softmax, whose sum is 1. After ``binary``, what each class
        says of itself; only where these add up to more than 1 they are divided by their sum, so that what is left is
        the chance of no class at all.
    """
    scores = scores.float()
    if loss != "binary":
        return scores.softmax(dim)
    alone = scores.sigmoid()
    return alone / alone.sum(dim, keepdim=True).clamp(min=1)


def weigh_classes(counts: NDArray[np.int64], rule: str, beta: float | None = None) -> NDArray[np.float32]:
    """Weight of each class in the loss, so that the mean over the samples is 1.

    Args:
        counts: Samples of each class in the training folds, at least 1, ``(class,)``.
        rule: ``none``; ``inverse_sqrt``; ``balanced``, which is n / (classes n_c); ``effective_number``.
        beta: Of the effective number.

    Source:
        Cui et al. (2019), https://doi.org/10.48550/arXiv.1901.05555, for the effective number.
    """
    found = counts.astype(np.float64)
    if rule == "effective_number":
        assert beta is not None  # the section fills it in
        # expm1, as 1 - beta ** n is 0 / 0 where beta is close to 1.
        weights = -(1 - beta) / np.expm1(found * np.log(beta))
    else:
        weights = found ** {"none": 0.0, "inverse_sqrt": -0.5, "balanced": -1.0}[rule]
    return np.asarray(weights * found.sum() / (weights * found).sum(), dtype=np.float32)


class Loss(nn.Module):
    """The loss of a training.

    Args:
        settings: ``loss`` and what belongs to it.
        class_weights: Weight of a sample by its class, ``(class,)``.
        levels: Coarser levels of the legend, coarsest first: the group of each class; see
            :class:`cropflow.models.network.Inputs`.
        staged: Whether the network scores every level itself; the scores of groups are sums over classes otherwise.

    Raises:
        CropflowError: If the levels that have a weight are not those of the legend.
    """

    class_weights: Tensor
    levels: Tensor

    def __init__(
        self,
        settings: Training,
        class_weights: NDArray[np.float32],
        levels: Sequence[Sequence[int]] = (),
        *,
        staged: bool = False,
    ) -> None:
        super().__init__()
        self.rule = settings.loss
        self.gamma = settings.gamma or 0.0  # filled in where it is of use
        self.staged = staged and self.rule == "hierarchical"
        self.level_weights: tuple[float, ...] = ()
        if self.rule == "hierarchical":
            self.level_weights = _level_weights(settings.level_weights, len(levels) + 1, staged)
        self.register_buffer("class_weights", torch.from_numpy(class_weights), persistent=False)
        groups = torch.tensor([list(level) for level in levels], dtype=torch.int64).reshape(
            len(levels), len(class_weights)
        )
        self.register_buffer("levels", groups, persistent=False)

    def forward(self, stages: Sequence[Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum up the loss of some samples.

        Args:
            stages: Scores, ``(N, class)``; of a staged network one per level, ``(N, group)``, coarsest first, and last
                the refined ones of the finest level.
            target: Positions of classes, int64, ``(N,)``; below 0 where there is none, which counts for nothing.

        Returns:
            Sum of the losses times the weights of their classes, and sum of these weights.
        """
        # All that is no class is one to the kernels, and weighs nothing.
        target = target.clamp(min=IGNORED)
        weights = self.class_weights[target.clamp(min=0)] * (target >= 0)
        each = self._each([scores.float() for scores in stages], target)
        return (each * weights).sum(), weights.sum()

    def _each(self, stages: Sequence[Tensor], target: Tensor) -> Tensor:
        """Loss of each sample; any number where there is no class."""
        if self.rule == "binary":
            wanted = functional.one_hot(target.clamp(min=0), stages[-1].shape[1]).float()
            return functional.binary_cross_entropy_with_logits(stages[-1], wanted, reduction="none").mean(1)
        if self.rule == "focal":
            missing = _cross_entropy(stages[-1], target)
            # Clamped, as the slope of a power below 1 has no end at 0.
            return (-torch.expm1(-missing)).clamp(min=torch.finfo(torch.float32).tiny) ** self.gamma * missing
        if self.rule == "hierarchical":
            return self._over_levels(stages, target)
        return _cross_entropy(stages[-1], target)

    def _over_levels(self, stages: Sequence[Tensor], target: Tensor) -> Tensor:
        *coarser, finest = self.level_weights
        known = target.clamp(min=0)
        if self.staged:
            total = _cross_entropy(stages[-1], target) + finest * _cross_entropy(stages[-2], target)
            for weight, groups, scores in zip(coarser, self.levels, stages[:-2], strict=True):
                total = total + weight * _cross_entropy(scores, groups[known])
            return total
        certainty = stages[-1].log_softmax(1)
        total = finest * functional.nll_loss(certainty, target, ignore_index=IGNORED, reduction="none")
        for weight, groups in zip(coarser, self.levels, strict=True):
            others = groups != groups[known].unsqueeze(1)
            total = total - weight * certainty.masked_fill(others, -torch.inf).logsumexp(1)
        return total


def _cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(scores, target, ignore_index=IGNORED, reduction="none")


def _level_weights(given: tuple[float, ...] | None, levels: int, staged: bool) -> tuple[float, ...]:
    """Weights of the levels of a legend, coarsest first."""
    if levels == 1 and not staged:
        raise CropflowError(
            "The loss of the model is 'hierarchical', and the legend has one level; expected several. Choose the loss "
            "cross_entropy, or a legend of several levels."
        )
    if given is None:
        return tuple(LEVEL_WEIGHTS[min(above, len(LEVEL_WEIGHTS) - 1)] for above in reversed(range(levels)))
    if len(given) != levels:
        refuse("level_weights of the model", list(given), f"one weight for each of the {levels} levels of the legend")
    return given
