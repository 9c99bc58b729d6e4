"""Bend the plan of a landscape into shape, and change outlines from year to year.

Neighbours keep sharing every vertex of their border: all borders are noded once, then moved together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.ops import split

from cropflow.simulation.fields import HECTARE_M2, Piece

Geometries = NDArray[np.object_]

SNAP_M = 0.01
VERTEX_SPACING_M = 30.0
WAVES = 7
STEEPNESS = 0.013  # amplitude over wavelength of one wave of the bend, E
LONGEST_WAVE_M = 1400.0
PAD_M = 130.0  # the bend moves nothing further than this


@dataclass(frozen=True)
class Bend:
    """A smooth displacement without divergence, so that areas stay what they were.

    The displacement is the curl of a stream function, a sum of plane waves.

    Attributes:
        vectors: Wave vectors, radians per metre, ``(wave, 2)``.
        phases: Radians, ``(wave,)``.
        amplitudes: Metres, ``(wave,)``.
    """

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points, metres, ``(point, 2)``."""
        across = np.stack([-self.vectors[:, 1], self.vectors[:, 0]], axis=1)
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        swing = self.amplitudes * np.sin(points @ self.vectors.T + self.phases)
        return np.asarray(points + swing @ across)


def draw_bend(rng: np.random.Generator) -> Bend:
    """Draw a bend that curves roads by some 20 m within half a kilometre."""
    wavelengths = np.geomspace(300.0, LONGEST_WAVE_M, WAVES) * rng.uniform(0.9, 1.1, WAVES)
    angles = rng.uniform(0, 2 * math.pi, WAVES)
    vectors = (2 * math.pi / wavelengths)[:, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Bend(vectors, rng.uniform(0, 2 * math.pi, WAVES), STEEPNESS * wavelengths)


def lay_out(pieces: Sequence[Piece], bend: Bend, centre: tuple[float, float]) -> Geometries:
    """Turn a plan into polygons that share their borders exactly.

    Args:
        pieces: Convex pieces around the origin, tiling a rectangle.
        bend: Displacement of every vertex.
        centre: Where the origin of the plan lies, metres.

    Returns:
        A polygon per piece, in the order of the pieces.

    Raises:
        RuntimeError: If a piece is lost.
    """
    straight = [shapely.polygons(piece.outline) for piece in pieces]
    borders = shapely.union_all(shapely.boundary(straight), grid_size=SNAP_M)
    borders = shapely.segmentize(borders, VERTEX_SPACING_M)
    points, position = np.unique(shapely.get_coordinates(borders), axis=0, return_inverse=True)
    moved = np.round(bend(points) + np.array(centre), 3)
    borders = shapely.set_coordinates(borders, moved[position.reshape(-1)])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(borders)))
    middles = bend(np.array([piece.outline.mean(axis=0) for piece in pieces])) + np.array(centre)
    found, face = shapely.STRtree(faces).query(shapely.points(middles), predicate="within")
    if not np.array_equal(found, np.arange(len(pieces))) or len(np.unique(face)) != len(pieces):
        raise RuntimeError(f"{len(pieces)} pieces of land gave {len(faces)} faces, {len(np.unique(face))} of them met")
    return np.asarray(faces[face])


def cut_through(polygon: Any, angle: float, share: float) -> tuple[Any, Any] | None:
    """Cut a polygon along a straight line.

    Args:
        polygon: The polygon.
        angle: Direction of the line, radians.
        share: Where the line lies, as a share of the polygon's extent across it, in (0, 1).

    Returns:
        Two polygons, or None where the line gives more or fewer.
    """
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    points = shapely.get_coordinates(polygon)
    middle = points.mean(axis=0)
    reach = (points - middle) @ across
    offset = reach.min() + share * (reach.max() - reach.min())
    ends = [middle + offset * across + side * 1e4 * along for side in (-1, 1)]
    parts = list(split(polygon, shapely.linestrings(np.array(ends))).geoms)
    return (parts[0], parts[1]) if len(parts) == 2 else None


def long_axis(polygon: Any) -> float:
    """Direction of the longer side of the smallest rectangle around a polygon, radians."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon))
    edges = np.diff(corners[:3], axis=0)
    longer = edges[np.argmax((edges**2).sum(axis=1))]
    return math.atan2(longer[1], longer[0])


def change_outlines(
    polygons: Geometries, changeable: NDArray[np.bool_], rate: float, rng: np.random.Generator
) -> tuple[Geometries, NDArray[np.int64]]:
    """Split some fields and merge some neighbours, as many splits as merges.

    Args:
        polygons: Outlines of last year, ``(field,)``.
        changeable: Fields whose outline may change, ``(field,)``.
        rate: Share of the fields that are split or merged, [0, 1].
        rng: Source of randomness.

    Returns:
        The outlines of this year and, for each, the row of last year's field that holds most of it.
    """
    wanted = round(rate * len(polygons) / 3)
    hectares = shapely.area(polygons) / HECTARE_M2
    gone: set[int] = set()
    new: list[tuple[Any, int]] = []
    splits = merges = 0
    order = rng.permutation(np.flatnonzero(changeable))
    for row in order:
        if splits == wanted:
            break
        shift, share = rng.normal(0, 0.1), rng.uniform(0.3, 0.7)
        if hectares[row] < 1.0:
            continue
        parts = cut_through(polygons[row], long_axis(polygons[row]) + math.pi / 2 + shift, share)
        if parts:
            new += [(part, int(row)) for part in parts]
            gone.add(int(row))
            splits += 1
    tree = shapely.STRtree(polygons)
    for row in order:
        if merges == wanted:
            break
        if int(row) in gone:
            continue
        partner = _partner(int(row), polygons, tree, hectares, changeable, gone)
        if partner is not None:
            whole = shapely.union(polygons[row], polygons[partner])
            # Outlines that touch in two places would enclose a hole.
            if shapely.get_type_id(whole) == 3 and shapely.get_num_interior_rings(whole) == 0:
                new.append((whole, int(row) if hectares[row] >= hectares[partner] else partner))
                gone |= {int(row), partner}
                merges += 1
    kept = [(polygons[row], row) for row in range(len(polygons)) if row not in gone]
    # In the order of last year's fields: neighbours in space stay neighbours in the table.
    rows = sorted([*kept, *new], key=lambda pair: pair[1])
    return np.array([polygon for polygon, _ in rows], dtype=object), np.array([row for _, row in rows], dtype=np.int64)


def _partner(
    row: int,
    polygons: Geometries,
    tree: shapely.STRtree,
    hectares: NDArray[np.float64],
    changeable: NDArray[np.bool_],
    gone: set[int],
) -> int | None:
    """The neighbour with the longest common border of at least 30 m, such that both together stay below 25 ha."""
    near = [
        int(other)
        for other in np.sort(tree.query(polygons[row], predicate="intersects"))
        if other != row and changeable[other] and int(other) not in gone and hectares[row] + hectares[other] < 25
    ]
    if not near:
        return None
    common = shapely.length(shapely.intersection(polygons[row], polygons[near]))
    return near[int(np.argmax(common))] if common.max() >= 30 else None
