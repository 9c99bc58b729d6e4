"""One composite in true colour, small, computed by Earth Engine for the preview map."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from cropflow.errors import CropflowError, listing
from cropflow.files.earth_engine_calls import asked
from cropflow.files.remote import Limits, TransientError
from cropflow.imagery.scenes import SCL, Scene

# The projection of maps in browsers: a picture on its grid lies where it belongs.
MERCATOR = "EPSG:3857"
LONGEST_SIDE = 1024
FINEST_M = 10.0
COLOURS = ("B04", "B03", "B02")
CLEAR_CLASSES = (4, 5, 6, 7, 11)
# Reflectance x 10000 that is drawn white.
WHITE = 3000


@dataclass(frozen=True)
class Picture:
    """A picture on the map.

    Attributes:
        month: Month that it shows, such as ``2023-06``.
        scenes: Scenes that it rests on.
        colours: Red, green, blue and opacity, uint8, ``(y, x, 4)``.
        bounds: ``(west, south, east, north)``, degrees.
    """

    month: str
    scenes: int
    colours: NDArray[np.uint8]
    bounds: tuple[float, float, float, float]


def best_month(scenes: Iterable[Scene], footprint: BaseGeometry) -> str:
    """The month in which most scenes over a site are less than half cloud, by their metadata; the first of equals.

    Raises:
        CropflowError: If no scene is over the site.
    """
    over = scenes_over(scenes, footprint)
    if not over:
        raise CropflowError("No Sentinel-2 scene among those found lies over the site; expected one at least.")
    clear = Counter(scene.stamp[:7] for scene in over if not scene.cloud_percent >= 50)
    counts = clear or Counter(scene.stamp[:7] for scene in over)
    return min(counts, key=lambda month: (-counts[month], month))


def scenes_over(scenes: Iterable[Scene], footprint: BaseGeometry, month: str = "") -> list[Scene]:
    """Sentinel-2 scenes that touch a site, in a month such as ``2023-06`` where one is given."""
    return [
        scene
        for scene in scenes
        if scene.sensor == "sentinel2"
        and scene.stamp.startswith(month)
        and (scene.extent is None or scene.extent.intersects(footprint))
    ]


def check_images(scenes: Sequence[Scene], month: str) -> None:
    """Refuse scenes that are no images of Earth Engine, and a month without any.

    Raises:
        CropflowError: One line that tells how many.
    """
    wanted = {*COLOURS, SCL}
    wrong = [scene.id for scene in scenes if not wanted <= set(scene.layers) or scene.layers[SCL] != SCL]
    if wrong or not scenes:
        raise CropflowError(
            f"{len(scenes) - len(wrong)} of {len(scenes)} scenes of {month} over the site are images of Earth Engine "
            f"with the bands {listing(sorted(wanted))}; expected all, and one at least. Take another --month, or what "
            "`cropflow imagery find` found there."
        )


def fetch_picture(scenes: Sequence[Scene], footprint: BaseGeometry, month: str, limits: Limits) -> Picture:
    """Let Earth Engine take the median of the clear pixels of a month, and fetch it.

    Args:
        scenes: Scenes that :func:`scenes_over` told of a month.
        footprint: Footprint of the site, EPSG:4326.
        month: What the month is called.
        limits: Turns of requests.

    Raises:
        CropflowError: If there is no account, or the service refuses or does not answer.
    """
    grid, bounds = _grid(footprint)
    shape = (grid["dimensions"]["height"], grid["dimensions"]["width"])

    def compute(ee: Any) -> NDArray[Any]:
        request = {"expression": _expression(ee, scenes), "fileFormat": "NPY", "grid": grid}
        content = ee.data.computePixels(request)
        try:
            pixels: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise TransientError(f"pixels that cannot be read: {error}") from None
        return pixels

    pixels = asked("The composite of the preview", compute, limits)
    if pixels.dtype.names != COLOURS or pixels.shape != shape:
        raise CropflowError(
            f"The composite of the preview has {pixels.dtype} pixels {pixels.shape}; expected {COLOURS} {shape}."
        )
    values = np.stack([pixels[band] for band in COLOURS], axis=-1)
    colours = np.zeros((*shape, 4), dtype=np.uint8)
    colours[..., :3] = np.clip(values.astype(np.float32) * (255 / WHITE), 0, 255).round()
    colours[..., 3] = np.where((values > 0).all(axis=-1), 255, 0)
    return Picture(month, len(scenes), colours, bounds)


def _expression(ee: Any, scenes: Sequence[Scene]) -> Any:
    images = []
    for scene in scenes:
        layers = [*COLOURS, SCL]
        image = ee.Image.load(scene.source).select([scene.layers[layer] for layer in layers], layers)
        clear = image.select([SCL]).remap(list(CLEAR_CLASSES), [1] * len(CLEAR_CLASSES), 0)
        images.append(image.select(list(COLOURS)).updateMask(clear))
    median = ee.ImageCollection.fromImages(images).reduce(ee.Reducer.median())
    return median.rename(list(COLOURS)).unmask(0, False).toUint16()


def _grid(footprint: BaseGeometry) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """A grid of web maps around a footprint, and its bounds in degrees."""
    to_mercator = pyproj.Transformer.from_crs("EPSG:4326", MERCATOR, always_xy=True)
    west, south, east, north = to_mercator.transform_bounds(*footprint.bounds)
    pixel_m = max(FINEST_M, (east - west) / LONGEST_SIDE, (north - south) / LONGEST_SIDE)
    # Not a pixel more for the rounding of a side that is a whole number of them.
    width, height = (max(1, math.ceil(side / pixel_m - 1e-9)) for side in (east - west, north - south))
    affine = {"scaleX": pixel_m, "shearX": 0, "translateX": west, "shearY": 0, "scaleY": -pixel_m, "translateY": north}
    grid = {"crsCode": MERCATOR, "affineTransform": affine, "dimensions": {"width": width, "height": height}}
    to_degrees = pyproj.Transformer.from_crs(MERCATOR, "EPSG:4326", always_xy=True)
    left, bottom = to_degrees.transform(west, north - height * pixel_m)
    right, top = to_degrees.transform(west + width * pixel_m, north)
    return grid, (left, bottom, right, top)
