"""Clustering a register's parcels: sites around dense groups of fields, beside scikit-learn's DBSCAN alone.

The parcels are squares of 100 m around villages scattered over 300 x 300 km, some villages close enough to grow
together. Ours is everything from outlines to named, padded and split sites; the peer is given the centroids in metres
and only labels them. Both must find the same groups. One thread each, repeats interleaved, the median counts.

    python benchmarks/cluster_parcels.py --parcels 100000
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import metadata
from pathlib import Path

import geopandas
import numpy as np
import shapely
from _in_turn import Contestants, compare
from numpy.typing import NDArray

EPS_M = 2000.0
# Parcels per village, and their spread around its middle, metres.
VILLAGE, SPREAD_M = 100, 700.0


def make_parcels(count: int) -> geopandas.GeoDataFrame:
    """Parcels around villages, in EPSG:2154."""
    rng = np.random.default_rng(0)
    villages = rng.uniform([500_000, 6_500_000], [800_000, 6_800_000], (-(-count // VILLAGE), 2))
    corners = np.repeat(villages, VILLAGE, axis=0)[:count] + rng.normal(0, SPREAD_M, (count, 2))
    left, bottom = corners.T
    outlines = shapely.box(left, bottom, left + 100, bottom + 100)
    return geopandas.GeoDataFrame({"crop_code": np.full(count, "BTH")}, geometry=outlines, crs=2154)


def ours(parcels: geopandas.GeoDataFrame) -> tuple[int, int]:
    """Parcels to sites: number of clusters and of sites."""
    from cropflow.config.regions import Clusters
    from cropflow.regions.clusters import cluster_sites

    found = cluster_sites(parcels, Clusters(method="clusters", season="2023", eps_m=EPS_M), 10)
    return found.counts["clusters"], len(found.sites)


def same_groups(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """True where two labellings differ in their numbers alone."""
    pairs = len(np.unique(np.column_stack([one, other]), axis=0))
    return pairs == len(np.unique(one)) == len(np.unique(other))


def main() -> None:
    """Check that both find the same groups, time them in turn, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=100_000, help="parcels to cluster")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/cluster_parcels.json"))
    arguments = parser.parse_args()
    if arguments.parcels < 1 or arguments.repeats < 1:
        parser.error("--parcels and --repeats are at least 1")

    # Read by the thread pools when scikit-learn is imported, which is only now.
    os.environ["OMP_NUM_THREADS"] = "1"
    from sklearn.cluster import DBSCAN

    from cropflow.regions.clusters import centroids, cluster_points, in_metres

    parcels = make_parcels(arguments.parcels)
    points = in_metres(centroids(parcels.geometry))

    def peer() -> NDArray[np.int64]:
        labels: NDArray[np.int64] = DBSCAN(eps=EPS_M, min_samples=1).fit_predict(points)
        return labels

    clusters, sites = ours(parcels)
    if not same_groups(cluster_points(points, EPS_M, 1), peer()) or clusters != len(np.unique(peer())):
        sys.exit("scikit-learn finds other groups than cropflow; nothing is timed.")
    entered: Contestants = {
        "cropflow": (lambda: ours(parcels), ""),
        "sklearn.cluster.DBSCAN": (peer, metadata.version("scikit-learn")),
    }
    workload = f"{len(parcels)} parcels, eps {EPS_M:g} m: {clusters} clusters, {sites} sites, 1 thread"
    compare(workload, entered, arguments.repeats, arguments.output)


if __name__ == "__main__":
    main()
