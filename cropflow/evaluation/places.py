"""One fold on one site: count its pixels and sum the probabilities of its parcels.

Only pixels whose fold layer names the fold count: the model of that fold never saw them, nor anything of their
parcel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.evaluation.confusion import tally
from cropflow.evaluation.parcels import NOT_PREDICTED, SCALE, ParcelSums
from cropflow.samples.labels import BACKGROUND, IGNORE, NO_FOLD, UNKNOWN

PIXEL_UNITS = ("pixel", "interior", "rim")
# Rows read at once: a strip of a 10 km site with 48 classes is 25 MB.
STRIP = 256


class Cube(Protocol):
    """Anything that is sliced like an array: a NumPy or a Zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each dimension."""

    def __getitem__(self, key: Any) -> Any:
        """Read a part."""


@dataclass(frozen=True)
class SiteTruth:
    """What a site's labels say.

    Attributes:
        name: Name in messages, such as ``region/season/site``.
        crops: Crop of each pixel: id, 0 background, 65534 unknown, 65535 ignored in training, uint16, ``(y, x)``.
        parcels: Parcel index of each pixel, 0 = none, uint32, ``(y, x)``.
        folds: Fold in which the pixel is tested, 255 = none, uint8, ``(y, x)``.
        parcel_crop: Crop of each parcel by its index, uint16, ``(index,)``; 65534 where there is no such parcel.
        parcel_fold: Fold of each parcel by its index, uint8, ``(index,)``; 255 where it has none.
    """

    name: str
    crops: NDArray[np.uint16]
    parcels: NDArray[np.uint32]
    folds: NDArray[np.uint8]
    parcel_crop: NDArray[np.uint16]
    parcel_fold: NDArray[np.uint8]

    def check(self) -> None:
        """Compare the layers with each other and with the parcel table.

        Raises:
            CropflowError: If shapes differ, a pixel lies in a parcel that the table lacks, a training pixel's crop is
                not its parcel's, or a pixel has another fold than its parcel.
        """
        if not self.crops.shape == self.parcels.shape == self.folds.shape:
            self._refuse(f"layers of shapes {self.crops.shape}, {self.parcels.shape} and {self.folds.shape}", "one")
        largest = int(self.parcels.max(initial=0))
        if largest >= len(self.parcel_crop):
            self._refuse(f"a pixel of parcel {largest}", f"indexes up to {len(self.parcel_crop) - 1}")
        inside = self.parcels > 0
        crop = self.parcel_crop[self.parcels]
        wrong = inside & (self.crops != IGNORE) & (self.crops != crop)
        if wrong.any():
            self._refuse(f"{int(wrong.sum())} pixels with another crop than their parcel", "none")
        wrong = inside & (self.folds != NO_FOLD) & (self.folds != self.parcel_fold[self.parcels])
        if wrong.any():
            self._refuse(f"{int(wrong.sum())} pixels with another fold than their parcel", "none")

    def _refuse(self, found: str, expected: str) -> None:
        raise CropflowError(f"The samples of {self.name} have {found}; expected {expected}. Build the samples again.")


@dataclass(frozen=True)
class SiteScore:
    """What one fold's model made of one site.

    Attributes:
        confusions: Pixels counted, ``(pixel unit, truth, predicted)`` in the order of ``PIXEL_UNITS``.
        not_predicted: Labelled test pixels without a prediction, ``(pixel unit,)``.
        sums: Probabilities summed over each parcel's pixels, rim included.
    """

    confusions: NDArray[np.float64]
    not_predicted: NDArray[np.int64]
    sums: ParcelSums


def score_site(
    truth: SiteTruth, probability: Cube | None, classes: Sequence[int], ids: Sequence[int], fold: int
) -> SiteScore:
    """Compare a fold's predictions with the labels of its test pixels.

    The truth of a rim pixel, which training ignores, is its parcel's crop. Pixels without a prediction are counted,
    and enter no matrix.

    Args:
        truth: Labels of the site, checked.
        probability: Probabilities x 10000, uint16, 65535 = not predicted, ``(class, y, x)``; None where the site
            has no predictions of this fold.
        classes: Classes of the probabilities, ids of the legend, in order.
        ids: Classes of the matrices, ids of the legend; labels that are none of them do not count.
        fold: The fold.

    Raises:
        CropflowError: If the shapes differ, a probability exceeds 1, or probabilities do not sum to 1.
    """
    position = np.full(65536, -1, dtype=np.int64)
    position[np.asarray(ids)] = np.arange(len(ids))
    columns = position[np.asarray(classes)]
    shape = truth.crops.shape
    if probability is not None and tuple(probability.shape) != (len(classes), *shape):
        raise CropflowError(
            f"Predictions of fold {fold} on {truth.name} have shape {tuple(probability.shape)}; expected "
            f"{(len(classes), *shape)} (class, y, x). Predict again with the present samples."
        )
    confusions = np.zeros((len(PIXEL_UNITS), len(ids), len(ids)))
    not_predicted = np.zeros(len(PIXEL_UNITS), dtype=np.int64)
    sums = ParcelSums(len(truth.parcel_crop) - 1, len(classes))
    for top in range(0, shape[0], STRIP):
        rows = slice(top, min(top + STRIP, shape[0]))
        crops, parcels = truth.crops[rows], truth.parcels[rows]
        rim = (crops == IGNORE) & (parcels > 0)
        row = position[np.where(rim, truth.parcel_crop[parcels], crops)]
        tested = (truth.folds[rows] == fold) & (row >= 0)
        if not tested.any():
            continue
        row, rim, parcels = row[tested], rim[tested], parcels[tested]
        if probability is None:
            not_predicted += _by_unit(rim)
            continue
        values = np.asarray(probability[:, rows])[:, tested]
        known = predicted_pixels(values, f"Predictions of fold {fold} on {truth.name}")
        not_predicted += _by_unit(rim[~known])
        row, rim, parcels, values = row[known], rim[known], parcels[known], values[:, known]
        column = columns[values.argmax(axis=0)]
        confusions[1] += tally(row[~rim], column[~rim], len(ids))
        confusions[2] += tally(row[rim], column[rim], len(ids))
        inside = parcels > 0
        sums.add(parcels[inside], values[:, inside])
    confusions[0] = confusions[1] + confusions[2]
    return SiteScore(confusions, not_predicted, sums)


def predicted_pixels(probability: NDArray[np.uint16], name: str) -> NDArray[np.bool_]:
    """Tell which pixels have a prediction, and check that those are probabilities.

    Args:
        probability: Probabilities x 10000, 65535 = not predicted, uint16, ``(class, ...)``.
        name: What to call them in messages.

    Raises:
        CropflowError: If a pixel is predicted for some classes only, or its probabilities do not sum to 1.
    """
    missing = probability == NOT_PREDICTED
    known: NDArray[np.bool_] = ~missing.any(axis=0)
    if not np.array_equal(~known, missing.all(axis=0)):
        raise CropflowError(f"{name}: a pixel is predicted for some classes only; expected all or none. Predict again.")
    total = probability.sum(axis=0, dtype=np.int64, where=known)[known]
    # Each class is rounded to 1/10000, so a sum may be off by half of that per class.
    slack = max(100, len(probability))
    if total.size and (int(total.min()) < SCALE - slack or int(total.max()) > SCALE + slack):
        raise CropflowError(
            f"{name}: probabilities x 10000 sum to {total.min()} to {total.max()}; expected {SCALE}. Predict again."
        )
    return known


def parcel_lookup(
    index: NDArray[np.integer[Any]], crop: NDArray[np.integer[Any]], fold: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Turn columns of a parcel table into arrays that are looked up by parcel index.

    Returns:
        Crop, uint16, 65534 where no parcel has the index, background at 0; and fold, uint8, 255 likewise.
    """
    size = int(index.max(initial=0)) + 1
    crops = np.full(size, UNKNOWN, dtype=np.uint16)
    folds = np.full(size, NO_FOLD, dtype=np.uint8)
    crops[index], folds[index] = crop, fold
    crops[0] = BACKGROUND
    return crops, folds


def _by_unit(rim: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count pixels as (pixel, interior, rim)."""
    edge = int(rim.sum())
    return np.array([rim.size, rim.size - edge, edge], dtype=np.int64)
