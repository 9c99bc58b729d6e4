"""Which pixels of a map are read: the windows of the config, as rectangles of rows and columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import pyproj
import shapely

from cropflow.config.regions import Box, Square
from cropflow.config.registers import Raster
from cropflow.errors import CropflowError
from cropflow.files.class_rasters import ClassRaster, Span
from cropflow.regions.grid import utm_epsg

logger = logging.getLogger(__name__)

GEOGRAPHIC = "EPSG:4326"
# 110 km at 10 m, the largest site there is.
LARGEST_PIXELS = 11_000**2
# A site's grid is snapped to multiples of 20 m at most: that much of it may lie outside the square that was declared.
MARGIN_M = 20.0
EDGE_POINTS = 21


def spans_to_read(classes: ClassRaster, wanted: Raster) -> list[Span]:
    """The pixels of the windows, or all, as rectangles that neither overlap nor touch.

    A window covers the site that the same square or box declares. Windows that overlap or touch are read as one
    rectangle around them, so that no pixel is read twice and no part is cut between them.

    Args:
        classes: The map.
        wanted: Windows, and the rows and columns at which parts are cut: rectangles are grown to these.

    Raises:
        CropflowError: If a window lies beside the map, or more than 121 million pixels are asked for.
    """
    spans = [_window(name, site, classes) for name, site in wanted.windows.items()]
    spans = spans or [Span(0, 0, classes.height, classes.width)]
    if wanted.cut_pixels is not None:
        spans = [_grown(span, wanted.cut_pixels, classes) for span in spans]
    spans = merged(spans)
    pixels = sum(span.height * span.width for span in spans)
    if pixels > LARGEST_PIXELS:
        raise CropflowError(
            f"{pixels} pixels of {classes.name} would be read; expected at most {LARGEST_PIXELS} (110 km at 10 m). "
            f"Name smaller raster.windows, for instance the sites of the region."
        )
    return spans


def _window(name: str, site: Square | Box, classes: ClassRaster) -> Span:
    epsg, ground = _ground(name, site)
    bounds = _bounds(name, epsg, ground, classes)
    around = shapely.buffer(ground, MARGIN_M, join_style="mitre")
    span = classes.span(_bounds(name, epsg, around, classes), margin=1)
    if span is None:
        covered = ", ".join(f"{edge:.6g}" for edge in classes.bounds)
        asked = ", ".join(f"{edge:.6g}" for edge in bounds)
        raise CropflowError(
            f"raster.windows.{name} lies beside {classes.name}: it is ({asked}) in {classes.crs.name}, and the map "
            f"covers ({covered}); expected a window inside. Correct the window, or name the map of that place."
        )
    asked_for = shapely.box(*bounds)
    share = asked_for.intersection(shapely.box(*classes.bounds)).area / asked_for.area
    if share < 1 - 1e-9:
        logger.warning("window %s reaches beyond %s, which covers %.1f %% of it", name, classes.name, 100 * share)
    return span


def _ground(name: str, site: Square | Box) -> tuple[int, shapely.Polygon]:
    """The UTM zone and the rectangle in it that a site of this declaration covers, before it is snapped to pixels."""
    if isinstance(site, Box):
        return _box_in_utm(name, site)
    epsg = utm_epsg(*site.centre)
    x, y = pyproj.Transformer.from_crs(GEOGRAPHIC, f"EPSG:{epsg}", always_xy=True).transform(*site.centre)
    half = site.side_km * 500
    return epsg, shapely.box(x - half, y - half, x + half, y + half)


def _bounds(name: str, epsg: int, ground: shapely.Polygon, classes: ClassRaster) -> tuple[float, float, float, float]:
    """The bounds of a rectangle in a UTM zone in the map's CRS."""
    fine = shapely.segmentize(ground, max(ground.bounds[2] - ground.bounds[0], 1.0) / (EDGE_POINTS - 1))
    to_map = pyproj.Transformer.from_crs(f"EPSG:{epsg}", classes.crs, always_xy=True)
    xmin, ymin, xmax, ymax = shapely.transform(fine, to_map.transform, interleaved=False).bounds
    if not np.isfinite([xmin, ymin, xmax, ymax]).all() or (classes.crs.is_geographic and xmax - xmin > 180):
        raise CropflowError(
            f"raster.windows.{name} cannot be placed in {classes.crs.name} of {classes.name}; expected a window inside "
            f"that CRS and on one side of the antimeridian. Move it, or make two of it."
        )
    return xmin, ymin, xmax, ymax


def _box_in_utm(name: str, box: Box) -> tuple[int, shapely.Polygon]:
    xmin, ymin, xmax, ymax = box.bounds
    to_geographic = pyproj.Transformer.from_crs(box.crs, GEOGRAPHIC, always_xy=True)
    longitude, latitude = to_geographic.transform((xmin + xmax) / 2, (ymin + ymax) / 2)
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        raise CropflowError(
            f"raster.windows.{name}.bounds are {list(box.bounds)}, which {box.crs} does not place on Earth; "
            "expected (xmin, ymin, xmax, ymax) in that CRS."
        )
    epsg = utm_epsg(longitude, latitude)
    to_utm = pyproj.Transformer.from_crs(box.crs, f"EPSG:{epsg}", always_xy=True)
    return epsg, shapely.box(*to_utm.transform_bounds(*box.bounds, densify_pts=EDGE_POINTS))


def _grown(span: Span, step: int, classes: ClassRaster) -> Span:
    """The cells of the cutting grid that a rectangle touches, as far as the map goes."""
    row, column = span.row // step * step, span.column // step * step
    end_row = min(-(-(span.row + span.height) // step) * step, classes.height)
    end_column = min(-(-(span.column + span.width) // step) * step, classes.width)
    return Span(row, column, end_row - row, end_column - column)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Rectangles around those that overlap or touch, from the upper left; what is left lies apart."""
    done: list[Span] = []
    waiting = sorted(spans)
    while waiting:
        span = waiting.pop(0)
        near = next((other for other in done if _meet(span, other)), None)
        if near is None:
            done.append(span)
            continue
        # The larger rectangle may meet others that were apart so far.
        done.remove(near)
        waiting.insert(0, _around(span, near))
    return sorted(done)


def _meet(one: Span, other: Span) -> bool:
    return (
        one.row <= other.row + other.height
        and other.row <= one.row + one.height
        and one.column <= other.column + other.width
        and other.column <= one.column + one.width
    )


def _around(one: Span, other: Span) -> Span:
    row, column = min(one.row, other.row), min(one.column, other.column)
    end_row = max(one.row + one.height, other.row + other.height)
    end_column = max(one.column + one.width, other.column + other.width)
    return Span(row, column, end_row - row, end_column - column)
