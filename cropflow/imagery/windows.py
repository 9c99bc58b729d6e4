"""One raster layer on the grid of a site: exact where the grids agree, nearest neighbour where they do not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject
from rasterio.windows import Window

from cropflow.errors import CropflowError
from cropflow.files.gdal_errors import gdal_reason
from cropflow.imagery.sources import Layer
from cropflow.regions.grid import Grid

# Corners closer than this to a multiple of the pixel size lie on it, metres.
ALIGNED_M = 1e-3


def read_layer(path: str, grid: Grid, *, categorical: bool = False) -> Layer:
    """Read the part of a raster that a site covers, on the site's grid; nodata where the raster ends.

    Four cases, by the raster's grid beside the site's:

    * same zone, same pixel, same origin: the pixels as they are;
    * same zone, pixels ``k`` times as large whose edges fall on the site's: each repeated ``k x k`` times, whichever
      multiple of the site's pixel the raster begins at;
    * same zone, pixels ``k`` times smaller, edges on the site's: the mean of the valid ones among ``k x k``, halves
      rounded up (values, not classes);
    * all else, other zones included: nearest neighbour.

    Args:
        path: A local raster of one band.
        grid: The grid of the site.
        categorical: True for classes, which are never averaged.

    Raises:
        CropflowError: If the raster cannot be read, has no CRS, or holds anything but integers in 0..65535.
    """
    return _open(path, grid, _CLASSES if categorical else _REFLECTANCE)


def read_measure(path: str, grid: Grid, *, decibel: bool = False) -> Layer:
    """Read the part of a raster of floating-point numbers that a site covers, by the same four cases.

    Smaller pixels are averaged in linear power, also where they are stored in dB.

    Args:
        path: A local raster of one band.
        grid: The grid of the site.
        decibel: True for backscatter in dB. Otherwise 0 is nodata: linear power, or an angle of incidence.

    Returns:
        The values as stored, float32; NaN where the raster ends, holds NaN or its declared nodata.

    Raises:
        CropflowError: If the raster cannot be read, has no CRS, or does not hold floating-point numbers.
    """
    return _open(path, grid, _DECIBEL if decibel else _LINEAR)


def _open(path: str, grid: Grid, kind: _Kind) -> Layer:
    if urlsplit(path).scheme not in ("", "file") and len(urlsplit(path).scheme) > 1:
        raise CropflowError(f"{path} is no local file; expected a relative, absolute or file: href. Download it first.")
    try:
        with rasterio.open(path) as raster:
            return _read(raster, path, grid, kind)
    except RasterioError as error:
        # GDAL has file systems of its own below /vsi.
        local = unquote(urlsplit(path).path) if path.startswith("file:") else path
        if not local.startswith("/vsi") and not Path(local).exists():
            raise CropflowError(
                f"{path} is missing; expected a raster, for the record of its scene names it. Put it there, or correct "
                "the record."
            ) from None
        raise CropflowError(
            f"{path} cannot be read ({gdal_reason(error)}); the file is damaged. Fetch it again."
        ) from None


def _read(raster: Any, path: str, grid: Grid, kind: _Kind) -> Layer:
    if raster.crs is None:
        raise CropflowError(f"{path} has no CRS; expected a georeferenced raster. Fetch it again.")
    if np.dtype(raster.dtypes[0]).kind not in kind.stored:
        raise CropflowError(f"{path} stores {raster.dtypes[0]}; expected {kind.expected}. Convert it first.")
    larger, smaller = _ratios(raster, grid)
    if larger:
        values, size = _repeat(raster, path, grid, kind, larger)
    elif smaller and kind.mean is not None:
        values, size = _average(raster, path, grid, kind, smaller, kind.mean)
    else:
        values = _nearest(raster, path, grid, kind)
        return Layer(values, values.size * np.dtype(raster.dtypes[0]).itemsize, True)
    return Layer(values, size, False)


def _ratios(raster: Any, grid: Grid) -> tuple[int, int]:
    """How many site pixels a raster pixel spans, or raster pixels a site pixel; 0 where the grids do not agree."""
    transform = raster.transform
    square = math.isclose(transform.a, -transform.e, rel_tol=1e-9) and transform.b == transform.d == 0
    if not square or raster.crs != rasterio.CRS.from_epsg(grid.epsg):
        return 0, 0
    fine, coarse = sorted((float(transform.a), grid.pixel_m))
    ratio = coarse / fine
    apart = (transform.c - grid.xmin, transform.f - grid.ymax)
    if abs(ratio - round(ratio)) > 1e-9 or any(abs(d - round(d / fine) * fine) > ALIGNED_M for d in apart):
        return 0, 0
    return (round(ratio), 0) if transform.a >= grid.pixel_m else (0, round(ratio))


def _repeat(raster: Any, path: str, grid: Grid, kind: _Kind, ratio: int) -> tuple[NDArray[Any], int]:
    # Distance from the raster's corner to the site's, in site pixels, at least 0 inside the raster.
    column = round((grid.xmin - raster.transform.c) / grid.pixel_m)
    row = round((raster.transform.f - grid.ymax) / grid.pixel_m)
    first_row, first_column = row // ratio, column // ratio
    rows = -(-(row + grid.height) // ratio) - first_row
    columns = -(-(column + grid.width) // ratio) - first_column
    values, size = _filled(raster, path, kind, first_row, first_column, rows, columns)
    if ratio > 1:
        values = values.repeat(ratio, axis=0).repeat(ratio, axis=1)
    top, left = row - first_row * ratio, column - first_column * ratio
    return np.ascontiguousarray(values[top : top + grid.height, left : left + grid.width]), size


def _average(
    raster: Any, path: str, grid: Grid, kind: _Kind, ratio: int, mean: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[NDArray[Any], int]:
    fine_m = grid.pixel_m / ratio
    column = round((grid.xmin - raster.transform.c) / fine_m)
    row = round((raster.transform.f - grid.ymax) / fine_m)
    values, size = _filled(raster, path, kind, row, column, grid.height * ratio, grid.width * ratio)
    return mean(values.reshape(grid.height, ratio, grid.width, ratio)), size


def _nearest(raster: Any, path: str, grid: Grid, kind: _Kind) -> NDArray[Any]:
    nodata = kind.nodata if raster.nodata is None else raster.nodata
    values = np.full(grid.shape, nodata, dtype=raster.dtypes[0])
    reproject(
        rasterio.band(raster, 1),
        values,
        src_nodata=nodata,
        dst_nodata=nodata,
        dst_crs=f"EPSG:{grid.epsg}",
        dst_transform=grid.transform,
        resampling=Resampling.nearest,
        # Every pixel is transformed exactly: within an eighth of a pixel, the default, neighbours may be swapped.
        tolerance=0.0,
    )
    return kind.check(values, nodata, path)


def _filled(
    raster: Any, path: str, kind: _Kind, row: int, column: int, rows: int, columns: int
) -> tuple[NDArray[Any], int]:
    """Read a window that may reach beyond the raster, with nodata there."""
    values = np.full((rows, columns), kind.nodata, dtype=kind.dtype)
    top, bottom = max(row, 0), min(row + rows, raster.height)
    left, right = max(column, 0), min(column + columns, raster.width)
    if top >= bottom or left >= right:
        return values, 0
    inside = raster.read(1, window=Window(left, top, right - left, bottom - top))
    values[top - row : bottom - row, left - column : right - column] = kind.check(inside, raster.nodata, path)
    return values, int(inside.nbytes)


def _integers(values: NDArray[Any], nodata: float | None, path: str) -> NDArray[np.uint16]:
    if nodata is not None and nodata != 0:
        values = np.where(values == nodata, 0, values)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise CropflowError(
            f"{path} holds values from {lowest} to {highest}; expected 0 to 65535 (reflectance x 10000 or classes)."
        )
    return values.astype(np.uint16)


def integer_mean(blocks: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Mean of the pixels of each block that are not 0, halves up; ``(y, k, x, k)`` to ``(y, x)``."""
    count = (blocks > 0).sum(axis=(1, 3), dtype=np.int64)
    total = blocks.sum(axis=(1, 3), dtype=np.int64)
    # Twice the sum plus the count over twice the count: halves are rounded up in integers.
    mean = (2 * total + count) // np.maximum(2 * count, 1)
    return np.asarray(mean, np.uint16)


def _decibel(values: NDArray[Any], nodata: float | None, path: str) -> NDArray[np.float32]:
    found = values.astype(np.float32)
    if nodata is not None:
        found[values == nodata] = np.nan
    return found


def _linear(values: NDArray[Any], nodata: float | None, path: str) -> NDArray[np.float32]:
    found = _decibel(values, nodata, path)
    found[found == 0] = np.nan
    return found


def linear_mean(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the pixels of each block that are not NaN; ``(y, k, x, k)`` to ``(y, x)``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.asarray(np.nanmean(blocks, axis=(1, 3), dtype=np.float64), np.float32)


def decibel_mean(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean in linear power of the values in dB of each block that are not NaN; ``(y, k, x, k)`` to ``(y, x)``."""
    return np.asarray(10 * np.log10(linear_mean(np.asarray(10 ** (blocks / 10), np.float32))), np.float32)


@dataclass(frozen=True)
class _Kind:
    """What a raster holds: how its values enter, and how several become one.

    Attributes:
        stored: NumPy kinds of number that the raster may store.
        expected: The same in words.
        dtype: Of the values that are given out.
        nodata: Where the raster ends or knows nothing.
        check: Values, declared nodata and path -> values that are given out.
        mean: Blocks ``(y, k, x, k)`` -> ``(y, x)``; None where values are never averaged.
    """

    stored: Literal["iu", "f"]
    expected: str
    dtype: type[np.generic]
    nodata: float
    check: Callable[[NDArray[Any], float | None, str], NDArray[Any]]
    mean: Callable[[NDArray[Any]], NDArray[Any]] | None


_IN_WORDS = "integers, reflectance x 10000 or classes"
_REFLECTANCE = _Kind("iu", _IN_WORDS, np.uint16, 0, _integers, integer_mean)
_CLASSES = _Kind("iu", _IN_WORDS, np.uint16, 0, _integers, None)
_LINEAR = _Kind("f", "floating-point numbers", np.float32, math.nan, _linear, linear_mean)
_DECIBEL = _Kind("f", "floating-point numbers, backscatter in dB", np.float32, math.nan, _decibel, decibel_mean)
