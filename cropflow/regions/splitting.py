"""Rectangles around groups of parcels: padded where they are small, split where they are large, one zone each."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid, snapped_grid, utm_epsg
from cropflow.regions.sites import GEOGRAPHIC, LARGEST_SIDE_M, overlaps, transformer

LOG = logging.getLogger(__name__)

Members = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """A cluster, or a part of it, and the rectangle that holds its parcels whole."""

    cluster: int
    members: Members
    grid: Grid


class Ground:
    """Parcels, and what is known of them in the UTM zones asked for so far."""

    def __init__(self, outlines: NDArray[np.object_], crs: pyproj.CRS, degrees: NDArray[np.float64]) -> None:
        """Take parcels as they are.

        Args:
            outlines: Polygons in ``crs``, ``(parcel,)``.
            crs: Their CRS.
            degrees: Longitude and latitude of their centroids, ``(parcel, 2)``.
        """
        self._outlines, self._crs, self._degrees = outlines, crs, degrees
        self._known: dict[int, NDArray[np.float64]] = {}

    def zone(self, members: Members) -> int:
        """EPSG code of the UTM zone of the middle of some parcels."""
        longitude, latitude = self._degrees[members].T
        if longitude.max() - longitude.min() > 180:  # on both sides of the antimeridian
            longitude = longitude + 360 * (longitude < 0)
        middle = (longitude.min() + longitude.max()) / 2
        return utm_epsg(float(middle - 360 * (middle > 180)), float(latitude.min() + latitude.max()) / 2)

    def extents(self, members: Members, epsg: int) -> NDArray[np.float64]:
        """Bounds and centroid of parcels in a UTM zone, metres: xmin, ymin, xmax, ymax, x, y; ``(parcel, 6)``."""
        if epsg not in self._known:
            self._known[epsg] = np.full((len(self._outlines), 6), np.nan)
        known = self._known[epsg]
        new = members[np.isnan(known[members, 0])]
        if len(new):
            to_utm = transformer(self._crs, f"EPSG:{epsg}")
            moved = shapely.transform(self._outlines[new], to_utm.transform, interleaved=False)
            known[new, :4] = shapely.bounds(moved)
            centres = transformer(GEOGRAPHIC, f"EPSG:{epsg}")
            known[new, 4:] = np.column_stack(centres.transform(*self._degrees[new].T))
        return known[members]


def lay_out(
    ground: Ground, clusters: Sequence[Members], pixel_m: float, minimum_pixels: int, maximum_pixels: int
) -> list[Piece]:
    """Lay rectangles around clusters.

    A rectangle longer than allowed is halved across its longer side: parcels whose centroid lies in the one half of
    the range of centroids go one way, the others the other way, until every part fits or is a single place. A
    rectangle lies in the UTM zone of the middle of its parcels. Clusters whose rectangles share ground across the
    border of two zones lie in one zone, that of most of their parcels, or one ground would be in two blocks of the
    folds; where such a chain reaches further than the neighbouring zones it stays as it is, and a warning says so.
    Parts with the same rectangle are one.

    Args:
        ground: The parcels.
        clusters: Positions of the parcels of each cluster.
        pixel_m: Pixel size, metres.
        minimum_pixels: Smaller rectangles are padded on all sides, pixels.
        maximum_pixels: Longest side, pixels; exceeded by single parcels as large only.

    Returns:
        Pieces; every parcel of a cluster is in exactly one.

    Raises:
        CropflowError: If a single parcel is longer than a Sentinel-2 tile.
    """

    def pieces_of(cluster: int, zone: int | None) -> list[Piece]:
        return _split(ground, cluster, clusters[cluster], zone, pixel_m, minimum_pixels, maximum_pixels)

    laid = {cluster: pieces_of(cluster, None) for cluster in range(len(clusters))}
    links: set[tuple[int, int]] = set()
    while True:
        pieces = [piece for parts in laid.values() for piece in parts]
        across = [(pieces[one].cluster, pieces[other].cluster) for one, other in _across(pieces)]
        # A cluster that was moved may meet others; it stays with those for which it was moved.
        if links.issuperset(across):
            break
        links.update(across)
        laid |= {cluster: pieces_of(cluster, zone) for cluster, zone in _common_zones(pieces, links).items()}
    if across:
        LOG.warning(
            "%d pairs of sites share ground across the border of two UTM zones; folds cannot be laid there", len(across)
        )
    merged: dict[Grid, Piece] = {}
    for piece in pieces:
        same = merged.get(piece.grid)
        merged[piece.grid] = (
            Piece(same.cluster, np.concatenate([same.members, piece.members]), same.grid) if same else piece
        )
    return list(merged.values())


def _split(
    ground: Ground, cluster: int, members: Members, zone: int | None, pixel_m: float, least: int, most: int
) -> list[Piece]:
    done: list[Piece] = []
    waiting = [members]
    while waiting:
        part = waiting.pop()
        epsg = zone or ground.zone(part)
        extents = ground.extents(part, epsg)
        if not np.isfinite(extents).all():
            raise CropflowError(
                f"Parcels have no finite coordinates in EPSG:{epsg}; expected parcels in the area of their CRS. "
                "Check the CRS that the register declares."
            )
        left, bottom = extents[:, :2].min(axis=0)
        right, top = extents[:, 2:4].max(axis=0)
        grid = _padded(snapped_grid((left, bottom, right, top), epsg, pixel_m), least)
        centres = extents[:, 4] if grid.width >= grid.height else extents[:, 5]
        middle = (centres.min() + centres.max()) / 2
        beyond = centres >= middle
        if max(grid.shape) <= most or beyond.all():
            if max(grid.shape) * pixel_m > LARGEST_SIDE_M:
                raise CropflowError(
                    f"A parcel is {max(grid.shape) * pixel_m / 1000:.0f} km long; expected at most "
                    f"{LARGEST_SIDE_M / 1000:.0f} km, one Sentinel-2 tile. Leave its code out of choose.crop_codes."
                )
            done.append(Piece(cluster, part, grid))
        else:
            waiting += [part[~beyond], part[beyond]]
    return done


def _padded(grid: Grid, least: int) -> Grid:
    rows, columns = (max(0, least - side) for side in grid.shape)
    return grid.window(-(rows // 2), -(columns // 2), grid.height + rows, grid.width + columns)


def _across(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Positions of the pairs of pieces that share ground and lie in different zones."""
    pairs = overlaps({f"{number:09d}": piece.grid for number, piece in enumerate(pieces)})
    places = [(int(one), int(other)) for one, other in pairs]
    return [(one, other) for one, other in places if pieces[one].grid.epsg != pieces[other].grid.epsg]


def _common_zones(pieces: Sequence[Piece], links: set[tuple[int, int]]) -> dict[int, int]:
    """One zone for all clusters of a chain that shares ground across a border, where all are in or next to it."""
    rows, columns = np.array(sorted(links)).T
    size = max(piece.cluster for piece in pieces) + 1
    _, chain = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)), False)
    weight: dict[int, Counter[int]] = {int(chain[row]): Counter() for row in rows}
    for piece in pieces:
        if int(chain[piece.cluster]) in weight:
            weight[int(chain[piece.cluster])][piece.grid.epsg] += len(piece.members)
    zone = {key: min(found, key=lambda epsg: (-found[epsg], epsg)) for key, found in weight.items()}
    near = {key for key, found in weight.items() if all(_neighbours(zone[key], epsg) for epsg in found)}
    return {piece.cluster: zone[key] for piece in pieces if (key := int(chain[piece.cluster])) in near}


def _neighbours(one: int, other: int) -> bool:
    """True where two UTM zones are the same or lie side by side, on either side of the equator."""
    return (one % 100 - other % 100) % 60 in (0, 1, 59)
