"""Models that give a parcel one answer, applied to the parcels of a site and painted over their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.models.applying.gathering import PixelSets, batches_of_sets, gather_sets
from cropflow.models.applying.series import Days, Rows, SiteSeries, predictable, stored_batch
from cropflow.samples.sensors import KINDS
from cropflow.samples.stack import Stack

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor
    from cropflow.models.batch import Batch

Values = NDArray[Any]


@dataclass(frozen=True)
class ParcelLayers:
    """The parcels of a site as models of parcels need them.

    Attributes:
        index: Index of the parcel that holds the pixel's centre, uint32, ``(y, x)``; 0 = none.
        interior: True where the pixel is no rim, bool, ``(y, x)``.
        points: Row and column of the pixel that holds each parcel's representative point, by index, int64,
            ``(index, 2)``; a chip has it in its middle.
        outlines: Perimeter (metres, holes included) and area (square metres) of the part in the site, by index,
            float64, ``(index, 2)``.
        history: Shares of the model's classes in earlier seasons, by index, float32, ``(index, lag, class + 1)``; None
            where the model takes none.
    """

    index: NDArray[np.uint32]
    interior: NDArray[np.bool_]
    points: NDArray[np.int64]
    outlines: NDArray[np.float64]
    history: NDArray[np.float32] | None = None

    def pixels_of(self, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels that stand for the parcels of a wanted area: all inner ones, or all where a parcel has none.

        Args:
            wanted: bool, ``(y, x)``.

        Returns:
            bool, ``(y, x)``.
        """
        chosen = wanted & (self.index > 0)
        inner = chosen & self.interior
        narrow = np.bincount(self.index[inner], minlength=int(self.index.max(initial=0)) + 1) == 0
        found: NDArray[np.bool_] = inner | (chosen & narrow[self.index])
        return found


def paint_parcels(
    predictor: Predictor,
    series: SiteSeries,
    days: Days,
    parcels: ParcelLayers,
    wanted: NDArray[np.bool_],
    result: NDArray[np.uint16],
) -> None:
    """Predict the parcels of a wanted area and give all their wanted pixels the answer.

    A parcel is known by its pixels inside the area alone, all of them and none drawn, without its rim where that
    leaves any. One across the border of two blocks is hence told from each side by the model of that side.

    Args:
        predictor: A model of pixel sets or chips.
        series: The series of all its sensors.
        days: Sensor -> days since the start of the season, ``(T,)``.
        parcels: The parcels of the site.
        wanted: Where a prediction is wanted, bool, ``(y, x)``.
        result: Probabilities x 10000, uint16, ``(class, y, x)``, written where a wanted pixel lies in a parcel that
            can be predicted.
    """
    from cropflow.models.applying.windows import NOT_PREDICTED, quantise

    table = np.full((int(parcels.index.max(initial=0)) + 1, len(result)), NOT_PREDICTED, dtype=np.uint16)
    predict = _predict_sets if predictor.kind == "pixel_sets" else _predict_chips
    for index, probability in predict(predictor, series, days, parcels, wanted):
        table[index] = quantise(probability)
    chosen = wanted & (parcels.index > 0)
    result[:, chosen] = table[parcels.index[chosen]].T


def _predict_sets(
    predictor: Predictor, series: SiteSeries, days: Days, parcels: ParcelLayers, wanted: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    for sets in gather_sets(predictor, series, parcels.index, parcels.pixels_of(wanted)):
        yield sets.index, set_probability(predictor, sets, days, parcels)


def set_probability(predictor: Predictor, sets: PixelSets, days: Days, parcels: ParcelLayers) -> NDArray[np.float32]:
    """Predict pixel sets, all pixels of each.

    Args:
        predictor: A model of pixel sets.
        sets: The pixels.
        days: Sensor -> days since the start of the season, ``(T,)``.
        parcels: Features and history by index.

    Returns:
        Probability in [0, 1], float32, ``(parcel, class)``.
    """
    result = np.empty((len(sets.index), len(predictor.classes)), dtype=np.float32)
    for chosen in batches_of_sets(sets.sizes, predictor.batch):
        values, pixels = sets.padded(chosen)
        batch = stored_batch(values, days, predictor.minimum_dates)
        index = sets.index[chosen]
        features = None
        if predictor.features:
            features = features_of(parcels.outlines[index], sets.sizes[chosen], sets.boxes[chosen])
        known = with_parcels(batch, predictor, parcels.history, index, pixels, features)
        result[chosen] = predictor.probability(predictor.prepare(known))
    return result


def features_of(
    outlines: NDArray[np.float64], pixels: NDArray[np.int64], boxes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The features of parcels in the order of a batch, as stored, float32, ``(n, 4)``.

    Args:
        outlines: Perimeter, metres, and area, square metres, ``(n, 2)``.
        pixels: Pixels of each that the model sees, ``(n,)``.
        boxes: Pixels of their bounding boxes, ``(n,)``.
    """
    perimeter, area = outlines.T
    return np.stack([perimeter, pixels, pixels / boxes, perimeter / area], axis=1).astype(np.float32)


def with_parcels(
    batch: Batch,
    predictor: Predictor,
    history: NDArray[np.float32] | None,
    index: NDArray[np.int64],
    pixels: NDArray[np.bool_] | None = None,
    features: NDArray[np.float32] | None = None,
) -> Batch:
    """A batch with what is known of its parcels.

    Args:
        batch: Series of parcels.
        predictor: Whose lags decide whether the history is added.
        history: By index, ``(index, lag, class + 1)``.
        index: Index of each parcel of the batch.
        pixels: Pixel sets: where a slot holds a pixel, bool, ``(B, S)``.
        features: Features of the batch's parcels, ``(B, 4)``.

    Raises:
        ValueError: If the model takes the history, and there is none.
    """
    import torch

    if predictor.lags and history is None:
        raise ValueError(f"the model takes {predictor.lags} earlier seasons; the layers have none")
    return replace(
        batch,
        pixels=None if pixels is None else torch.from_numpy(pixels),
        features=None if features is None else torch.from_numpy(features),
        history=None if history is None or not predictor.lags else torch.from_numpy(history[index]),
    )


def _predict_chips(
    predictor: Predictor, series: SiteSeries, days: Days, parcels: ParcelLayers, wanted: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Predict the chips around the parcels of a wanted area, from top to bottom."""
    size, (height, width) = predictor.patch_size, series.shape
    index = np.unique(parcels.index[wanted & (parcels.index > 0)]).astype(np.int64)
    # As training samples are cut: the pixel of the representative point is in the middle.
    corners = parcels.points - size // 2
    index = index[np.argsort(corners[index, 0], kind="stable")]
    source = Rows(predictor, series)
    for start in range(0, len(index), predictor.batch):
        cut, kept = [], []
        for parcel in index[start : start + predictor.batch]:
            row, column = (int(value) for value in corners[parcel])
            strip = source.take(max(row, 0), min(row + size, height))
            chip = strip.window(slice(None), slice(max(column, 0), min(column + size, width)))
            chip = _placed(chip, size, max(-row, 0), max(-column, 0))
            if predictable(chip, predictor.minimum_dates).any():
                cut.append(chip.values)
                kept.append(parcel)
        if cut:
            values = {sensor: np.stack([chip[sensor] for chip in cut]) for sensor in cut[0]}
            chosen = np.array(kept, dtype=np.int64)
            batch = with_parcels(
                stored_batch(values, days, predictor.minimum_dates), predictor, parcels.history, chosen
            )
            yield chosen, predictor.probability(predictor.prepare(batch))


def _placed(chip: Stack, size: int, above: int, left: int) -> Stack:
    """A chip that the border of the site cuts, filled with nodata on all sides."""

    def place(sensor: str, values: Values) -> Values:
        rows, columns = values.shape[-2:]
        widths = [(0, 0)] * (values.ndim - 2)
        widths += [(above, size - above - rows), (left, size - left - columns)]
        return np.pad(values, widths, constant_values=KINDS[sensor].nodata)

    return chip.changed(place)
