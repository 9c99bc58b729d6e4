"""Apply a model to a whole site: windows whose edges fade into each other, pixels one by one, or parcels painted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.models.applying.series import (
    Days,
    Rows,
    SiteSeries,
    days_of,
    predictable,
    predictable_pixels,
    stored_batch,
)

if TYPE_CHECKING:
    from cropflow.models.applying.parcels import ParcelLayers
    from cropflow.models.applying.prediction import Predictor
    from cropflow.models.batch import Batch

NOT_PREDICTED = 65535
SCALE = 10_000


def predict_site(
    predictor: Predictor,
    series: SiteSeries,
    *,
    where: NDArray[np.bool_] | None = None,
    days: Days | None = None,
    parcels: ParcelLayers | None = None,
    patch: int | None = None,
    overlap: float = 0.5,
) -> NDArray[np.uint16]:
    """Predict the probabilities of all pixels of a site.

    Models of patches see windows that overlap and are averaged with weights that rise from their edges as a squared
    sine, so that no seam shows. Windows at the border of the site are moved inwards rather than padded; a site smaller
    than a window is padded with nodata on the right and below, as patches are. A window without a wanted pixel is not
    predicted. Models of parcels give each parcel one answer, which all of its wanted pixels get.

    Args:
        predictor: A trained model.
        series: The series of all its sensors.
        where: True where a prediction is wanted, ``(y, x)``; everywhere when absent.
        days: Sensor -> days since the start of the season, ``(T,)``; those of the training when absent.
        parcels: The parcels of the site, which a model of parcels needs.
        patch: Rows and columns of a window; the predictor's when absent.
        overlap: Share of a window that its neighbour covers too, [0, 0.9].

    Returns:
        Probability x 10000, uint16, ``(class, y, x)``; 65535 where not wanted, where a pixel has no value on some
        date of some sensor (or, where the model learnt from incomplete series, too few dates of every sensor), and,
        of models of parcels, outside parcels.

    Raises:
        CropflowError: If sensors, or the number of periods or bands, are not the model's, or parcels are missing.
    """
    shape = series.shape
    if where is not None and where.shape != shape:
        raise ValueError(f"where has shape {where.shape}, the site {shape}")
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"overlap is {overlap}; expected 0 to 0.9")
    wanted = np.ones(shape, dtype=np.bool_) if where is None else where
    days = days_of(predictor.layouts) if days is None else days
    result = np.full((len(predictor.classes), *shape), NOT_PREDICTED, dtype=np.uint16)
    if predictor.kind == "pixels":
        _predict_pixels(predictor, series, days, wanted, result)
    elif predictor.kind == "patches":
        _predict_windows(predictor, series, days, wanted, patch or predictor.patch_size, overlap, result)
    else:
        from cropflow.models.applying.parcels import paint_parcels

        if parcels is None:
            raise CropflowError(
                f"A model of {predictor.kind} gives one answer per parcel, and no parcels were given; expected those "
                "of the site. Give --parcels, or map with a model of patches or pixels."
            )
        paint_parcels(predictor, series, days, parcels, wanted, result)
    return result


def window_starts(length: int, size: int, step: int) -> list[int]:
    """First pixels of the windows along one axis; the last one ends at the border.

    Args:
        length: Pixels of the axis.
        size: Pixels of a window.
        step: From one window to the next.
    """
    last = max(length - size, 0)
    return [*range(0, last, step), last]


def fade(size: int) -> NDArray[np.float32]:
    """Weights of a window, float32, ``(y, x)``, positive; at half overlap they sum to 1."""
    edge = np.sin((np.arange(size) + 0.5) * np.pi / size) ** 2
    return np.outer(edge, edge).astype(np.float32)


def quantise(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Probability in [0, 1] as it is stored, x 10000, uint16."""
    scaled: NDArray[np.uint16] = np.clip(np.rint(probability * np.float32(SCALE)), 0, SCALE).astype(np.uint16)
    return scaled


def _predict_pixels(
    predictor: Predictor, series: SiteSeries, days: Days, wanted: NDArray[np.bool_], result: NDArray[np.uint16]
) -> None:
    """Predict the wanted pixels of a few rows at a time; neighbours do not matter."""
    source = Rows(predictor, series)
    step = max(1, predictor.batch // max(1, wanted.shape[1]))
    for top in range(0, len(wanted), step):
        strip = slice(top, top + step)
        if not wanted[strip].any():
            continue
        values = source.take(top, top + step)
        mask = wanted[strip] & predictable(values, predictor.minimum_dates)
        if mask.any():
            result[:, strip][:, mask] = quantise(pixel_probability(predictor, values.pixels(mask), days).T)


def pixel_probability(predictor: Predictor, pixels: dict[str, NDArray[Any]], days: Days) -> NDArray[np.float32]:
    """Predict single pixels.

    Args:
        predictor: A model of pixels.
        pixels: Sensor -> values as stored, ``(n, T, C)``.
        days: Sensor -> days since the start of the season, ``(T,)`` or ``(n, T)``.

    Returns:
        Probability in [0, 1], float32, ``(n, class)``.
    """
    count = len(next(iter(pixels.values())))
    found = np.empty((count, len(predictor.classes)), dtype=np.float32)
    for start in range(0, count, predictor.batch):
        rows = slice(start, start + predictor.batch)
        part = {sensor: values[rows] for sensor, values in pixels.items()}
        dates = {sensor: given if given.ndim == 1 else given[rows] for sensor, given in days.items()}
        batch = stored_batch(part, dates, predictor.minimum_dates)
        found[rows] = predictor.probability(predictor.prepare(batch))
    return found


def _predict_windows(
    predictor: Predictor,
    series: SiteSeries,
    days: Days,
    wanted: NDArray[np.bool_],
    size: int,
    overlap: float,
    result: NDArray[np.uint16],
) -> None:
    height, width = wanted.shape
    step = max(1, round(size * (1 - overlap)))
    tops, lefts = window_starts(height, size, step), window_starts(width, size, step)
    weights = fade(size)
    span = max(width, size)
    # Sums of the rows that further windows can still reach; rows above are final.
    total = np.zeros((len(result), size, span), dtype=np.float32)
    weight = np.zeros((size, span), dtype=np.float32)
    strip = _Strip(predictor, series, days, size, span)
    for number, top in enumerate(tops):
        inside = wanted[top : top + size]
        if not inside.any():
            total[:], weight[:] = 0, 0
            continue
        whole, known = strip.move(top)
        mask = known.copy()
        mask[: len(inside), :width] &= inside
        chosen = [left for left in lefts if mask[:, left : left + size].any()]
        for batch in _batches(chosen, predictor.batch):
            found = predictor.probability(windows_of(whole, batch, size))
            for left, window in zip(batch, found, strict=True):
                total[..., left : left + size] += window * weights
                weight[:, left : left + size] += weights
        final = tops[number + 1] - top if number + 1 < len(tops) else min(size, height)
        _finish(result[:, top : top + final], total, weight, mask[:final, :width])
        for sums in (total, weight):
            sums[..., : size - final, :] = sums[..., final:, :]
            sums[..., size - final :, :] = 0


class _Strip:
    """The rows under one row of windows, prepared; the rows that two rows of windows share are prepared once."""

    def __init__(self, predictor: Predictor, series: SiteSeries, days: Days, size: int, span: int) -> None:
        self.predictor = predictor
        self.rows = Rows(predictor, series)
        self.days = days
        self.size, self.span = size, span
        self.top = -size
        self.batch: Batch | None = None
        self.known = np.zeros((0, span), dtype=np.bool_)

    def move(self, top: int) -> tuple[Batch, NDArray[np.bool_]]:
        """Go down to a row: the prepared strip ``(1, T, C, size, span)``, and where it can be predicted."""
        shared = max(0, self.top + self.size - top)
        missing = self.size - shared
        fresh = self.rows.take(top + shared, top + self.size).padded(missing, self.span)
        values = {sensor: part[np.newaxis] for sensor, part in fresh.values.items()}
        stored = stored_batch(values, self.days, self.predictor.minimum_dates)
        (known,) = predictable_pixels(stored, self.predictor.minimum_dates)
        batch = self.predictor.prepare(stored)
        if shared and self.batch is not None:
            batch = joined_rows(self.batch, batch, missing)
            known = np.concatenate([self.known[missing:], known])
        self.top, self.batch, self.known = top, batch, known
        return batch, known


def joined_rows(above: Batch, below: Batch, start: int) -> Batch:
    """The rows of a strip from one on, with those of another below them."""
    import torch

    from cropflow.models.batch import Series

    def join(sensor: str, one: Series) -> Series:
        upper = above.series[sensor]
        values = torch.cat([upper.values[..., start:, :], one.values], dim=-2)
        return Series(values, one.dates, torch.cat([upper.valid[..., start:, :], one.valid], dim=-2))

    return below.with_series(join)


def windows_of(strip: Batch, lefts: list[int], size: int) -> Batch:
    """Squares of a strip ``(1, T, C, size, span)`` from given columns on, as a batch.

    Squares at even distances, all but those at the border, are views of the strip: nothing is copied, and nothing may
    be written to them.
    """
    import torch

    from cropflow.models.batch import Series

    steps = {after - before for before, after in pairwise(lefts)}
    even = min(steps, default=1) if len(steps) < 2 else None

    def squares(values: torch.Tensor) -> torch.Tensor:
        if even is None:
            return torch.stack([values[0, ..., left : left + size] for left in lefts])
        within = values[0, ..., lefts[0] : lefts[-1] + size]
        return within.unfold(-1, size, even).movedim(-2, 0)

    def cut(_: str, one: Series) -> Series:
        return Series(squares(one.values), one.dates.expand(len(lefts), -1), squares(one.valid))

    return strip.with_series(cut)


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _finish(
    target: NDArray[np.uint16], total: NDArray[np.float32], weight: NDArray[np.float32], mask: NDArray[np.bool_]
) -> None:
    """Divide the sums of finished rows and keep them where they are wanted."""
    rows, columns = mask.shape
    mean = total[:, :rows, :columns][:, mask] / weight[:rows, :columns][mask]
    target[:, mask] = quantise(mean)
