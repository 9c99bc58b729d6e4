"""Rasters as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]

# Reflectance x 10000 shown as black and as white; the gamma lifts the dark fields of winter.
DARK, BRIGHT, GAMMA = 200, 2400, 0.75
GREY: Colour = (232, 232, 228)
# Told apart by lightness as well, for readers who see no red or green.
AGREE: Colour = (172, 209, 188)
DIFFER: Colour = (193, 39, 45)
# Probability of the mapped crop from 0 to 100 %: Matplotlib's viridis at five places.
RAMP: tuple[Colour, ...] = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as an address that needs no second file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def kept_every(shape: tuple[int, ...], most: int) -> int:
    """Every how many pixels one is kept so that the longest side has at most ``most``."""
    return max(1, -(-max(shape[:2]) // most))


def as_png(rgb: NDArray[np.uint8], most: int) -> str:
    """A picture as a data URI, without loss.

    Args:
        rgb: ``(y, x, 3)``, uint8.
        most: Longest side, pixels; larger pictures keep every n-th pixel, small ones are enlarged by whole factors.
    """
    step = kept_every(rgb.shape, most)
    small = rgb[::step, ::step]
    factor = max(1, most // (2 * max(small.shape[:2])))
    small = np.ascontiguousarray(small.repeat(factor, axis=0).repeat(factor, axis=1))
    stream = io.BytesIO()
    _with_palette(small).save(stream, format="PNG", optimize=True)
    return data_uri(stream.getvalue())


def _with_palette(rgb: NDArray[np.uint8]) -> Image.Image:
    """A third of the bytes where few colours occur, as in maps."""
    packed = (rgb.astype(np.uint32) * np.array([65536, 256, 1], dtype=np.uint32)).sum(axis=2, dtype=np.uint32)
    colours, position = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return Image.fromarray(rgb)
    picture = Image.fromarray(position.reshape(packed.shape).astype(np.uint8))
    picture.putpalette(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8).tobytes())
    return picture


def as_jpeg(rgb: NDArray[np.uint8], most: int) -> str:
    """A photograph as a data URI: a tenth of the bytes of a PNG.

    Args:
        rgb: ``(y, x, 3)``, uint8.
        most: Longest side, pixels; larger pictures are averaged down, small ones enlarged by whole factors.
    """
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    factor = most / max(picture.size)
    if factor < 1:
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        picture = picture.resize(size, Image.Resampling.BOX)
    elif factor >= 2:
        picture = picture.resize((picture.width * int(factor), picture.height * int(factor)), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=88, subsampling=0)
    return data_uri(stream.getvalue(), "image/jpeg")


def colour_classes(classes: NDArray[Any], colours: Mapping[int, Colour], nothing: Colour = GREY) -> NDArray[np.uint8]:
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
    """Light green where the map agrees with the register, dark red where it does not, grey where nothing compares."""
    rgb = np.full((*truth.shape, 3), GREY, dtype=np.uint8)
    rgb[scored & (truth == predicted)] = AGREE
    rgb[scored & (truth != predicted)] = DIFFER
    return rgb


def true_colour(reflectance: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Red, green and blue as the eye sees them.

    Args:
        reflectance: ``(3, y, x)``, B04, B03, B02, x 10000, 0 = nodata (shown grey).

    Returns:
        ``(y, x, 3)``, uint8.
    """
    return stretched(reflectance, [(DARK, BRIGHT)] * 3, 0, GAMMA)


def stretched(
    values: NDArray[Any], limits: Sequence[tuple[float, float]], nodata: int, gamma: float = 1.0
) -> NDArray[np.uint8]:
    """Three layers as red, green and blue.

    Args:
        values: ``(3, y, x)``, as stored.
        limits: Per layer the values shown as none and as full of its colour.
        nodata: Stored value that means none; shown grey where a layer has it.
        gamma: Exponent of the stretched values; below 1 lifts the dark.

    Returns:
        ``(y, x, 3)``, uint8.
    """
    low, high = (np.array(side, dtype=np.float32)[:, None, None] for side in zip(*limits, strict=True))
    scaled = (values.astype(np.float32) - low) / (high - low)
    rgb = (np.clip(scaled, 0, 1) ** gamma * 255).astype(np.uint8).transpose(1, 2, 0)
    rgb[(values == nodata).any(axis=0)] = GREY
    return np.asarray(rgb)


def colour_percent(values: NDArray[np.uint8], nodata: int = 255) -> NDArray[np.uint8]:
    """Percent as a ramp from dark (0) to light (100); nodata grey.

    Args:
        values: Percent, uint8, ``(y, x)``.
        nodata: Value of pixels without one.

    Returns:
        ``(y, x, 3)``, uint8.
    """
    places = np.linspace(0, 100, len(RAMP))
    ramp = np.stack([np.interp(np.arange(101), places, channel) for channel in zip(*RAMP, strict=True)], axis=1)
    rgb = ramp.round().astype(np.uint8)[np.minimum(values, 100)]
    rgb[values == nodata] = GREY
    return np.asarray(rgb)
