"""Rasters as small PNG pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Reflectance x 10000 shown as black and as white; the gamma lifts the dark fields of winter.
DARK, BRIGHT, GAMMA = 200, 2400, 0.75
GREY = (232, 232, 228)
RED, GREEN = (206, 60, 48), (120, 170, 110)


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as an address that needs no second file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def as_png(rgb: NDArray[np.uint8], most: int) -> str:
    """A picture as a data URI.

    Args:
        rgb: ``(y, x, 3)``, uint8.
        most: Longest side, pixels; larger pictures keep every n-th pixel, small ones are enlarged by whole factors.
    """
    step = max(1, -(-max(rgb.shape[:2]) // most))
    small = rgb[::step, ::step]
    factor = max(1, most // (2 * max(small.shape[:2])))
    small = small.repeat(factor, axis=0).repeat(factor, axis=1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(small)).save(stream, format="PNG", optimize=True)
    return data_uri(stream.getvalue())


def colour_classes(
    classes: NDArray[Any], colours: Mapping[int, tuple[int, int, int]], nothing: tuple[int, int, int] = GREY
) -> NDArray[np.uint8]:
    """Colour class codes; codes without a colour become grey.

    Args:
        classes: Codes, ``(y, x)``.
        colours: Code -> RGB, 0..255.
        nothing: RGB of all other codes.

    Returns:
        ``(y, x, 3)``, uint8.
    """
    known, position = np.unique(classes, return_inverse=True)
    palette = np.array([colours.get(int(code), nothing) for code in known], dtype=np.uint8)
    return np.asarray(palette[position.reshape(classes.shape)], dtype=np.uint8)


def colour_errors(truth: NDArray[Any], predicted: NDArray[Any], scored: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Green where the map agrees with the register, red where it does not, grey where there is no label."""
    rgb = np.full((*truth.shape, 3), GREY, dtype=np.uint8)
    rgb[scored & (truth == predicted)] = GREEN
    rgb[scored & (truth != predicted)] = RED
    return rgb


def true_colour(reflectance: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Red, green and blue as the eye sees them.

    Args:
        reflectance: ``(3, y, x)``, B04, B03, B02, x 10000, 0 = nodata (shown grey).

    Returns:
        ``(y, x, 3)``, uint8.
    """
    scaled = (reflectance.astype(np.float32) - DARK) / (BRIGHT - DARK)
    rgb = (np.clip(scaled, 0, 1) ** GAMMA * 255).astype(np.uint8).transpose(1, 2, 0)
    rgb[(reflectance == 0).any(axis=0)] = GREY
    return rgb


def grey_ramp(values: NDArray[np.uint8], nodata: int = 255) -> NDArray[np.uint8]:
    """Percent as a ramp from red over yellow to green; nodata grey."""
    share = np.clip(values.astype(np.float32) / 100, 0, 1)[..., np.newaxis]
    low, middle, high = (
        np.array(colour, dtype=np.float32) for colour in ((178, 24, 43), (253, 231, 150), (26, 120, 80))
    )
    rgb = np.where(share < 0.5, low + (middle - low) * share * 2, middle + (high - middle) * (share * 2 - 1))
    rgb = rgb.astype(np.uint8)
    rgb[values == nodata] = GREY
    return np.asarray(rgb)
