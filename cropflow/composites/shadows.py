"""Shadows of clouds that the scene classification missed: dark ground near a cloud."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.morphology import grow
from cropflow.config.imagery import SHADOW_BANDS
from cropflow.errors import CropflowError, listing

# Medium and high probability, cirrus.
CLOUDS = (8, 9, 10)
# Ground that a shadow darkens, whatever the classification takes it for: dark, vegetation, bare, water, unclassified.
GROUND = (2, 4, 5, 6, 7)
REACH_M = 1000.0
# Reflectance x 10000.
DARK_NEAR_INFRARED, DARK_SHORT_WAVE = 1800, 1200


def shadow_positions(bands: Sequence[str], where: str) -> list[int]:
    """Find the bands that the shadow rule needs.

    Args:
        bands: Names of the bands that there are, in order.
        where: What has the bands, for the message.

    Returns:
        Positions of B03, B08 and B11 in ``bands``.

    Raises:
        CropflowError: If one is missing.
    """
    missing = [band for band in SHADOW_BANDS if band not in bands]
    if missing:
        raise CropflowError(
            f"{where} has no band {listing(missing)}, which mask.shadows needs; it has {listing(bands) or 'none'}. "
            "Add it to imagery.<name>.bands, or turn mask.shadows off."
        )
    return [list(bands).index(band) for band in SHADOW_BANDS]


def shadows(scl: NDArray[np.uint8], ground: NDArray[np.uint16], pixel_m: float) -> NDArray[np.bool_]:
    """Find dark ground within 1 km of a cloud.

    No sun angle is asked for: a shadow may lie on any side of its cloud. Dark is a reflectance below 0.18 in the near
    infrared and below 0.12 in the short-wave infrared. Wet soil and conifers are dark in one of them, a shadow in
    both; water is darker still, and is left alone: where green exceeds the near infrared (NDWI > 0), whatever its
    class. Class 3 is a shadow already, and is not repeated here.

    Args:
        scl: Scene classification in 0..11, uint8, ``(scene, y, x)``.
        ground: Reflectance x 10000 of B03, B08 and B11, uint16, ``(scene, 3, y, x)``; 0 = nodata, never a shadow.
        pixel_m: Side of a pixel, metres.

    Returns:
        True where a shadow is likely, bool, ``(scene, y, x)``.

    Raises:
        ValueError: If the scenes or pixels of the two arrays differ.

    Source:
        Dark near infrared within 1 km of a cloud, without water: J. Braaten, "Sentinel-2 cloud masking with
        s2cloudless" (Earth Engine tutorials), there away from the sun and at 0.15. Here 0.18, since crops stay bright
        in a shadow, with a bound on the short-wave infrared that spares clear dark ground. Chosen on one simulated
        landscape; on eight others the rule finds 26 to 82 % of the shadow that the classes count as clear, and takes
        0.1 to 1.7 % of the clear ground of scenes with clouds.
    """
    if ground.shape != (scl.shape[0], len(SHADOW_BANDS), *scl.shape[1:]):
        raise ValueError(f"ground has the shape {ground.shape}, scl {scl.shape}; expected B03, B08, B11 of its pixels")
    cloudy, dark_classes = np.zeros((2, 256), dtype=bool)
    cloudy[list(CLOUDS)] = True
    dark_classes[list(GROUND)] = True
    found = np.zeros(scl.shape, dtype=bool)
    for scene, (green, near, short) in enumerate(ground):
        dark = dark_classes[scl[scene]] & (near < DARK_NEAR_INFRARED) & (short < DARK_SHORT_WAVE)
        dark &= (green <= near) & (green > 0) & (short > 0)
        if dark.any():
            found[scene] = dark & grow(cloudy[scl[scene]], REACH_M / pixel_m)
    return found
