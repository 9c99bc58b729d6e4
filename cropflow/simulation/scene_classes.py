"""The scene classification of a Sentinel-2 scene: it sees most clouds and shadows, not all, and invents a few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.simulation.clouds import Sky
from cropflow.simulation.noise import SmoothField, normal_quantile
from cropflow.simulation.parameters import number

Float32 = NDArray[np.float32]

NODATA, DARK, SHADOW, VEGETATION, BARE, WATER, UNCLASSIFIED, CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW = (
    0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
)  # fmt: skip
CLOUDY = (CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS)
# Errors come in patches of this size, metres.
_PATCHES_M = (600.0, 220.0, 90.0)


def classify(
    rng: np.random.Generator, sky: Sky, clear: Float32, water: Float32, pixel_m: float, errors: float
) -> NDArray[np.uint8]:
    """Classify a scene.

    Args:
        rng: Source of the errors.
        sky: Clouds, shadows and haze on the pixels.
        clear: Reflectance that a clear sky would show, red and near infrared, ``(2, y, x)``.
        water: Share of water on each pixel.
        pixel_m: Pixel size, metres.
        errors: Knob ``scl_errors``; 0 finds every cloud and shadow and invents none.

    Returns:
        Classes 2 to 11, uint8 ``(y, x)``.
    """
    shape = water.shape
    y_m, x_m = (pixel_m * (np.arange(size) + 0.5) for size in shape)
    extent = pixel_m * max(shape)
    edge, light, choice, rare = (SmoothField.draw(rng, extent, _PATCHES_M, exponent=0.3).at(y_m, x_m) for _ in range(4))
    red, near = clear
    greenness = (near - red) / np.maximum(near + red, 1e-3)

    # Ground: between bare and green the classification hesitates.
    classes = np.where(greenness > 0.42 + 0.05 * errors * edge, VEGETATION, BARE).astype(np.uint8)
    doubt = number("scl.unclassified") * errors * np.where((greenness > 0.25) & (greenness < 0.5), 2.5, 0.7)
    classes[choice < _quantiles(np.asarray(doubt, np.float32))] = UNCLASSIFIED
    classes[(near < 0.13) & (greenness < 0.6)] = DARK
    classes[water > 0.5] = WATER
    bright = (red > 0.13) & (greenness < 0.35)
    invented = bright & (rare > -_quantile(number("scl.bright_as_cloud") * errors))
    classes[invented] = CLOUD_MEDIUM

    # Haze: thick enough it is doubted, thin it passes for clear.
    classes[(sky.veil > 0.07 + 0.03 * edge) & (classes != WATER) & ~invented] = UNCLASSIFIED

    # Shadows: those on green ground are missed most.
    seen = light > _quantile(min(0.95, number("scl.missed_shadow") * errors)) if errors > 0 else np.ones(shape, bool)
    shaded = sky.shadow > 0.12
    classes[shaded & seen] = SHADOW
    classes[shaded & ~seen & (near * (1 - 0.6 * sky.shadow) < 0.1)] = DARK

    # Clouds: thin edges escape.
    cirrus = sky.cirrus > 0.02 + errors * (0.02 + 0.02 * light)
    classes[cirrus] = CIRRUS
    cloudy = sky.cloud > 0.02 + errors * np.maximum(0.10 + 0.07 * edge, 0)
    classes[cloudy] = np.where((sky.cloud < 0.7) | (light < -0.95), CLOUD_MEDIUM, CLOUD_HIGH)[cloudy]
    classes[cloudy & (errors > 0) & (choice > -_quantile(number("scl.snow") * errors))] = SNOW
    return classes


def _quantile(share: float) -> float:
    return normal_quantile(min(max(share, 1e-9), 0.999))


def _quantiles(share: Float32) -> Float32:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(share, 1e-9, 0.999)), np.float32)


def percentages(classes: NDArray[np.uint8]) -> dict[str, float]:
    """Shares of the metadata, percent: cloud and shadow among valid pixels, nodata among all."""
    valid = classes != NODATA
    total = max(int(valid.sum()), 1)

    def percent(*names: int) -> float:
        return round(100 * int(np.isin(classes, names).sum()) / total, 4)

    return {
        "eo:cloud_cover": percent(*CLOUDY),
        "s2:high_proba_clouds_percentage": percent(CLOUD_HIGH),
        "s2:medium_proba_clouds_percentage": percent(CLOUD_MEDIUM),
        "s2:thin_cirrus_percentage": percent(CIRRUS),
        "s2:cloud_shadow_percentage": percent(SHADOW),
        "s2:vegetation_percentage": percent(VEGETATION),
        "s2:not_vegetated_percentage": percent(BARE),
        "s2:water_percentage": percent(WATER),
        "s2:unclassified_percentage": percent(UNCLASSIFIED),
        "s2:snow_ice_percentage": percent(SNOW),
        "s2:nodata_pixel_percentage": round(100 * float(1 - valid.mean()), 4),
    }
