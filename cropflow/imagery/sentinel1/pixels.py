"""The pixels of a Sentinel-1 scene on the grid of a site: in dB x 100, checked and masked as they enter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.imagery.scenes import ANGLE, POLARISATIONS, Scene
from cropflow.imagery.sentinel1.border import border_noise
from cropflow.imagery.sentinel2 import Reader
from cropflow.imagery.stored import EMPTY
from cropflow.regions.grid import Grid

NODATA = -32768
# Backscatter lies between these, dB: -60 is what archives write for a power of zero, and +30 more than any corner
# reflector of a farm gives.
LOWEST_DB, HIGHEST_DB = -60.0, 30.0
# A scene where a larger share of values exceeds +30 dB or lies even below -100 holds another unit; what lies between
# that and -60 dB is how archives write a power of zero.
FOREIGN_DB, FOREIGN_SHARE = -100.0, 0.5
# Half of a site never scatters this much into the other polarisation: woods and towns, the brightest, reach -12 dB.
BRIGHTEST_MEDIAN_VH_DB = -5.0


@dataclass(frozen=True)
class RadarPixels:
    """The pixels of a scene on the grid of a site.

    Attributes:
        backscatter: dB x 100, int16, ``(polarisation, y, x)``; -32768 = nodata, in both polarisations at once.
        angle: Angle of incidence to the ellipsoid, degrees x 100, uint16, ``(y, x)``, 0 = nodata; None where the scene
            has none.
        valid: Pixels with a value.
        border: Pixels that were masked as border noise.
        outside: Pixels that were masked because a value was no backscatter: -60 dB and less, a power below 0, more
            than +30 dB.
        bytes: Size of the pixels read, uncompressed.
        resampled: Layers whose own grid did not agree with the site's.
        fault: Why the scene cannot be used, as ``kind: detail``; empty where it can.
    """

    backscatter: NDArray[np.int16]
    angle: NDArray[np.uint16] | None
    valid: int
    border: int
    outside: int
    bytes: int
    resampled: tuple[str, ...]
    fault: str


def read_radar(read: Reader, scene: Scene, grid: Grid) -> RadarPixels:
    """Read a scene on the grid of a site, mask what is no backscatter, and bring it to dB x 100.

    Masked are, in both polarisations at once: nodata and a power of zero in either; values outside -60 to +30 dB;
    noise along the edges of the swath (:func:`cropflow.imagery.sentinel1.border.border_noise`). A scene whose VH is
    above -5 dB in the median is faulty as a whole, such as one whose integers overflowed when it was stored.

    Args:
        read: How layers are read.
        scene: The scene, with its unit.
        grid: The grid of the site.

    Raises:
        CropflowError: If a layer cannot be read, or more than half of the values lie outside the range of backscatter:
            they are in another unit than the record says.
    """
    wanted = (*POLARISATIONS, ANGLE) if ANGLE in scene.layers else POLARISATIONS
    layers = read(scene, grid, wanted)
    stored = np.stack([layers[name].values for name in POLARISATIONS])
    # Not every reader knows the nodata of a file that declares none: -32768 is what terrain-corrected products use.
    there = np.isfinite(stored) & (stored != NODATA)
    if scene.unit == "linear":
        there &= stored != 0
    decibel = _decibel(np.where(there, stored, np.float32(np.nan)), scene.unit)
    with np.errstate(invalid="ignore"):
        inside = (decibel > LOWEST_DB) & (decibel <= HIGHEST_DB)
        foreign = (decibel < FOREIGN_DB) | (decibel > HIGHEST_DB)
    _check_unit(scene, stored, there, there & foreign)
    valid: NDArray[np.bool_] = np.asarray(inside.all(axis=0))
    outside = (there & ~inside).any(axis=0)
    noise = border_noise(decibel[0], ~valid, grid.pixel_m)
    valid &= ~noise
    backscatter = np.where(valid, np.rint(100 * np.where(inside, decibel, 0)), NODATA).astype(np.int16)
    return RadarPixels(
        backscatter,
        _angle(layers[ANGLE].values) if ANGLE in layers else None,
        int(valid.sum()),
        int(noise.sum()),
        int(outside.sum()),
        sum(layer.bytes for layer in layers.values()),
        tuple(name for name, layer in layers.items() if layer.resampled),
        _fault(backscatter[1][valid]),
    )


def _decibel(stored: NDArray[np.float32], unit: str) -> NDArray[np.float32]:
    """Stored values in dB; NaN where they are nodata, -infinity where a power is not above 0."""
    if unit == "dB":
        return stored
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = 10 * np.log10(np.where(stored < 0, 0, stored))
    return np.asarray(decibel, np.float32)


def _check_unit(
    scene: Scene, stored: NDArray[np.float32], there: NDArray[np.bool_], foreign: NDArray[np.bool_]
) -> None:
    total, wrong = int(there.sum()), int(foreign.sum())
    if wrong > FOREIGN_SHARE * total:
        low, high = float(stored[there].min()), float(stored[there].max())
        raise CropflowError(
            f"Scene {scene.id} holds values from {low:g} to {high:g}, and {100 * wrong / total:.0f} % of them are no "
            f"backscatter in {scene.unit}; expected {LOWEST_DB:g} to {HIGHEST_DB:g} dB. Its record names another unit "
            "than its pixels have: correct the item, or choose another collection."
        )


def _fault(vh: NDArray[np.int16]) -> str:
    if vh.size == 0:
        return EMPTY
    median = float(np.median(vh)) / 100
    if median > BRIGHTEST_MEDIAN_VH_DB:
        return (
            f"range: VH is {median:.1f} dB in the median, at most {BRIGHTEST_MEDIAN_VH_DB:g} is backscatter; the "
            "numbers overflowed when they were stored, or are in another unit"
        )
    return ""


def _angle(degrees: NDArray[np.float32]) -> NDArray[np.uint16]:
    with np.errstate(invalid="ignore"):
        known = (degrees > 0) & (degrees < 90)
    return np.where(known, np.rint(100 * np.where(known, degrees, 0)), 0).astype(np.uint16)
