"""Reflectance of ten Sentinel-2 bands as a mixture of soil, green canopy, straw and flowers.

The spectra are rounded expert values in the range that radiative-transfer tables (PROSAIL) and clear scenes over
Flanders give; a mixture changes all ten bands jointly, so no index is simulated on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.simulation.parameters import number, numbers

Float32 = NDArray[np.float32]


def _spectrum(*values: float) -> Float32:
    return np.array(values, np.float32)


#                  B02    B03    B04    B05    B06    B07    B08    B8A    B11    B12
SOIL = _spectrum(0.085, 0.115, 0.150, 0.175, 0.195, 0.210, 0.222, 0.236, 0.310, 0.270)
GREEN = _spectrum(0.022, 0.058, 0.023, 0.095, 0.320, 0.420, 0.440, 0.460, 0.200, 0.095)
STRAW = _spectrum(0.075, 0.105, 0.145, 0.175, 0.200, 0.220, 0.240, 0.260, 0.330, 0.240)
YELLOW_FLOWER = _spectrum(0.040, 0.165, 0.120, 0.200, 0.350, 0.420, 0.440, 0.450, 0.200, 0.100)
PALE_FLOWER = _spectrum(0.120, 0.160, 0.130, 0.190, 0.340, 0.410, 0.430, 0.440, 0.210, 0.105)
WOOD_SUMMER = _spectrum(0.020, 0.036, 0.020, 0.060, 0.200, 0.260, 0.280, 0.290, 0.130, 0.060)
WOOD_WINTER = _spectrum(0.030, 0.043, 0.048, 0.070, 0.110, 0.130, 0.145, 0.160, 0.150, 0.095)
BUILT = _spectrum(0.100, 0.120, 0.140, 0.155, 0.170, 0.180, 0.190, 0.200, 0.220, 0.200)
WATER = _spectrum(0.028, 0.034, 0.020, 0.016, 0.012, 0.012, 0.010, 0.010, 0.006, 0.004)
CLOUD = _spectrum(0.620, 0.600, 0.610, 0.620, 0.630, 0.640, 0.640, 0.640, 0.480, 0.380)
VEIL = _spectrum(0.550, 0.520, 0.500, 0.500, 0.490, 0.480, 0.470, 0.470, 0.330, 0.260)

# How strongly wetness darkens each band: water absorbs most in the short-wave infrared.
_WETNESS = _spectrum(0.85, 0.90, 0.95, 1.00, 1.00, 1.00, 1.00, 1.00, 1.15, 1.25)
# Diffuse light reaches shadows mostly in the blue.
_SHADOW = _spectrum(0.70, 0.78, 0.85, 0.90, 0.95, 0.98, 1.00, 1.00, 1.10, 1.12)
# Band -> visible, red edge, near infrared, short-wave infrared.
GROUP = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3])
# Reflectance that an orbit changes: near infrared fully, the rest in part.
_ORBIT = _spectrum(0.70, 0.70, 0.75, 0.85, 0.95, 1.00, 1.00, 1.00, 0.90, 0.85)
# Aerosol that the correction misses: blue most.
_AEROSOL = _spectrum(1.00, 0.70, 0.50, 0.40, 0.30, 0.25, 0.20, 0.20, 0.05, 0.03)


@dataclass(frozen=True)
class Covers:
    """Cover fractions of parcels on dates, each float32 ``(parcel, date)`` in [0, 1]; the rest is soil."""

    green: Float32
    straw: Float32
    flower: Float32


def soils(dryness: float) -> Float32:
    """Reflectance of the four soils.

    Args:
        dryness: 0 (wet) to 1 (dry).

    Returns:
        ``(level, band)`` float32.
    """
    wet, dry = numbers("soil.wetness")
    darker = 1 - (1 - (wet + (dry - wet) * dryness)) * _WETNESS
    levels = np.asarray(numbers("soil.levels"), np.float32)
    return np.asarray(levels[:, None] * SOIL * darker, np.float32)


def mix(green: Float32, straw: Float32, flower: Float32, soil: Float32, canopy: Float32, pale: Float32) -> Float32:
    """Mix the spectra of parcels on one date.

    Args:
        green: Green cover ``(parcel,)``.
        straw: Cover of dry standing or lying plants ``(parcel,)``.
        flower: Cover of flowers ``(parcel,)``.
        soil: Reflectance of soils ``(level, band)`` or of each parcel's own ``(parcel, 1, band)``.
        canopy: Reflectance of each parcel's full green cover ``(parcel, band)``.
        pale: 1 where flowers are white or blue, 0 where yellow ``(parcel,)``.

    Returns:
        Reflectance in [0, 1], float32, ``(parcel, level, band)``.
    """
    plants = green[:, None] * canopy + straw[:, None] * STRAW
    plants += flower[:, None] * (YELLOW_FLOWER + pale[:, None] * (PALE_FLOWER - YELLOW_FLOWER))
    bare = np.clip(1 - green - straw - flower, 0, 1)
    ground = soil[None] if soil.ndim == 2 else soil
    return np.asarray(plants[:, None, :] + bare[:, None, None] * ground, np.float32)


def wood(leaf: float) -> Float32:
    """Reflectance of woodland with a share of its leaves, ``(band,)``."""
    return np.asarray(WOOD_WINTER + leaf * (WOOD_SUMMER - WOOD_WINTER), np.float32)


def shadow_loss() -> Float32:
    """Share of light lost under thick cloud, ``(band,)``."""
    return np.asarray(number("clouds.shadow") * _SHADOW, np.float32)


def orbit_factor(side: float) -> Float32:
    """Factor on the reflectance of one orbit, ``(band,)``; ``side`` in [-1, 1] times the knob."""
    return np.asarray(1 + side * number("sentinel2.orbit") * _ORBIT, np.float32)


def aerosol_bias(blue: float) -> Float32:
    """Bias of a scene's atmospheric correction, ``(band,)``, for its bias in the blue band."""
    return np.asarray(blue * _AEROSOL, np.float32)


def ndvi(reflectance: Float32) -> Float32:
    """NDVI of B08 and B04 from reflectance ``(..., band)`` in the order of the ten bands."""
    red, near = reflectance[..., 2], reflectance[..., 6]
    return np.asarray((near - red) / np.maximum(near + red, 1e-6), np.float32)
