"""What a random split of pixels would claim for a forest: the score to be read beside the one on held-out blocks.

Each tree of a forest learns from a bootstrap of the pixels and may be asked about the others, the out-of-bag ones
(Breiman 2001, Random Forests, section 3.1). That is a test on pixels dealt out at random: most have neighbours of
their own parcel in training, which look like them.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

WHAT = "out-of-bag pixels: neighbours of the same parcel in training"


@dataclass(frozen=True)
class RandomSplit:
    """Score of a forest on its out-of-bag pixels.

    Attributes:
        accuracy: Share of right pixels in [0, 1]; None without a pixel.
        balanced_accuracy: Mean recall of the classes that have pixels, in [0, 1]; None without a pixel.
        pixels: Pixels that at least one tree did not learn from.
    """

    accuracy: float | None
    balanced_accuracy: float | None
    pixels: int

    def told(self) -> dict[str, Any]:
        """The entry of ``model.json``."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "pixels": self.pixels,
            "what": WHAT,
        }


def fit_scored(forest: Any, features: NDArray[np.float32], classes: NDArray[np.int64]) -> RandomSplit:
    """Fit a forest and score it on its out-of-bag pixels; the forest keeps no trace of the score.

    Args:
        forest: Unfitted scikit-learn forest with bootstraps; fitted in place.
        features: ``(n, feature)``.
        classes: Positions of classes, ``(n,)``.
    """
    forest.oob_score = True
    with warnings.catch_warnings():
        # Few trees leave no pixel out for some: those are not scored.
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        forest.fit(features, classes)
    votes = forest.oob_decision_function_
    # The file of a forest holds its trees, not a row per pixel.
    del forest.oob_decision_function_, forest.oob_score_
    forest.oob_score = False
    found = score_votes(votes, np.searchsorted(forest.classes_, classes))
    if found.accuracy is not None and found.balanced_accuracy is not None:
        log.info(
            "random split, optimistic: accuracy %.1f %%, balanced %.1f %% on %d of %d pixels out of bag",
            100 * found.accuracy,
            100 * found.balanced_accuracy,
            found.pixels,
            len(classes),
        )
    return found


def score_votes(votes: NDArray[np.float64], columns: NDArray[np.integer[Any]]) -> RandomSplit:
    """Score out-of-bag votes.

    Args:
        votes: Mean probabilities of the trees that did not learn from a pixel, ``(n, class)``; a row of zeros or NaN
            where all did.
        columns: Column of the true class, ``(n,)``.
    """
    # NaN compares as False.
    scored = votes.sum(axis=1) > 0
    if not scored.any():
        return RandomSplit(None, None, 0)
    truth = columns[scored]
    right = votes[scored].argmax(axis=1) == truth
    recalls = [right[truth == column].mean() for column in np.unique(truth)]
    return RandomSplit(float(right.mean()), float(np.mean(recalls)), int(scored.sum()))
