"""Which model speaks for which pixel.

Where models learnt, a pixel is predicted by the one model that saw neither the pixel nor its block: the model whose
test fold the block is. Blocks without a fold, and regions where no model learnt, get the mean of all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.parcels import NOT_PREDICTED
from cropflow.evaluation.places import Cube


@dataclass(frozen=True)
class FoldModel:
    """A fold's model on one site.

    Attributes:
        classes: Classes of its probabilities, ids of the legend, in order.
        predict: Takes the pixels that are wanted, bool ``(y, x)``, and gives probabilities x 10000, uint16,
            ``(class, y, x)``; 65535 where not wanted or not predictable.
    """

    classes: tuple[int, ...]
    predict: Callable[[NDArray[np.bool_]], NDArray[np.uint16]]


def all_classes(models: Sequence[FoldModel]) -> tuple[int, ...]:
    """Every class that a model knows, ascending."""
    return tuple(sorted({crop for model in models for crop in model.classes}))


def average_folds(models: Sequence[FoldModel], where: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Average the probabilities of all models.

    A model gives no probability to a class that it does not know. A pixel that some models cannot predict gets the
    mean of the others.

    Args:
        models: One model per fold.
        where: Pixels that are wanted, bool, ``(y, x)``.

    Returns:
        Probabilities x 10000 of :func:`all_classes`, halves rounded up, uint16, ``(class, y, x)``; 65535 where not
        wanted or predicted by no model.
    """
    classes = all_classes(models)
    total = np.zeros((len(classes), *where.shape), dtype=np.uint32)
    times = np.zeros(where.shape, dtype=np.uint32)
    for model in models:
        values = model.predict(where)
        known = where & (values[0] != NOT_PREDICTED)
        times += known
        for crop, layer in zip(model.classes, values, strict=True):
            total[classes.index(crop)][known] += layer[known]
    # Halves rounded up in whole numbers: the same on every machine.
    mean = ((2 * total + times) // np.maximum(2 * times, 1)).astype(np.uint16)
    mean[:, times == 0] = NOT_PREDICTED
    return mean


def out_of_fold(
    models: Sequence[FoldModel],
    pixel_fold: NDArray[np.uint8],
    stored: Mapping[int, Cube] | None = None,
) -> NDArray[np.uint16]:
    """Predict each pixel with the model that did not learn from its block.

    Args:
        models: One model per fold, in order from fold 0.
        pixel_fold: Fold whose test block each pixel lies in, 255 = none, uint8, ``(y, x)``.
        stored: Fold -> its predictions on this site, probabilities x 10000, uint16, ``(class, y, x)``, where they
            were made before; the models predict where absent.

    Returns:
        Probabilities x 10000 of :func:`all_classes`, uint16, ``(class, y, x)``; 65535 where not predicted. Pixels
        without a fold get the mean of all models.
    """
    classes = all_classes(models)
    result = np.full((len(classes), *pixel_fold.shape), NOT_PREDICTED, dtype=np.uint16)
    for fold, model in enumerate(models):
        mine = pixel_fold == fold
        if not mine.any():
            continue
        values = np.asarray(stored[fold][:]) if stored is not None else model.predict(mine)
        known = mine & (values[0] != NOT_PREDICTED)
        result[:, known] = 0
        for crop, layer in zip(model.classes, values, strict=True):
            result[classes.index(crop)][known] = layer[known]
    free = pixel_fold >= len(models)
    if free.any():
        result[:, free] = average_folds(models, free)[:, free]
    return result
