"""Windows of rasters of classes: GeoTIFFs, COGs read by ranges, tiles of STAC items, assets of Earth Engine.

Pixels come as they are stored, in the raster's own CRS: nothing is resampled, and no value is invented.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import CRSError, RasterioError
from rasterio.windows import Window

from cropflow.config.addresses import public
from cropflow.errors import CropflowError, listing
from cropflow.files.earth_engine import AssetBand
from cropflow.files.gdal_errors import gdal_reason
from cropflow.files.map_items import ITEM_SUFFIXES, asset_files, is_asset, is_remote

# All that polygons can be made of without a change of type; no map of classes needs more.
DTYPES = ("uint8", "int8", "uint16", "int16", "int32")
# Tiles whose pixels meet to this share of a pixel lie on one grid.
ALIGNED = 1e-3
# Edges this close to a pixel's edge lie on it: the last digits of a projected coordinate are noise.
SLACK = 1e-6
# A server that is busy is asked again; one that sends next to nothing for a minute is given up.
REMOTE = {
    # A signed address is often signed for GET alone.
    "CPL_VSIL_CURL_USE_HEAD": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
}


class Span(NamedTuple):
    """A rectangle of pixels.

    Attributes:
        row: First row, from the raster's upper edge.
        column: First column, from its left edge.
        height: Rows.
        width: Columns.
    """

    row: int
    column: int
    height: int
    width: int


@dataclass(frozen=True)
class _Tile:
    raster: Any
    row: int
    column: int


class ClassRaster:
    """An open raster of classes; several tiles of one grid are read as one raster.

    Attributes:
        name: What to call it in messages.
        crs: Its CRS.
        transform: North-up affine of its upper-left corner, units of the CRS.
        height: Rows.
        width: Columns.
    """

    def __init__(self, name: str, rasters: Sequence[Any], nodata: Sequence[int] = ()) -> None:
        self.name = name
        self.crs = pyproj.CRS.from_user_input(rasters[0].crs)
        first = rasters[0].transform
        places = [_place(raster, rasters[0], name) for raster in rasters]
        top, left = min(row for row, _ in places), min(column for _, column in places)
        self._tiles = [
            _Tile(raster, row - top, column - left) for raster, (row, column) in zip(rasters, places, strict=True)
        ]
        self._nodata = np.array(sorted(nodata), dtype=np.int64)
        self._dtype = np.result_type(*(raster.dtypes[0] for raster in rasters))
        self.transform = first @ Affine.translation(left, top)
        self.height = max(tile.row + tile.raster.height for tile in self._tiles)
        self.width = max(tile.column + tile.raster.width for tile in self._tiles)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(xmin, ymin, xmax, ymax)`` in the CRS."""
        right, bottom = self.transform @ (self.width, self.height)
        return self.transform.c, bottom, right, self.transform.f

    def span(self, bounds: Sequence[float], margin: int = 0) -> Span | None:
        """The pixels that bounds touch, as far as the raster goes.

        Args:
            bounds: ``(xmin, ymin, xmax, ymax)`` in the CRS.
            margin: Pixels more on each side.

        Returns:
            None where the bounds lie beside the raster.
        """
        left, top = ~self.transform @ (bounds[0], bounds[3])
        right, bottom = ~self.transform @ (bounds[2], bounds[1])
        first_row, first_column = (max(0, math.floor(edge + SLACK) - margin) for edge in (top, left))
        end_row = min(self.height, math.ceil(bottom - SLACK) + margin)
        end_column = min(self.width, math.ceil(right - SLACK) + margin)
        if first_row >= end_row or first_column >= end_column:
            return None
        return Span(first_row, first_column, end_row - first_row, end_column - first_column)

    def transform_of(self, span: Span) -> Affine:
        """The affine of the upper-left corner of a part."""
        moved: Affine = self.transform @ Affine.translation(span.column, span.row)
        return moved

    def read(self, span: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a part of the raster.

        Args:
            span: Rows and columns, inside the raster.

        Returns:
            Values as stored, integers, ``(y, x)``, and True where they are valid: neither nodata of the file, of its
            mask or of those given on opening, nor between tiles.

        Raises:
            CropflowError: If the pixels cannot be read.
        """
        values = np.zeros((span.height, span.width), dtype=self._dtype)
        valid = np.zeros(values.shape, dtype=np.bool_)
        for tile in self._tiles:
            top, left = max(span.row, tile.row), max(span.column, tile.column)
            bottom = min(span.row + span.height, tile.row + tile.raster.height)
            right = min(span.column + span.width, tile.column + tile.raster.width)
            if top >= bottom or left >= right:
                continue
            window = Window(left - tile.column, top - tile.row, right - left, bottom - top)
            try:
                pixels = _pixels(tile.raster, window)
            except RasterioError as error:
                raise _unreadable(tile.raster.name, error) from None
            stored, usable = pixels.data, ~np.ma.getmaskarray(pixels)
            part = np.s_[top - span.row : bottom - span.row, left - span.column : right - span.column]
            # Where tiles overlap, the first one that knows a pixel decides.
            fresh = usable & ~np.isin(stored, self._nodata) & ~valid[part]
            values[part] = np.where(fresh, stored, values[part])
            valid[part] |= fresh
        return values, valid


@contextmanager
def open_classes(source: str | Path, nodata: Sequence[int] = (), band: str | None = None) -> Iterator[ClassRaster]:
    """Open a raster of classes.

    Args:
        source: A file that GDAL reads as a raster, the http(s) address of a COG, of which only what is needed is
            fetched, ``ee://`` and the id of an image asset of Earth Engine, or a STAC item or item collection
            (``.json``, ``.geojson``) whose items carry an asset ``map``.
        nodata: Values that mean no data, beside the one that the file declares.
        band: Band of an asset of Earth Engine that has several.

    Raises:
        CropflowError: If it cannot be read, has several bands, holds no integers, has no CRS, is not north-up, or if
            its tiles do not share a grid.
    """
    name = str(public(str(source)))
    listed = not is_remote(str(source)) and Path(source).suffix.lower() in ITEM_SUFFIXES
    files = asset_files(Path(source)) if listed else [str(source)]
    settings = REMOTE if any(is_remote(file) for file in files) else {}
    with rasterio.Env(**settings), ExitStack() as opened:
        rasters = []
        for file in files:
            if is_asset(file):
                rasters.append(AssetBand(file, band))
                continue
            try:
                rasters.append(opened.enter_context(rasterio.open(file)))
            except RasterioError as error:
                raise _unreadable(file, error) from None
            _check(rasters[-1], str(public(file)))
        yield ClassRaster(name, rasters, nodata)


def _pixels(raster: Any, window: Window) -> np.ma.MaskedArray[Any, Any]:
    """A part of a file or an asset, masked where there is no data."""
    found: np.ma.MaskedArray[Any, Any] = (
        raster.read(window) if isinstance(raster, AssetBand) else raster.read(1, window=window, masked=True)
    )
    return found


def _unreadable(file: str, error: Exception) -> CropflowError:
    name = str(public(file))
    text = gdal_reason(error).replace(file, name)
    query = file.partition("?")[2]
    # GDAL repeats addresses, and a query may carry a token.
    reason = public(text) if is_remote(file) and query and query in text else text
    return CropflowError(f"{name} cannot be read as a raster ({reason}); fetch it again, or check its address.")


def _check(raster: Any, name: str) -> None:
    if raster.count != 1:
        raise CropflowError(
            f"{name} has {raster.count} bands; expected one band of classes. Take one out with gdal_translate -b."
        )
    if raster.dtypes[0] not in DTYPES:
        raise CropflowError(
            f"{name} stores {raster.dtypes[0]}; expected classes as integers ({listing(DTYPES)}). Convert it with "
            f"gdal_translate -ot, if its values are whole numbers."
        )
    if raster.crs is None:
        raise CropflowError(f"{name} has no CRS; its pixels cannot be placed. Declare it with gdal_edit -a_srs.")
    try:
        crs = pyproj.CRS.from_user_input(raster.crs)
    except (CRSError, pyproj.exceptions.CRSError):
        raise CropflowError(f"{name} has a CRS that PROJ does not know; declare it with gdal_edit -a_srs.") from None
    if not (crs.is_geographic or crs.is_projected):
        raise CropflowError(
            f"{name} has the local CRS {crs.name!r}; expected one on the globe. Declare it with gdal_edit -a_srs."
        )
    transform = raster.transform
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise CropflowError(
            f"{name} has the transform {tuple(transform)[:6]}; expected a north-up grid. Warp it with gdalwarp."
        )


def _place(raster: Any, first: Any, name: str) -> tuple[int, int]:
    """Row and column of a tile's corner on the grid of the first one."""
    column, row = ~first.transform @ (raster.transform.c, raster.transform.f)
    # Over the width of a tile, a difference of the pixel size must not add up to a shift.
    drift = max(
        abs(raster.transform.a / first.transform.a - 1) * raster.width,
        abs(raster.transform.e / first.transform.e - 1) * raster.height,
    )
    apart = max(abs(row - round(row)), abs(column - round(column)), drift)
    if raster.crs != first.crs or apart > ALIGNED:
        raise CropflowError(
            f"{name} names tiles of different grids ({public(first.name)} and {public(raster.name)}); expected one "
            f"CRS, pixel size and alignment. Name tiles of one product and version."
        )
    return round(row), round(column)
