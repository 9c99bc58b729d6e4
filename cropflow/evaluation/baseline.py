"""The score of no model at all: the majority class of the training folds, everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def majority_confusions(confusions: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the matrices would be if each fold predicted the commonest class of its training folds.

    Fold f is tested and fold f + 1 validates, so both are left out when the commonest class is found.
    The truth of a fold is the rows of its matrix; hence the baseline is scored on the very pixels and parcels that
    the model is scored on.

    Args:
        confusions: ``(fold, unit, truth, predicted)``, folds in order from 0.

    Returns:
        Same shape. A fold whose training folds hold nothing has an empty matrix.
    """
    folds = confusions.shape[0]
    support = confusions.sum(axis=-1)
    baseline = np.zeros_like(confusions)
    for fold in range(folds):
        training = [other for other in range(folds) if other not in (fold, (fold + 1) % folds)]
        known = support[training].sum(axis=0)
        for unit in np.flatnonzero(known.sum(axis=-1)):
            baseline[fold, unit, :, known[unit].argmax()] = support[fold, unit]
    return baseline
