"""Sites around clusters of parcels: dense groups of fields, and nothing of the land between them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from cropflow.config.regions import Clusters
from cropflow.errors import CropflowError, listing
from cropflow.regions.grid import Grid
from cropflow.regions.sites import GEOGRAPHIC, place_names, transformer
from cropflow.regions.splitting import Ground, lay_out

LOG = logging.getLogger(__name__)

NOISE = -1
# Longitude, latitude and height to x, y, z in metres from the centre of the Earth: the straight line between two
# points is their distance, 2 km too short by less than a hundredth of a millimetre, in every zone and hemisphere.
GEODETIC, GEOCENTRIC = "EPSG:4979", "EPSG:4978"
# DBSCAN holds all pairs of neighbours at once, eight bytes each.
MOST_PAIRS = 400_000_000
_PROBES = 1000


@dataclass(frozen=True)
class Clustered:
    """The sites of a region that is chosen by clusters.

    Attributes:
        sites: Site -> grid.
        members: Site -> centroids of its parcels, MultiPoint of longitude and latitude; a clustered parcel is a member
            of exactly one site, whose grid holds it whole.
        counts: ``parcels`` given, ``other_codes`` left aside, ``clustered`` and ``noise``, which add up to them;
            ``clusters``, those ``split`` because of their size, and sites ``oversized`` because of a single parcel.
    """

    sites: dict[str, Grid]
    members: dict[str, shapely.MultiPoint]
    counts: dict[str, int]


def centroids(parcels: geopandas.GeoSeries) -> NDArray[np.float64]:
    """Longitude and latitude of the centroid of each parcel, degrees, float64, ``(parcel, 2)``.

    They are those of the plane of the register's CRS; for a parcel every CRS gives the same but for millimetres.
    """
    point = shapely.centroid(parcels.to_numpy())
    to_geographic = transformer(parcels.crs, GEOGRAPHIC)
    return np.column_stack(to_geographic.transform(shapely.get_x(point), shapely.get_y(point))).astype(np.float64)


def in_metres(degrees: NDArray[np.float64], crs: str | None = None) -> NDArray[np.float64]:
    """Carry points to coordinates whose straight-line distances are metres.

    Args:
        degrees: Longitude and latitude, ``(point, 2)``.
        crs: A projected CRS, whose distances are then taken for true; geocentric coordinates where absent.

    Returns:
        Metres, float64, ``(point, 2)`` in a projected CRS, else ``(point, 3)``.
    """
    longitude, latitude = degrees.T
    if crs is not None:
        to_plane = transformer(GEOGRAPHIC, crs)
        return np.column_stack(to_plane.transform(longitude, latitude)).astype(np.float64)
    to_space = transformer(GEODETIC, GEOCENTRIC)
    return np.column_stack(to_space.transform(longitude, latitude, np.zeros(len(degrees)))).astype(np.float64)


def cluster_points(points: NDArray[np.float64], eps_m: float, minimum_members: int) -> NDArray[np.int64]:
    """Group points by density.

    Args:
        points: Metres, ``(point, 2)`` or ``(point, 3)``.
        eps_m: Points at most this far apart are neighbours, metres.
        minimum_members: Neighbours, itself included, that make a point the core of a cluster.

    Returns:
        Cluster of each point, int64, ``(point,)``; -1 where a point is noise. The same groups, with the same numbers,
        whatever the order of the points.

    Raises:
        CropflowError: If the neighbours of all points do not fit into memory.

    Source:
        DBSCAN: Ester et al. (1996), KDD-96, as in scikit-learn.
    """
    from sklearn.cluster import DBSCAN

    # A point at the rim of two clusters goes to the one that is grown first: the order must not be that of a file.
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    _check_pairs(ordered, eps_m)
    labels = np.empty(len(points), dtype=np.int64)
    labels[order] = DBSCAN(eps=eps_m, min_samples=minimum_members, algorithm="kd_tree").fit_predict(ordered)
    return labels


def _check_pairs(ordered: NDArray[np.float64], eps_m: float) -> None:
    from sklearn.neighbors import KDTree

    probes = ordered[:: max(1, len(ordered) // _PROBES)]
    neighbours = float(KDTree(ordered).query_radius(probes, eps_m, count_only=True).mean())
    if neighbours * len(ordered) > MOST_PAIRS:
        raise CropflowError(
            f"choose.eps_m is {eps_m:g} m, within which each of {len(ordered)} parcels has {neighbours:.0f} neighbours "
            f"on average; expected at most {MOST_PAIRS // len(ordered)}, to fit into memory. Lower eps_m, name "
            "crop_codes, or choose squares by cropland or sample."
        )


def cluster_sites(parcels: geopandas.GeoDataFrame, settings: Clusters, pixel_m: float) -> Clustered:
    """Cluster parcels by their centroids and lay a site around each cluster, or around each part of a large one.

    Args:
        parcels: ``crop_code`` and polygons in any CRS.
        settings: How to cluster, and how large sites may be.
        pixel_m: Pixel size, metres.

    Raises:
        CropflowError: If no parcel is left to cluster, or none is in a cluster.
    """
    wanted = np.ones(len(parcels), dtype=np.bool_)
    if settings.crop_codes:
        wanted = parcels["crop_code"].isin(settings.crop_codes).to_numpy(dtype=np.bool_)
        found = set(parcels["crop_code"][wanted])
        absent = [code for code in settings.crop_codes if code not in found]
        if absent:
            raise CropflowError(
                f"choose.crop_codes names {listing(absent)}, which no parcel of the season has; expected codes among: "
                f"{listing(sorted(parcels['crop_code'].unique()), 30)}."
            )
    chosen = parcels.geometry[wanted]
    degrees = centroids(chosen)
    # From here on nothing depends on the order of the register's rows.
    order = np.lexsort((degrees[:, 1], degrees[:, 0]))
    chosen, degrees = chosen.iloc[order], degrees[order]
    labels = cluster_points(in_metres(degrees, settings.distances), settings.eps_m, settings.minimum_members)
    clusters = [np.flatnonzero(labels == label) for label in range(int(labels.max(initial=NOISE)) + 1)]
    if not clusters:
        raise CropflowError(
            f"None of {len(chosen)} parcels has {settings.minimum_members} parcels within {settings.eps_m:g} m; "
            "expected at least one cluster. Raise choose.eps_m or lower choose.minimum_members."
        )
    ground = Ground(chosen.to_numpy(), chosen.crs, degrees)
    pieces = lay_out(ground, clusters, pixel_m, settings.minimum_pixels, settings.maximum_pixels)
    sites = place_names(piece.grid for piece in pieces)
    members = {piece.grid: shapely.multipoints(degrees[piece.members]) for piece in pieces}
    per_cluster = np.bincount([piece.cluster for piece in pieces], minlength=len(clusters))
    counts = {
        "parcels": len(parcels),
        "other_codes": int((~wanted).sum()),
        "clustered": sum(len(piece.members) for piece in pieces),
        "noise": int((labels == NOISE).sum()),
        "clusters": len(clusters),
        "split": int((per_cluster > 1).sum()),
        "oversized": sum(max(piece.grid.shape) > settings.maximum_pixels for piece in pieces),
    }
    _account(counts)
    return Clustered(sites, {name: members[grid] for name, grid in sites.items()}, counts)


def _account(counts: dict[str, int]) -> None:
    if counts["parcels"] != counts["other_codes"] + counts["clustered"] + counts["noise"]:
        raise RuntimeError(f"the parcels do not add up: {counts}")
    LOG.info(
        "%d of %d parcels lie in %d clusters, of which %d were split; %d are noise, %d have other codes",
        counts["clustered"], counts["parcels"], counts["clusters"], counts["split"], counts["noise"],
        counts["other_codes"],
    )  # fmt: skip
    if counts["oversized"]:
        LOG.warning("%d sites are larger than maximum_pixels: each holds a single parcel as large", counts["oversized"])
