"""The pixels of a Sentinel-2 scene on the grid of a site, checked as they enter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.imagery.catalog import SCL, Scene
from cropflow.imagery.windows import read_layer
from cropflow.regions.grid import Grid

LAST_CLASS = 11
# Reflectance 2: clouds and snow stay below, specular reflection is rare.
BRIGHTEST = 20_000
# A scene with a larger share of brighter values holds another unit.
BRIGHT_SHARE = 0.01


@dataclass(frozen=True)
class Pixels:
    """The pixels of a scene on the grid of a site, as stored by the provider.

    Attributes:
        reflectance: Stored values, uint16, ``(band, y, x)``, 0 = nodata.
        scl: Scene classes 0..11, uint8, ``(y, x)``, 0 = nodata.
        valid: Pixels where every band and the SCL hold a value.
        bytes: Size of the pixels read, uncompressed.
        resampled: Layers whose own grid did not agree with the site's.
    """

    reflectance: NDArray[np.uint16]
    scl: NDArray[np.uint8]
    valid: int
    bytes: int
    resampled: tuple[str, ...]


def read_scene(scene: Scene, grid: Grid, bands: tuple[str, ...]) -> Pixels:
    """Read the bands and the scene classification of a scene on the grid of a site.

    Args:
        scene: The scene.
        grid: The grid of the site.
        bands: Names of the bands, in the order wanted.

    Raises:
        CropflowError: If a layer cannot be read, or a class lies outside 0..11.
    """
    classes = read_layer(scene.layers[SCL], grid, categorical=True)
    check_classes(classes.values, scene.id)
    reflectance = np.empty((len(bands), *grid.shape), dtype=np.uint16)
    valid = classes.values > 0
    size = classes.bytes
    resampled = [SCL] if classes.resampled else []
    for position, band in enumerate(bands):
        layer = read_layer(scene.layers[band], grid)
        reflectance[position] = layer.values
        valid &= layer.values > 0
        size += layer.bytes
        if layer.resampled:
            resampled.append(band)
    return Pixels(reflectance, classes.values.astype(np.uint8), int(valid.sum()), size, tuple(resampled))


def check_classes(values: NDArray[np.uint16], scene: str) -> None:
    """Refuse classes outside 0..11: what is left of averaging or of a wrong layer.

    Args:
        values: Classes, uint16, any shape.
        scene: Name of the scene, for the message.

    Raises:
        CropflowError: One line with the scene and the value.
    """
    highest = int(values.max(initial=0))
    if highest > LAST_CLASS:
        wrong = int((values > LAST_CLASS).sum())
        raise CropflowError(
            f"Scene {scene} has SCL value {highest} ({wrong} of {values.size} pixels above {LAST_CLASS}); expected "
            f"classes 0 to {LAST_CLASS}. The layer was resampled or is no scene classification: fetch it again."
        )


def bright_share(reflectance: NDArray[np.uint16]) -> float:
    """Share of the values that are brighter than reflectance 2, among those that are not nodata.

    Args:
        reflectance: Reflectance x 10000, uint16, 0 = nodata, any shape.
    """
    valid = int(np.count_nonzero(reflectance))
    return int((reflectance > BRIGHTEST).sum()) / valid if valid else 0.0
