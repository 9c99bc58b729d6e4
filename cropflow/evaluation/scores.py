"""Accuracy figures of a confusion matrix.

Averages over classes run over the classes with support, that is with a row that is not empty. A class
that the test data lack has no recall, F1 or IoU (NaN): it is never averaged as zero. A class with support that was
never predicted has no precision (NaN), and an F1 of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

METRICS = ("overall_accuracy", "balanced_accuracy", "kappa", "miou", "macro_f1", "weighted_f1")
PER_CLASS = ("precision", "recall", "f1", "iou")


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix; NaN where a figure is undefined.

    Attributes:
        overall_accuracy: Share on the diagonal, [0, 1].
        balanced_accuracy: Mean recall of the classes with support, [0, 1].
        kappa: Cohen's kappa, [-1, 1]; undefined where truth and prediction are one and the same class.
        miou: Mean intersection over union of the classes with support, [0, 1].
        macro_f1: Mean F1 of the classes with support, [0, 1].
        weighted_f1: Mean F1 weighted by support, [0, 1].
        precision: Per class, NaN where never predicted, ``(class,)``.
        recall: Per class, NaN without support, ``(class,)``.
        f1: Per class, NaN without support, ``(class,)``.
        iou: Per class, NaN without support, ``(class,)``.
        support: Row sums, ``(class,)``.
    """

    overall_accuracy: float
    balanced_accuracy: float
    kappa: float
    miou: float
    macro_f1: float
    weighted_f1: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    iou: NDArray[np.float64]
    support: NDArray[np.float64]

    @property
    def averaged(self) -> NDArray[np.int64]:
        """Positions of the classes that the averages run over."""
        return np.flatnonzero(self.support > 0)


def accuracy(confusion: ArrayLike) -> Scores:
    """Score a confusion matrix.

    Args:
        confusion: Counts or weights >= 0, one row per true class, one column per predicted class,
            ``(class, class)``.

    Raises:
        ValueError: If the matrix is not square, or holds negative or non-finite values.

    Source:
        Cohen (1960), https://doi.org/10.1177/001316446002000104, for kappa; Congalton (1991),
        https://doi.org/10.1016/0034-4257(91)90048-B, for the others, with recall as producer's and precision as
        user's accuracy.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"confusion has shape {matrix.shape}; expected a square matrix (truth, predicted)")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise ValueError("confusion holds negative or non-finite values; expected counts or weights >= 0")
    classes = class_scores(matrix)
    averages = average_scores(matrix)
    return Scores(
        overall_accuracy=float(averages["overall_accuracy"]),
        balanced_accuracy=float(averages["balanced_accuracy"]),
        kappa=float(averages["kappa"]),
        miou=float(averages["miou"]),
        macro_f1=float(averages["macro_f1"]),
        weighted_f1=float(averages["weighted_f1"]),
        precision=classes["precision"],
        recall=classes["recall"],
        f1=classes["f1"],
        iou=classes["iou"],
        support=matrix.sum(axis=1),
    )


def class_scores(confusions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Precision, recall, F1 and IoU per class, of many matrices at once.

    Args:
        confusions: ``(..., truth, predicted)``.

    Returns:
        Name -> ``(..., class)``; NaN where undefined.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    support = confusions.sum(axis=-1)
    predicted = confusions.sum(axis=-2)
    recall = _ratio(hits, support)
    absent = np.isnan(recall)
    return {
        "precision": _ratio(hits, predicted),
        "recall": recall,
        "f1": np.where(absent, np.nan, _ratio(2 * hits, support + predicted)),
        "iou": np.where(absent, np.nan, _ratio(hits, support + predicted - hits)),
    }


def average_scores(confusions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The figures that sum up a matrix, of many matrices at once.

    Args:
        confusions: ``(..., truth, predicted)``.

    Returns:
        Each of ``METRICS`` -> ``(...)``; NaN where undefined, such as everywhere in an empty matrix.
    """
    support = confusions.sum(axis=-1)
    predicted = confusions.sum(axis=-2)
    total = support.sum(axis=-1)
    agreement = _ratio(np.diagonal(confusions, axis1=-2, axis2=-1).sum(axis=-1), total)
    chance = _ratio((support * predicted).sum(axis=-1), total**2)
    classes = class_scores(confusions)
    return {
        "overall_accuracy": agreement,
        "balanced_accuracy": _mean(classes["recall"]),
        "kappa": _ratio(agreement - chance, np.where(np.isclose(chance, 1.0, rtol=0, atol=1e-12), 0.0, 1.0 - chance)),
        "miou": _mean(classes["iou"]),
        "macro_f1": _mean(classes["f1"]),
        "weighted_f1": _ratio((np.nan_to_num(classes["f1"]) * support).sum(axis=-1), total),
    }


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; NaN where the whole is zero."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    quotient: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return quotient


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))
