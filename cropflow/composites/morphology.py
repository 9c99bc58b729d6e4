"""Masks grow and shrink by a disk, exactly, in a time that hardly depends on its radius.

A pixel lies in the grown mask where a masked pixel is at most the radius away. Two passes find it: down and up the
columns, the distance to the nearest masked pixel of each column; along the rows, the half width of the disk at that
distance, which runs out to both sides. The second pass takes steps of 1, 2, 4 ... pixels, so that both run over whole
rows without a branch and become vector instructions on bytes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled

# Distances in pixels: uint8, or uint16 where a radius is longer.
Pixels = NDArray[np.unsignedinteger[Any]]


def grow(masked: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Dilate a mask by a disk.

    Args:
        masked: The mask, bool, ``(..., y, x)``; each raster by itself. Beyond its edges nothing is masked.
        radius: Radius of the disk, pixels; the disk is every pixel whose centre is at most this far from the middle
            one's, so that less than 1 changes nothing.

    Returns:
        True where a masked pixel is at most ``radius`` away, bool, the shape of ``masked``.

    Raises:
        ValueError: If ``masked`` is no bool raster, or ``radius`` is negative.

    Source:
        The columns first, then the rows: Meijster, Roerdink, Hesselink (2000), "A general algorithm for computing
        distance transforms in linear time"; cut off at the radius, so that rows need no lower envelope.
    """
    if masked.dtype != np.bool_ or masked.ndim < 2:
        raise ValueError(f"masked is {masked.dtype} {masked.shape}; expected bool (..., y, x)")
    reach = half_widths(radius)
    grown = np.array(masked, order="C")
    if reach.size > 2 and grown.size:
        rasters = grown.reshape(-1, *grown.shape[-2:]).view(np.uint8)
        _grow(rasters, reach)
    return grown


def shrink(masked: NDArray[np.bool_], clear: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Erode a mask by a disk.

    Args:
        masked: The mask, bool, ``(..., y, x)``.
        clear: What the mask shrinks away from, bool, the same shape. Pixels that are neither masked nor clear, and
            what lies beyond the edges, tell nothing and shrink nothing.
        radius: Radius of the disk, pixels.

    Returns:
        True where ``masked`` and no clear pixel is at most ``radius`` away, bool, the shape of ``masked``.

    Raises:
        ValueError: If the arrays differ in shape, are no bool rasters, or ``radius`` is negative.
    """
    if masked.shape != clear.shape:
        raise ValueError(f"masked has the shape {masked.shape}, clear {clear.shape}; expected the same pixels")
    return np.asarray(masked & ~grow(clear, radius))


def half_widths(radius: float) -> Pixels:
    """How far a disk reaches to each side, row by row from its middle.

    Args:
        radius: Radius, pixels.

    Returns:
        Half width in pixels plus 1, ``(radius + 2,)``: entry ``d`` for rows ``d`` pixels from the middle, 0 for rows
        that the disk does not reach. As bytes where they hold it, since more of them fit into a vector.

    Raises:
        ValueError: If ``radius`` is negative or no number.
    """
    if not radius >= 0:
        raise ValueError(f"radius is {radius}; expected 0 pixels or more")
    # In whole numbers: a root that is rounded down by floating point would lose the tips of the disk.
    square = math.floor(radius * radius + 1e-9)
    widths = [math.isqrt(square - d * d) + 1 for d in range(math.isqrt(square) + 1)]
    return np.array([*widths, 0], dtype=np.uint8 if len(widths) < 255 else np.uint16)


@compiled
def _any(row: Pixels) -> bool:
    found = row.dtype.type(0)
    for x in range(row.size):
        found |= row[x]
    return bool(found)


@compiled
def _further(distance: Pixels, masked: NDArray[np.uint8], before: Pixels, last: np.unsignedinteger[Any]) -> None:
    """Distance to the nearest masked pixel of each column, as seen from the row before."""
    for x in range(distance.size):
        # Numbers go back to their own width after each step, or the vectors would hold a quarter of the pixels.
        step = distance.dtype.type(min(before[x], last) + 1)
        distance[x] = distance.dtype.type(0) if masked[x] else step


@compiled
def _nearer(distance: Pixels, after: Pixels) -> None:
    """The same from the row after, where that is nearer."""
    for x in range(distance.size):
        distance[x] = min(distance[x], distance.dtype.type(after[x] + 1))


@compiled
def _look_up(left: Pixels, distance: Pixels, reach: Pixels) -> None:
    for x in range(distance.size):
        left[x] = reach[distance[x]]


@compiled
def _spread(to: Pixels, here: Pixels, west: Pixels, east: Pixels, step: np.unsignedinteger[Any]) -> None:
    """What is left of the half widths after a step to either side."""
    for x in range(to.size):
        near = max(west[x], east[x])
        to[x] = max(here[x], to.dtype.type(max(near, step) - step))


@compiled
def _store(grown: NDArray[np.uint8], left: Pixels) -> None:
    for x in range(grown.size):
        grown[x] = 1 if left[x] > 0 else 0


@compiled
def _grow(rasters: NDArray[np.uint8], reach: Pixels) -> None:
    """Grow masks in place; ``reach`` holds the half widths and, last, 0 for what is further away."""
    count, height, width = rasters.shape
    # The distance at which the disk does not reach any more, and which stands for all that are longer.
    beyond = reach.dtype.type(reach.size - 1)
    last = reach.dtype.type(reach.size - 2)
    distance = np.empty((height, width), dtype=reach.dtype)
    # Room on both sides for the longest step; nothing is masked there.
    room = reach.size
    left, other = np.zeros((2, width + 2 * room), dtype=reach.dtype)
    for raster in range(count):
        above = np.full(width, beyond)
        for y in range(height):
            _further(distance[y], rasters[raster, y], above, last)
            above = distance[y]
        for y in range(height - 2, -1, -1):
            _nearer(distance[y], distance[y + 1])
        for y in range(height):
            _look_up(left[room : room + width], distance[y], reach)
            if not _any(left[room : room + width]):
                continue  # nor was anything masked in this row
            step = 1
            while step < reach.size:
                _spread(
                    other[room : room + width],
                    left[room : room + width],
                    left[room - step : room - step + width],
                    left[room + step : room + step + width],
                    reach.dtype.type(step),
                )
                left, other = other, left
                step *= 2
            _store(rasters[raster, y], left[room : room + width])
