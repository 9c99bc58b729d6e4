"""Apply a model to a whole site: overlapping windows whose edges fade into each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.samples.sensors import KINDS, Layout
from cropflow.samples.stack import Stack, stack_up

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor

NOT_PREDICTED = 65535
SCALE = 10_000


class SiteSeries(Protocol):
    """The series of a site: in memory as a :class:`Stack`, or in stores of composites."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def window(self, rows: slice, columns: slice = ...) -> Stack:
        """Some rows and columns, ``(T, C, y, x)`` per sensor."""
        ...


def predict_site(
    predictor: Predictor,
    series: SiteSeries,
    *,
    where: NDArray[np.bool_] | None = None,
    patch: int | None = None,
    overlap: float = 0.5,
) -> NDArray[np.uint16]:
    """Predict the probabilities of all pixels of a site.

    Windows overlap and are averaged with weights that rise from their edges as a squared sine, so
    that no seam shows. Windows at the border of the site are moved inwards rather than padded; a
    site smaller than a window is padded with nodata on the right and below, as patches are. A window
    without a wanted pixel is not predicted. One row of windows is in memory at a time.

    Args:
        predictor: A trained model.
        series: The series of all its sensors.
        where: True where a prediction is wanted, ``(y, x)``; everywhere when absent.
        patch: Rows and columns of a window; the predictor's when absent.
        overlap: Share of a window that its neighbour covers too, [0, 0.9].

    Returns:
        Probability x 10000, uint16, ``(class, y, x)``; 65535 where not wanted, or where a period or
        band of a sensor has no value.

    Raises:
        CropflowError: If sensors, or the number of periods or bands, are not the model's.
    """
    shape = series.shape
    if where is not None and where.shape != shape:
        raise ValueError(f"where has shape {where.shape}, the site {shape}")
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"overlap is {overlap}; expected 0 to 0.9")
    wanted = np.ones(shape, dtype=np.bool_) if where is None else where
    result = np.full((len(predictor.classes), *shape), NOT_PREDICTED, dtype=np.uint16)
    size = patch or predictor.patch_size
    if predictor.pixelwise:
        _predict_pixels(predictor, series, wanted, size, result)
    else:
        _predict_windows(predictor, series, wanted, size, overlap, result)
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


def _quantise(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    scaled: NDArray[np.uint16] = np.clip(np.rint(probability * np.float32(SCALE)), 0, SCALE).astype(np.uint16)
    return scaled


def _predict_pixels(
    predictor: Predictor, series: SiteSeries, wanted: NDArray[np.bool_], rows: int, result: NDArray[np.uint16]
) -> None:
    """Predict the wanted pixels of a few rows at a time; neighbours do not matter."""
    for top in range(0, len(wanted), rows):
        strip = slice(top, top + rows)
        if not wanted[strip].any():
            continue
        values = _read(predictor, series, strip)
        mask = wanted[strip] & values.complete()
        if mask.any():
            found = predictor.probability(values.row_of(mask))
            result[:, strip][:, mask] = _quantise(found[:, 0])


def _predict_windows(
    predictor: Predictor,
    series: SiteSeries,
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
    mask = np.zeros((size, span), dtype=np.bool_)
    for number, top in enumerate(tops):
        inside = wanted[top : top + size]
        if not inside.any():
            total[:], weight[:] = 0, 0
            continue
        strip = _read(predictor, series, slice(top, top + size)).padded(size, span)
        mask[:] = False
        mask[: len(inside), :width] = inside
        mask &= strip.complete()
        chosen = [left for left in lefts if mask[:, left : left + size].any()]
        for batch in _batches(chosen, predictor.batch):
            windows = stack_up([strip.window(slice(None), slice(left, left + size)) for left in batch])
            for left, found in zip(batch, predictor.probability(windows), strict=True):
                total[..., left : left + size] += found * weights
                weight[:, left : left + size] += weights
        final = tops[number + 1] - top if number + 1 < len(tops) else min(size, height)
        _finish(result[:, top : top + final], total, weight, mask[:final, :width])
        for sums in (total, weight):
            sums[..., : size - final, :] = sums[..., final:, :]
            sums[..., size - final :, :] = 0


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _read(predictor: Predictor, series: SiteSeries, rows: slice) -> Stack:
    """Some rows of a site, in the order of the model's sensors.

    Raises:
        CropflowError: If sensors, or the number of periods or bands, are not the model's.
    """
    values = series.window(rows).values
    expected = {layout.sensor: layout for layout in predictor.layouts}
    if set(values) != set(expected):
        raise CropflowError(
            f"The series are of {', '.join(values)}; the model expects {', '.join(expected)}. "
            "Use composites of the sensors it was trained with."
        )
    return Stack({sensor: _checked(values[sensor], layout) for sensor, layout in expected.items()})


def _checked(values: NDArray[np.generic], layout: Layout) -> NDArray[np.generic]:
    wanted = (len(layout.periods), len(layout.bands))
    if values.ndim != 4 or values.shape[:2] != wanted:
        raise CropflowError(
            f"The series of {layout.sensor} has the shape {values.shape}; the model expects {wanted[0]} periods and "
            f"{wanted[1]} bands. Use composites of the bands and the length of season it was trained with."
        )
    if values.dtype != KINDS[layout.sensor].dtype:
        raise ValueError(f"{layout.sensor} is {values.dtype}; expected {KINDS[layout.sensor].dtype}")
    return values


def _finish(
    target: NDArray[np.uint16], total: NDArray[np.float32], weight: NDArray[np.float32], mask: NDArray[np.bool_]
) -> None:
    """Divide the sums of finished rows and keep them where they are wanted."""
    rows, columns = mask.shape
    mean = total[:, :rows, :columns][:, mask] / weight[:rows, :columns][mask]
    target[:, mask] = _quantise(mean)
