"""Bands of image assets of Earth Engine, read window by window on the asset's own grid of pixels.

Pixels are asked for with the CRS, pixel size and corner of the stored band, so the service has nothing to resample.
Accounts are the client's affair: its own store, or the key file that the environment names; no config holds them.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pyproj
import rasterio.crs
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from cropflow.errors import CropflowError, listing
from cropflow.files.earth_engine_calls import asked
from cropflow.files.map_items import ASSET_SCHEME
from cropflow.files.remote import Limits

logger = logging.getLogger(__name__)

# Side of what is asked for at once. A request may hold 48 MiB, a byte of mask per pixel included, and 32,768 pixels a
# side: this one takes 20 MiB of 32-bit integers, and little is lost when it has to be asked for again.
TILE_PIXELS = 2048
# Of all bands that a process reads, as imagery has them where the config says nothing.
LIMITS = Limits(at_once=8, per_second=20.0)
# Narrowest first: a band declares the range of its values, and not a type.
INTEGERS = ("uint8", "int8", "uint16", "int16", "int32")
# Images of a collection that a message names.
MOST_NAMED = 12
WAY_OUT = "Export it as a GeoTIFF of classes, and give that as path."


class AssetBand:
    """A band of an image asset, with as much of an open raster's interface as maps of classes need.

    Attributes:
        name: Its address, ``ee://`` and the asset's id.
        crs: CRS of its grid.
        transform: North-up affine of its upper-left corner, units of the CRS.
        height: Rows.
        width: Columns.
        dtypes: The narrowest type of integers that holds the range that the band declares.
    """

    def __init__(self, address: str, band: str | None = None) -> None:
        """Ask for the asset's description.

        Args:
            address: ``ee://`` and the id of an image asset.
            band: Its band; may be left out where it has one.

        Raises:
            CropflowError: If the service refuses or does not answer, or the asset is no image, has no such band, holds
                no integers, or has a grid that is not north-up or of a CRS that PROJ does not know.
        """
        self.name = address
        self._id = address.removeprefix(ASSET_SCHEME)
        asset = asked(address, lambda ee: ee.data.getAsset(self._id), LIMITS)
        if asset.get("type") != "IMAGE":
            raise CropflowError(
                f"{address} is of type {asset.get('type')}; expected an IMAGE{_images_of(address, asset)}. Name one."
            )
        described = _band_of(asset.get("bands", []), band, address)
        self._band: str = described["id"]
        self.dtypes = (_dtype(described.get("dataType", {}), address),)
        grid = described["grid"]
        self._crs = {key: grid[key] for key in ("crsCode", "crsWkt") if key in grid}
        self.crs = _crs(self._crs, address)
        self.transform = _transform(grid["affineTransform"], address)
        self.height, self.width = (int(grid["dimensions"][key]) for key in ("height", "width"))
        logger.info("%s, band %s: as of %s", address, self._band, asset.get("updateTime", "an unknown date"))

    def read(self, window: Window) -> np.ma.MaskedArray[Any, Any]:
        """Read a part of the band, in as many requests as it takes.

        The service sends 0 for masked pixels, so a 0 cannot be told from them and is masked.

        Args:
            window: Rows and columns, inside the band.

        Returns:
            Values as stored, ``(y, x)``, masked where they are 0.

        Raises:
            CropflowError: If the pixels cannot be read, or are not those that the band's description promises.
        """
        row, column, height, width = (
            int(part) for part in (window.row_off, window.col_off, window.height, window.width)
        )
        values = np.empty((height, width), dtype=self.dtypes[0])
        for top, left in product(range(0, height, TILE_PIXELS), range(0, width, TILE_PIXELS)):
            part = values[top : top + TILE_PIXELS, left : left + TILE_PIXELS]
            part[:] = self._tile(row + top, column + left, *part.shape)
        return np.ma.masked_equal(values, 0)

    def _tile(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        corner = self.transform @ Affine.translation(column, row)
        request = pixel_request(self._id, [self._band], self._crs, corner, height, width)
        content = asked(self.name, lambda ee: ee.data.getPixels(request), LIMITS)
        try:
            stored: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)[self._band]
        except (ValueError, IndexError, EOFError) as error:
            raise CropflowError(f"{self.name} sent pixels that cannot be read ({error}). Try again.") from None
        values = stored.astype(self.dtypes[0])
        if stored.shape != (height, width) or not np.array_equal(values, stored):
            raise CropflowError(
                f"{self.name} sent {stored.dtype} pixels {stored.shape} that do not fit what it declares: "
                f"{self.dtypes[0]}, {(height, width)}. {WAY_OUT}"
            )
        return values


def pixel_request(
    asset: str, bands: Sequence[str], crs: Mapping[str, str], transform: Affine, height: int, width: int
) -> dict[str, Any]:
    """What ``getPixels`` is asked for: bands of an image on a north-up grid, as a file of NumPy.

    Args:
        asset: Id of the image.
        bands: Names of its bands.
        crs: ``crsCode`` or ``crsWkt``.
        transform: Affine of the upper-left corner.
        height: Rows.
        width: Columns.
    """
    affine = {"scaleX": transform.a, "shearX": 0, "translateX": transform.c}
    affine |= {"shearY": 0, "scaleY": transform.e, "translateY": transform.f}
    grid = {**crs, "dimensions": {"height": height, "width": width}, "affineTransform": affine}
    return {"assetId": asset, "bandIds": list(bands), "fileFormat": "NPY", "grid": grid}


def _images_of(address: str, asset: Mapping[str, Any]) -> str:
    """What a collection offers instead of itself."""
    if asset.get("type") != "IMAGE_COLLECTION":
        return ""
    name = address.removeprefix(ASSET_SCHEME)
    query = {"parent": name, "pageSize": MOST_NAMED}
    found = asked(address, lambda ee: ee.data.listAssets(query), LIMITS)["assets"]
    # The service sends a page; whether there are more images than that it does not say.
    return f", such as {listing([image['id'] for image in found])}" if found else ", and it holds none"


def _band_of(bands: list[dict[str, Any]], wanted: str | None, name: str) -> dict[str, Any]:
    """The band that is asked for, or the only one."""
    found = [band for band in bands if wanted in (None, band["id"])]
    if len(found) != 1:
        asked_for = "no layer is given" if wanted is None else f"layer is {wanted!r}"
        names = listing([band["id"] for band in bands]) or "none"
        raise CropflowError(f"{name} has the bands {names}, and {asked_for}; expected one of them as layer.")
    return found[0]


def _dtype(declared: Mapping[str, Any], name: str) -> str:
    # A limit that is 0 is left out.
    limits = declared.get("range", {})
    low, high = limits.get("min", 0), limits.get("max", 0)
    if declared.get("precision") == "INT" and low < high:
        for dtype in INTEGERS:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return dtype
    raise CropflowError(
        f"{name} stores {declared.get('precision')} from {low:g} to {high:g}; expected classes as integers "
        f"({listing(INTEGERS)}). {WAY_OUT}"
    )


def _crs(named: Mapping[str, str], name: str) -> rasterio.crs.CRS:
    text = named.get("crsCode") or named.get("crsWkt")
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        raise CropflowError(f"{name} has the CRS {text!r}, which PROJ does not know. {WAY_OUT}") from None
    if not (crs.is_geographic or crs.is_projected):
        raise CropflowError(f"{name} has the local CRS {crs.name!r}; expected one on the globe. {WAY_OUT}")
    # As a file has it, so that parcels carry the same CRS, to the last word.
    return rasterio.crs.CRS.from_user_input(text)


def _transform(parts: Mapping[str, float], name: str) -> Affine:
    # What is 0 is left out.
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    transform = Affine(*(float(parts.get(key, 0)) for key in names))
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise CropflowError(f"{name} has the transform {tuple(transform)[:6]}; expected a north-up grid. {WAY_OUT}")
    return transform
