"""Parcels laid over those of an earlier season: which part of each was part of which.

Ids change every year and outlines move, so geometry alone links the seasons. Shares are ratios of planar areas in
one CRS; within a parcel the scale of any map projection is constant to a few parts in ten thousand, so the CRS does
not matter. Thresholds in m2 are compared with the share times the parcel's area on the ellipsoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from cropflow.config.registers import History

Geometries = NDArray[np.object_]
# Overlaps and rests below this part of a parcel are noise of the arithmetic.
NOISE = 1e-9
_M2_PER_HA = 10_000.0


@dataclass(frozen=True)
class Pieces:
    """What parcels share with those of an earlier season, in the order of parcel, then earlier parcel.

    Attributes:
        parcel: Row of the parcel, int64, ``(piece,)``.
        earlier: Row of the earlier parcel, int64, ``(piece,)``.
        share: Part of the parcel's area, float64, in (0, 1], ``(piece,)``; those of a parcel add up to at most 1.
        iou: Intersection over union of the two outlines, float64, in (0, 1], ``(piece,)``.
        slivers: Number of pieces dropped as slivers.
        sliver_share: Per parcel, the part of it that lay in slivers, float64, ``(parcel,)``.
        overlap_share: Per parcel, the part of it that several earlier parcels claimed, counted once for
            each claim but the first, float64, ``(parcel,)``; 0 where an earlier parcel has the very outline.
    """

    parcel: NDArray[np.int64]
    earlier: NDArray[np.int64]
    share: NDArray[np.float64]
    iou: NDArray[np.float64]
    slivers: int
    sliver_share: NDArray[np.float64]
    overlap_share: NDArray[np.float64]


def overlay(parcels: Geometries, area_ha: NDArray[np.float64], earlier: Geometries, settings: History) -> Pieces:
    """Cut parcels into the pieces that they share with earlier parcels.

    A parcel whose outline an earlier one has too is that one's, wholly. All others are intersected with
    whatever meets them. Pieces that are slivers are dropped: those below ``sliver_share`` of the smaller
    of the two parcels (so a small earlier parcel inside a large one is none), and those below
    ``sliver_area_m2`` and half of the smaller parcel. Where earlier parcels overlap each other, the one
    with the larger piece gets the ground, the first in order where two are equal: no share is counted twice.

    Args:
        parcels: Valid polygons and multi-polygons, ``(parcel,)``.
        area_ha: Areas of the parcels, hectares, float64, ``(parcel,)``.
        earlier: Valid polygons and multi-polygons in the same CRS, ``(earlier parcel,)``.
        settings: Thresholds of slivers.

    Returns:
        The pieces; the same for a parcel whatever other parcels it is given with, and whatever earlier
        ones lie away from it, as long as these are in the same order.

    Raises:
        ValueError: If there are not as many areas as parcels.
    """
    if len(area_ha) != len(parcels):
        raise ValueError(f"{len(parcels)} parcels, but {len(area_ha)} areas")
    tree = shapely.STRtree(earlier)
    same, twin = _same_outline(parcels, tree)
    rest = np.setdiff1d(np.arange(len(parcels)), same)
    near, other = tree.query(parcels[rest], predicate="intersects")
    order = np.lexsort((other, near))
    row, other = rest[near[order]], other[order]
    areas, earlier_areas = shapely.area(parcels), shapely.area(earlier)
    # GEOS leaves flags of its inner steps behind, of which NumPy would warn.
    with np.errstate(invalid="ignore"):
        piece = shapely.intersection(parcels[row], earlier[other])
    common = shapely.area(piece)
    sliver = _is_sliver(common, areas[row], earlier_areas[other], area_ha[row], settings)
    share = common / areas[row]
    touching = share <= NOISE
    sliver_share = added_by(row[sliver], share[sliver], len(parcels))
    slivers = int((sliver & ~touching).sum())
    kept = ~(sliver | touching)
    row, other, piece, share, common = row[kept], other[kept], piece[kept], share[kept], common[kept]
    iou = common / (areas[row] + earlier_areas[other] - common)
    share, overlap_share = _once(row, _areal(piece), share, len(parcels))
    kept = share > NOISE
    row, other, share, iou = row[kept], other[kept], share[kept], iou[kept]
    whole = np.ones(len(same))
    row, other = np.concatenate([same, row]), np.concatenate([twin, other])
    share, iou = np.concatenate([whole, share]), np.concatenate([whole, iou])
    order = np.lexsort((other, row))
    return Pieces(
        row[order], other[order], share[order], np.minimum(iou[order], 1), slivers, sliver_share, overlap_share
    )


def added_by(row: NDArray[np.int64], values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Add values up by their row, float64, ``(row,)``."""
    return np.bincount(row, weights=values, minlength=rows).astype(np.float64)


def _same_outline(parcels: Geometries, tree: shapely.STRtree) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parcels of which an earlier one has the very outline, and the first such, wherever the rings start."""
    earlier = tree.geometries
    row, other = tree.query(parcels)
    # The bounds do not depend on where a ring starts; only what shares them is compared in full.
    alike = (shapely.bounds(parcels)[row] == shapely.bounds(earlier)[other]).all(axis=1)
    row, other = row[alike], other[alike]
    equal = shapely.equals_identical(shapely.normalize(parcels[row]), shapely.normalize(earlier[other]))
    row, other = row[equal], other[equal]
    order = np.lexsort((other, row))
    same, first = np.unique(row[order], return_index=True)
    return same, other[order][first]


def _is_sliver(
    common: NDArray[np.float64],
    area: NDArray[np.float64],
    earlier_area: NDArray[np.float64],
    area_ha: NDArray[np.float64],
    settings: History,
) -> NDArray[np.bool_]:
    of_smaller = common / np.minimum(area, earlier_area)
    piece_m2 = common / area * area_ha * _M2_PER_HA
    narrow = of_smaller < settings.sliver_share
    small = (piece_m2 < settings.sliver_area_m2) & (of_smaller < 0.5)
    return np.asarray(narrow | small, dtype=np.bool_)


def _once(
    row: NDArray[np.int64], piece: Geometries, share: NDArray[np.float64], parcels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take from each piece what a larger one of the same parcel holds already.

    Args:
        row: Parcel of each piece, ascending, ``(piece,)``.
        piece: The pieces, ``(piece,)``.
        share: Their parts of the parcel, ``(piece,)``.
        parcels: Number of parcels.

    Returns:
        The shares, no ground counted twice, ``(piece,)``; and what was taken away, ``(parcel,)``.
    """
    # Larger pieces first; the sort is stable, so equal ones stay in order.
    order = np.lexsort((-share, row))
    starts = np.searchsorted(row, np.arange(parcels))
    rank = np.arange(len(row)) - starts[row]
    result = share.copy()
    held = np.full(parcels, None, dtype=object)
    first = rank == 0
    held[row[first]] = piece[order][first]
    for number in range(1, int(rank.max(initial=0)) + 1):
        turn = order[rank == number]
        owner = row[turn]
        with np.errstate(invalid="ignore"):
            rest = shapely.difference(piece[turn], held[owner])
            held[owner] = shapely.union(held[owner], piece[turn])
        left = shapely.area(rest) / shapely.area(piece[turn])
        # An untouched piece keeps its figure to the last digit.
        result[turn] = np.where(left < 1 - NOISE, share[turn] * left, share[turn])
    # Sums of the last digits may exceed 1 by a hair.
    total = np.maximum(added_by(row, result, parcels), 1)
    return result / total[row], added_by(row, share - result, parcels)


def _areal(geometries: Geometries) -> Geometries:
    """The polygons of intersections that have an area; they hold lines too where outlines touch."""
    mixed = shapely.get_type_id(geometries) == shapely.GeometryType.GEOMETRYCOLLECTION
    parts, owner = shapely.get_parts(geometries[mixed], return_index=True)
    areal = shapely.get_dimensions(parts) == 2
    result = geometries.copy()
    if mixed.any():
        result[mixed] = shapely.multipolygons(parts[areal], indices=owner[areal])
    return result
