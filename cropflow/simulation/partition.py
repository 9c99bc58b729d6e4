"""Cut convex polygons by straight lines into parts of given areas: the bare geometry of farmland.

A polygon is an array ``(vertex, 2)`` of x and y in metres, counter-clockwise, without a repeated last vertex.
All functions expect and return convex polygons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]

TIE_M = 1e-7


def area(polygon: Polygon) -> float:
    """Area by the shoelace formula, m2."""
    x, y = polygon[:, 0], polygon[:, 1]
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def direction(angle: float) -> Polygon:
    """Unit vector of an angle, radians counter-clockwise from the x axis."""
    return np.array([math.cos(angle), math.sin(angle)])


def extent(polygon: Polygon, normal: Polygon) -> float:
    """Length of the polygon along a unit vector, metres."""
    along = polygon @ normal
    return float(along.max() - along.min())


def longest_edge_angle(polygon: Polygon) -> float:
    """Angle of the longest edge, radians."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    longest = edges[np.argmax((edges**2).sum(axis=1))]
    return math.atan2(longest[1], longest[0])


def part_below(polygon: Polygon, normal: Polygon, offset: float) -> Polygon:
    """The part where ``normal . x <= offset``; fewer than three vertices where there is none.

    Source:
        Sutherland and Hodgman (1974), https://doi.org/10.1145/360767.360802, for one half-plane.
    """
    distances = (polygon @ normal - offset).tolist()
    points = polygon.tolist()
    kept: list[list[float]] = []
    for index, (point, distance) in enumerate(zip(points, distances, strict=True)):
        before, distance_before = points[index - 1], distances[index - 1]
        if (distance <= 0) != (distance_before <= 0):
            share = distance_before / (distance_before - distance)
            kept.append([before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])])
        if distance <= 0:
            kept.append(point)
    return np.array(kept).reshape(-1, 2)


def _across_at(
    knots: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where one side of a polygon, from its lowest to its highest vertex, lies at each knot."""
    # An edge along the cut has two vertices at one place: only its inner end belongs to this side.
    first = int(np.searchsorted(along, along[0] + TIE_M))
    last = int(np.searchsorted(along, along[-1] - TIE_M))
    inner = slice(max(first - 1, 0), last + 1)
    return np.asarray(np.interp(knots, along[inner], across[inner]))


def offset_of_share(polygon: Polygon, normal: Polygon, share: float) -> float:
    """Where a line across ``normal`` leaves a share of the area below it.

    Between two vertices the width of a convex polygon is linear, so the area below is a quadratic of the offset.

    Args:
        polygon: The polygon.
        normal: Unit vector.
        share: Share of the area below the line, in (0, 1).
    """
    along = polygon @ normal
    across = polygon @ np.array([-normal[1], normal[0]])
    first, last, count = int(along.argmin()), int(along.argmax()), len(polygon)
    one = [(first + step) % count for step in range((last - first) % count + 1)]
    other = [(first - step) % count for step in range((first - last) % count + 1)]
    knots = np.sort(along)
    width = np.abs(_across_at(knots, along[one], across[one]) - _across_at(knots, along[other], across[other]))
    steps = np.diff(knots)
    below = np.concatenate([[0.0], np.cumsum(0.5 * (width[1:] + width[:-1]) * steps)])
    wanted = share * below[-1]
    piece = min(int(np.searchsorted(below, wanted, side="right")) - 1, len(steps) - 1)
    rest = wanted - below[piece]
    slope = (width[piece + 1] - width[piece]) / max(steps[piece], 1e-12)
    # rest = width x + slope x^2 / 2, solved so that it stays exact where the slope vanishes.
    root = math.sqrt(max(width[piece] ** 2 + 2 * slope * rest, 0.0))
    return float(knots[piece] + 2 * rest / max(width[piece] + root, 1e-12))


def cut(polygon: Polygon, normal: Polygon, share: float, gap_m: float = 0.0) -> tuple[Polygon, Polygon | None, Polygon]:
    """Cut a polygon across ``normal``.

    Args:
        polygon: The polygon.
        normal: Unit vector across the cut.
        share: Share of the area below the middle of the cut, in (0, 1).
        gap_m: Width of a strip along the cut, metres.

    Returns:
        The part below, the strip (None where ``gap_m`` is 0) and the part above.
    """
    offset = offset_of_share(polygon, normal, share)
    below = part_below(polygon, normal, offset - gap_m / 2)
    above = part_below(polygon, -normal, -offset - gap_m / 2)
    if not gap_m:
        return below, None, above
    strip = part_below(part_below(polygon, normal, offset + gap_m / 2), -normal, -offset + gap_m / 2)
    return below, strip, above


def halves(areas: Sequence[float], rng: np.random.Generator) -> int:
    """Where to part a list of areas so that both sides weigh about the same.

    Returns:
        Number of areas on the first side, at least 1 and at most ``len(areas) - 1``.
    """
    total = np.cumsum(areas)
    middle = total[-1] * rng.uniform(0.35, 0.65)
    return int(np.clip(np.searchsorted(total, middle) + 1, 1, len(areas) - 1))
