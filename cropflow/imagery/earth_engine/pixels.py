"""Pixels of an image of Earth Engine on a grid, checked, and in halves where the service finds them too large."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.earth_engine import pixel_request
from cropflow.files.earth_engine_calls import called
from cropflow.files.remote import Limits, TooLargeError, TransientError
from cropflow.imagery.windows import decibel_mean, integer_mean, linear_mean
from cropflow.regions.grid import Grid


class PixelReader:
    """Asks for pixels, and remembers what was too large.

    Args:
        limits: Turns of requests.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Numbers per request: the fewest that were refused. What is larger is halved without asking.
        self._refused: float = np.inf

    def read(self, asset: str, bands: Sequence[str], grid: Grid) -> dict[str, NDArray[Any]]:
        """Read bands on a grid, by nearest neighbour where it is not theirs.

        Args:
            asset: Id of the image.
            bands: Names of its bands.
            grid: The grid; CRS, corner, pixel and size are asked for as they are.

        Returns:
            Band -> ``(y, x)``, in the type that the service sends; 0 where the image is masked or ends.

        Raises:
            CropflowError: If the service refuses, sends other pixels than those asked for, or cannot send one pixel.
            GoneError: If the image is not there any more.
            TransientError: If it does not answer.
        """
        size = grid.height * grid.width * len(bands)
        if size < self._refused or size == len(bands):
            try:
                return self._ask(asset, bands, grid)
            except TooLargeError as error:
                if size == len(bands):
                    raise CropflowError(
                        f"Earth Engine does not send one pixel of {asset} ({error}). Try again later."
                    ) from None
                self._refused = min(self._refused, size)
        halves = [self.read(asset, bands, part) for part in _halves(grid)]
        axis = 0 if grid.height >= grid.width else 1
        return {band: np.concatenate([half[band] for half in halves], axis=axis) for band in bands}

    def _ask(self, asset: str, bands: Sequence[str], grid: Grid) -> dict[str, NDArray[Any]]:
        crs = {"crsCode": f"EPSG:{grid.epsg}"}
        request = pixel_request(asset, bands, crs, grid.transform, grid.height, grid.width)
        name = f"Earth Engine's image {asset}"
        return dict(called(name, lambda ee: _parsed(ee.data.getPixels(request), asset, bands, grid), self._limits))


def _halves(grid: Grid) -> tuple[Grid, Grid]:
    """The upper and lower half, or the left and right one where the grid is wider than high."""
    if grid.height >= grid.width:
        half = grid.height // 2
        return grid.window(0, 0, half, grid.width), grid.window(half, 0, grid.height - half, grid.width)
    half = grid.width // 2
    return grid.window(0, 0, grid.height, half), grid.window(0, half, grid.height, grid.width - half)


def _parsed(content: bytes, asset: str, bands: Sequence[str], grid: Grid) -> dict[str, NDArray[Any]]:
    try:
        stored: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        # A cut that the connection did not notice.
        raise TransientError(f"{len(content)} bytes that are no pixels ({error})") from None
    names = stored.dtype.names or ()
    if stored.shape != grid.shape or set(names) != set(bands):
        raise CropflowError(
            f"Earth Engine sent {stored.shape} pixels with the bands {', '.join(names) or 'none'} of {asset}; expected "
            f"{grid.shape} with {', '.join(bands)}. Check imagery.<name>.collections."
        )
    return {band: np.ascontiguousarray(stored[band]) for band in bands}


def as_integers(values: NDArray[Any], asset: str, band: str) -> NDArray[np.uint16]:
    """Reflectance or classes as they are kept.

    Raises:
        CropflowError: If the values are no integers from 0 to 65535.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise CropflowError(
            f"Band {band} of {asset} holds {values.dtype}; expected integers, reflectance x 10000 or classes. Check "
            "imagery.<name>.collections."
        )
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise CropflowError(
            f"Band {band} of {asset} holds values from {lowest} to {highest}; expected 0 to 65535 (reflectance x 10000 "
            "or classes). Check imagery.<name>.collections."
        )
    return values.astype(np.uint16)


def on_grid(values: NDArray[Any], cover: Grid, grid: Grid, *, categorical: bool, decibel: bool = True) -> NDArray[Any]:
    """Bring values on a grid of other pixels to a site's: repeated where they are larger, averaged where smaller.

    Args:
        values: ``(y, x)`` on ``cover``: uint16, 0 = nodata, or float32, dB or linear power, NaN = nodata.
        cover: A grid of the same zone that covers the site's, its pixel a multiple or a part of the site's.
        grid: The site's grid.
        categorical: True for classes, of which the upper left one stands for all instead of a mean.
        decibel: True where float32 is in dB: means are those of linear power.
    """
    if cover.pixel_m > grid.pixel_m:
        ratio = round(cover.pixel_m / grid.pixel_m)
        values = values.repeat(ratio, axis=0).repeat(ratio, axis=1)
        top, left = (round(apart / grid.pixel_m) for apart in (cover.ymax - grid.ymax, grid.xmin - cover.xmin))
        return np.ascontiguousarray(values[top : top + grid.height, left : left + grid.width])
    ratio = round(grid.pixel_m / cover.pixel_m)
    if ratio == 1:
        return values
    if categorical:
        return np.ascontiguousarray(values[::ratio, ::ratio])
    blocks = values.reshape(grid.height, ratio, grid.width, ratio)
    if values.dtype.kind != "f":
        return integer_mean(blocks)
    return decibel_mean(blocks) if decibel else linear_mean(blocks)
