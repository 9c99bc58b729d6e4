"""The pixels of a Sentinel-2 scene on the grid of a site, checked as they enter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.imagery.names import has_offset
from cropflow.imagery.offsets import restore_clipped
from cropflow.imagery.scenes import CLOUD_SCORE, HARMONISED, SCL, Scene
from cropflow.imagery.sources import Layer
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
        cloud_score: Cloud Score+ in percent, uint8, ``(y, x)``, 255 = nodata; None where it was not asked for.
        valid: Pixels where every band and the SCL hold a value.
        clipped: Values that the provider clipped to 0 with the offset, raised to 1.
        bytes: Size of the pixels read, uncompressed.
        resampled: Layers whose own grid did not agree with the site's.
    """

    reflectance: NDArray[np.uint16]
    scl: NDArray[np.uint8]
    cloud_score: NDArray[np.uint8] | None
    valid: int
    clipped: int
    bytes: int
    resampled: tuple[str, ...]


# Layers of a scene on a grid, whatever they come from: directly from the source, or from what was fetched before.
Reader = Callable[[Scene, Grid, Sequence[str]], dict[str, Layer]]


def read_scene(
    read: Reader,
    scene: Scene,
    grid: Grid,
    bands: tuple[str, ...],
    assumed_baseline: str | None = None,
    *,
    cloud_score: bool = False,
) -> Pixels:
    """Read the bands and the scene classification of a scene on the grid of a site.

    Args:
        read: How layers are read.
        scene: The scene.
        grid: The grid of the site.
        bands: Names of the bands, in the order wanted.
        assumed_baseline: Baseline of scenes that carry none.
        cloud_score: Read Cloud Score+ too.

    Raises:
        CropflowError: If a layer cannot be read, or a class lies outside 0..11.
    """
    layers = read(scene, grid, (*bands, SCL, *((CLOUD_SCORE,) if cloud_score else ())))
    classes = layers[SCL].values
    check_classes(classes, scene.id)
    reflectance = np.stack([layers[band].values for band in bands])
    scl = classes.astype(np.uint8)
    clipped = 0
    baseline = scene.baseline or assumed_baseline
    if scene.radiometry == HARMONISED and baseline and has_offset(baseline):
        reflectance, clipped = restore_clipped(reflectance, scl, bands)
    valid = (classes > 0) & (reflectance > 0).all(axis=0)
    return Pixels(
        reflectance,
        scl,
        layers[CLOUD_SCORE].values.astype(np.uint8) if cloud_score else None,
        int(valid.sum()),
        clipped,
        sum(layer.bytes for layer in layers.values()),
        tuple(name for name, layer in layers.items() if layer.resampled),
    )


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
