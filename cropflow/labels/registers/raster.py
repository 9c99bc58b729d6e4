"""A map of classes as a register: EUCROPMAP, the AAFC Annual Crop Inventory, ESA WorldCover and their like.

Connected pixels of one value become a parcel whose edges are the pixels' edges, in the map's own CRS. Nothing is
resampled: on any other grid, the parcels rasterised by pixel centres are the map's nearest neighbours. The code is the
value as text. What such labels say was itself predicted: scores against them are agreement, not accuracy.

A connected part takes about 2 kB of memory until it is written: a 10 km square at 10 m makes some 36,000 parts of
fields of 4 ha with ragged borders, and 160,000 of patches of 60 m.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes

from cropflow.config.addresses import public
from cropflow.config.registers import Raster, Register
from cropflow.errors import CropflowError
from cropflow.files.class_rasters import ClassRaster, Span, open_classes
from cropflow.files.map_items import ITEM_SUFFIXES, asset_files, is_asset, is_remote
from cropflow.labels.archives import RASTER_SUFFIXES, is_archive, unpacked
from cropflow.labels.registers.raster_windows import spans_to_read

logger = logging.getLogger(__name__)

# Straight edges of the map are bent lines in another CRS: by 2 cm over 1 km, if nothing lies between.
EDGE_PIXELS = 64
_BATCH = 50_000


def read(source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the connected parts of a map; see :class:`cropflow.labels.registers.Reader`.

    The id of a part, such as ``r120c7``, is the row and column of its first pixel in the map, so that it does not
    depend on the window, as long as the window does not cut the part.

    Args:
        source: A raster, an archive with one GeoTIFF, a STAC item collection, the http(s) address of a COG, or
            ``ee://`` and the id of an image asset of Earth Engine.
        season: Name of the season; a map is of one.
        settings: The register's config entry; ``raster`` is used.

    Raises:
        CropflowError: If the map cannot be read, a window lies beside it, too much of it is asked for, or it has no
            valid pixel there.
    """
    wanted = settings.raster or Raster()
    band = _layer(season, settings) if is_asset(str(source)) else None
    with _unpacked(source, season, settings) as file, open_classes(file, wanted.nodata, band) as classes:
        spans = spans_to_read(classes, wanted)
        parts = [_connected(classes, span, wanted.cut_pixels) for span in spans]
        pixels = sum(span.height * span.width for span in spans)
        valid = sum(count for count, _ in parts)
        if not valid:
            raise CropflowError(
                f"{classes.name} has no valid pixel among the {pixels} that were read; expected some. "
                f"Check raster.windows and raster.nodata of the register."
            )
        table = pandas.concat([table for count, table in parts if count], ignore_index=True)
        crs = classes.crs
    logger.info(
        "%d of %d pixels are valid; they make %d connected parts of %d values",
        valid, pixels, len(table), table["crop_code"].nunique(),
    )  # fmt: skip
    return geopandas.GeoDataFrame(table, geometry="geometry", crs=crs)


@contextmanager
def _unpacked(source: Path | str, season: str, settings: Register) -> Iterator[Path | str]:
    """The map itself, where it comes in an archive, as the AAFC Annual Crop Inventory does."""
    layer = _layer(season, settings)
    if is_asset(str(source)):
        yield source
    elif not is_remote(str(source)) and is_archive(Path(source)):
        with unpacked(Path(source), member=layer, suffixes=RASTER_SUFFIXES) as file:
            yield file
    elif layer is not None:
        raise CropflowError(
            f"registers.<name>.files.{season}.layer is {layer!r}; for reader raster it names a file of an archive or "
            f"a band of an asset of Earth Engine, and {public(str(source))} is neither. Drop it."
        )
    else:
        yield source


def _layer(season: str, settings: Register) -> str | None:
    return settings.files[season].layer if season in settings.files else None


def files(source: Path | str, season: str, settings: Register) -> list[Path]:
    """The local files that reading a map opens: none of an address, the tiles of a STAC item collection.

    Args:
        source: As for :func:`read`.
        season: Name of the season.
        settings: The register's config entry.

    Raises:
        CropflowError: If an item names no map.
    """
    if is_remote(str(source)):
        return []
    source = Path(source)
    tiles = asset_files(source) if source.suffix.lower() in ITEM_SUFFIXES else []
    return [source, *(Path(tile) for tile in tiles if not is_remote(tile))]


def _connected(classes: ClassRaster, span: Span, cut_pixels: int | None) -> tuple[int, pandas.DataFrame]:
    """Number of valid pixels of a rectangle of the map, and its connected parts in the map's CRS."""
    values, valid = classes.read(span)
    corner = (span.row, span.column)
    masks = [valid] if cut_pixels is None else [valid & squares for squares in chequerboard(span, cut_pixels)]
    found = [polygonised(values, mask, corner) for mask in masks]
    outlines = np.concatenate([part for part, _ in found])
    codes = np.concatenate([code for _, code in found])
    names = [f"r{row}c{column}" for row, column in zip(*first_pixels(outlines), strict=True)]

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x = classes.transform.c + classes.transform.a * points[:, 0]
        y = classes.transform.f + classes.transform.e * points[:, 1]
        return np.column_stack([x, y])

    return int(valid.sum()), pandas.DataFrame(
        {
            "parcel_id": pandas.Series(names, dtype="str"),
            "crop_code": pandas.Series([str(code) for code in codes.tolist()], dtype="str"),
            "geometry": shapely.transform(shapely.segmentize(outlines, EDGE_PIXELS), place),
        }
    )


def chequerboard(span: Span, cut_pixels: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The dark and the light squares of the cutting grid, which is the whole map's and not the rectangle's.

    Squares of one colour meet in corners alone: parts of one colour's pixels never cross a cut.

    Args:
        span: Rows and columns of the map.
        cut_pixels: Side of a square.

    Returns:
        True on the dark squares and True on the light ones, ``(y, x)``.
    """
    rows = (span.row + np.arange(span.height)) // cut_pixels % 2
    columns = (span.column + np.arange(span.width)) // cut_pixels % 2
    light = rows[:, np.newaxis] == columns
    return ~light, light


def polygonised(
    values: NDArray[Any], valid: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Outline connected pixels of one value.

    Pixels are connected over their edges, not their corners.

    Args:
        values: Integers of at most 32 bits, ``(y, x)``.
        valid: True where a pixel counts, ``(y, x)``.
        corner: Row and column of the first pixel in the whole map.

    Returns:
        Valid polygons in pixels of the whole map, x = column and y = row, ``(part,)``; and their values, int64,
        ``(part,)``.
    """
    # In pixels of the whole map and not of the window: a part has the same vertices, to the last digit, in all of them.
    shift = Affine.translation(corner[1], corner[0])
    found = iter(shapes(values.astype(np.int32), mask=valid, connectivity=4, transform=shift))
    outlines: list[NDArray[np.object_]] = []
    codes: list[float] = []
    # As nested lists, a part takes several times the memory that it takes as a polygon.
    while batch := list(islice(found, _BATCH)):
        outlines.append(_polygons([geometry["coordinates"] for geometry, _ in batch]))
        codes += [value for _, value in batch]
    whole = np.concatenate(outlines) if outlines else np.empty(0, dtype=object)
    return whole, np.array(codes, dtype=np.int64)


def _polygons(parts: list[list[list[tuple[float, float]]]]) -> NDArray[np.object_]:
    """Polygons of rings of points, all in one step."""
    rings = [ring for part in parts for ring in part]
    points = np.array([point for ring in rings for point in ring], dtype=np.float64)
    ends_of_rings = np.cumsum([0, *map(len, rings)])
    ends_of_parts = np.cumsum([0, *map(len, parts)])
    result: NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ends_of_rings, ends_of_parts)
    )
    return result


def first_pixels(outlines: NDArray[np.object_]) -> tuple[list[int], list[int]]:
    """Row and column of the first pixel, row by row, of connected parts.

    Args:
        outlines: Polygons in pixels, as :func:`polygonised` returns them, ``(part,)``.
    """
    corners, owner = shapely.get_coordinates(shapely.get_exterior_ring(outlines), return_index=True)
    rows = np.full(len(outlines), np.inf)
    np.minimum.at(rows, owner, corners[:, 1])
    topmost = corners[:, 1] == rows[owner]
    columns = np.full(len(outlines), np.inf)
    np.minimum.at(columns, owner[topmost], corners[topmost, 0])
    return rows.astype(np.int64).tolist(), columns.astype(np.int64).tolist()
