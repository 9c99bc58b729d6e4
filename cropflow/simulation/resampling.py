"""What a sensor does to a fine raster: blur it, shift it, and average it to its own pixels, in one linear step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# A Gaussian's full width at half maximum is this many standard deviations.
FWHM = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True)
class Resampler:
    """Turns a fine raster into the pixels of a sensor.

    Attributes:
        down: Sparse ``(pixel row, fine row)``; each row sums to 1.
        across: Sparse ``(pixel column, fine column)``; each row sums to 1.
    """

    down: Any
    across: Any

    def __call__(self, fine: Float32) -> Float32:
        """Resample ``(y, x)``, float32."""
        return np.ascontiguousarray((self.across @ (self.down @ fine).T).T, np.float32)


def resampler(
    fine_shape: tuple[int, int],
    shape: tuple[int, int],
    factor: int,
    offset: tuple[int, int] = (0, 0),
    fwhm_pixels: float = 0.0,
    shift_pixels: tuple[float, float] = (0.0, 0.0),
) -> Resampler:
    """Prepare the blur, shift and average of one scene.

    Args:
        fine_shape: Rows and columns of the fine raster.
        shape: Rows and columns of the sensor's raster.
        factor: Fine pixels per sensor pixel.
        offset: Fine row and column at which the sensor's first pixel begins; the fine raster continues beyond its
            edges with its outermost values.
        fwhm_pixels: Width of the Gaussian blur, sensor pixels; 0 averages only.
        shift_pixels: Where the sensor looks too far down and right, sensor pixels.
    """
    sigma = fwhm_pixels * factor / FWHM
    down, across = (
        _weights(fine_shape[axis], shape[axis], factor, offset[axis] + shift_pixels[axis] * factor, sigma)
        for axis in (0, 1)
    )
    return Resampler(down, across)


def _weights(fine: int, coarse: int, factor: int, start: float, sigma: float) -> Any:
    """Sparse weights of one axis: overlap of each sensor pixel with each fine one, smeared by the blur."""
    from scipy.sparse import csr_matrix
    from scipy.special import ndtr

    reach = math.ceil(3 * sigma) + 1
    first = np.floor(start + factor * np.arange(coarse)).astype(int) - reach
    taps = np.arange(factor + 2 * reach + 2)
    columns = first[:, None] + taps
    lower = (start + factor * np.arange(coarse))[:, None]
    # Integral of (box of one sensor pixel) * (Gaussian) over each fine pixel.
    edges = np.concatenate([columns, columns[:, -1:] + 1], axis=1).astype(float)
    if sigma > 0.01:
        values = _box_blur(edges - lower, sigma, ndtr) - _box_blur(edges - lower - factor, sigma, ndtr)
    else:
        values = np.clip(edges - lower, 0, factor)
    weights = np.diff(values, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(coarse), taps.size)
    matrix = csr_matrix(
        (weights.ravel().astype(np.float32), (rows, np.clip(columns, 0, fine - 1).ravel())), shape=(coarse, fine)
    )
    matrix.sum_duplicates()
    return matrix


def _box_blur(x: NDArray[np.float64], sigma: float, ndtr: Any) -> NDArray[np.float64]:
    """Integral of the Gaussian's cumulative distribution up to x."""
    z = x / sigma
    return np.asarray(sigma * (z * ndtr(z) + np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)))
