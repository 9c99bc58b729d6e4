"""Which site a parcel belongs to, where sites were chosen by clusters and their rectangles overlap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyarrow.parquet
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cropflow.files.tables import read_geotable
from cropflow.regions.clip import Clipped
from cropflow.regions.clusters import centroids, in_metres

MEMBERS = "members"


def read_members(path: Path | str) -> dict[str, NDArray[np.float64]] | None:
    """Read the centroids of the parcels that the sites of a region were made of.

    Args:
        path: Table of sites, GeoParquet.

    Returns:
        Site -> longitude and latitude, degrees, ``(parcel, 2)``; None where the sites were not chosen by clusters.
    """
    if MEMBERS not in pyarrow.parquet.read_schema(path).names:
        return None
    table = read_geotable(path, columns=["site", MEMBERS, "geometry"])
    return {
        str(site): shapely.get_coordinates(points) for site, points in zip(table["site"], table[MEMBERS], strict=True)
    }


def claims(site: str, parcels: geopandas.GeoDataFrame, clipped: Clipped) -> pandas.DataFrame:
    """The parcels that a site holds a part of, with the centroid of the whole parcel.

    Args:
        site: Name of the site.
        parcels: ``parcel_id`` and whole outlines, in the CRS of the register.
        clipped: What of them lies in the site.

    Returns:
        ``parcel_id``, ``site``, ``longitude``, ``latitude`` (degrees).
    """
    held = parcels[parcels["parcel_id"].isin(clipped.parcels["parcel_id"])]
    longitude, latitude = centroids(held.geometry).T
    return pandas.DataFrame(
        {"parcel_id": held["parcel_id"].to_numpy(), "site": site, "longitude": longitude, "latitude": latitude}
    )


def settle(parcels: pandas.DataFrame, members: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Give each parcel to one of the sites that it reaches into: the one with the nearest member.

    A parcel of the season that was clustered is a member itself, at no distance, so it goes to the site of its cluster;
    one of another season goes where the fields of its neighbourhood went.

    Args:
        parcels: ``parcel_id``, ``site``, and ``longitude`` and ``latitude`` of the whole parcel's centroid, degrees; a
            row for each site that holds a part of it.
        members: Site -> longitude and latitude of its members, degrees.

    Returns:
        True where the parcel belongs to the site of the row: exactly once per parcel. The first site by name is taken
        among equals.
    """
    doubtful = parcels["parcel_id"].duplicated(keep=False).to_numpy()
    distance = np.zeros(len(parcels))
    for site, rows in parcels[doubtful].groupby("site").indices.items():
        places = np.flatnonzero(doubtful)[rows]
        points = parcels[["longitude", "latitude"]].to_numpy(dtype=np.float64)[places]
        distance[places], _ = KDTree(in_metres(members[str(site)])).query(in_metres(points))
    ranked = parcels.assign(distance=distance, row=np.arange(len(parcels))).sort_values(
        ["distance", "site"], kind="stable"
    )
    own = np.zeros(len(parcels), dtype=np.bool_)
    own[ranked.drop_duplicates("parcel_id")["row"].to_numpy()] = True
    return own
