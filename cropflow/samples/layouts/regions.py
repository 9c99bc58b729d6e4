"""Parcels of labels that come without any: connected pixels of one crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cropflow.samples.labels import BACKGROUND, UNKNOWN


def number_regions(crops: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Number the connected areas of one crop, which stand for parcels.

    Args:
        crops: Legend ids and the values that are no crop, ``(y, x)``.

    Returns:
        uint32, ``(y, x)``: 1 and up, in the order of crops, then of rows; 0 where there is no crop. Pixels touch by
        their sides.
    """
    numbers = np.zeros(crops.shape, dtype=np.uint32)
    for crop in np.unique(crops[(crops > BACKGROUND) & (crops < UNKNOWN)]):
        found, _ = ndimage.label(crops == crop)
        numbers = np.where(found > 0, found.astype(np.uint32) + numbers.max(), numbers).astype(np.uint32)
    return numbers
