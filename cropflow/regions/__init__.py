"""Where to map: the sites of a region, their pixel grids, and the parcels inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.regions.clip import clip_parcels, read_parcels_within
    from cropflow.regions.clusters import cluster_sites
    from cropflow.regions.cropland import densest_squares
    from cropflow.regions.frame import frame_squares
    from cropflow.regions.grid import Grid, snapped_grid, utm_epsg
    from cropflow.regions.sampling import draw
    from cropflow.regions.sites import check_overlaps, footprint, read_sites, site_grid, sites_table

__all__ = [
    "Grid",
    "check_overlaps",
    "clip_parcels",
    "cluster_sites",
    "densest_squares",
    "draw",
    "footprint",
    "frame_squares",
    "read_parcels_within",
    "read_sites",
    "site_grid",
    "sites_table",
    "snapped_grid",
    "utm_epsg",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Grid": "grid",
        "snapped_grid": "grid",
        "utm_epsg": "grid",
        "check_overlaps": "sites",
        "footprint": "sites",
        "read_sites": "sites",
        "site_grid": "sites",
        "sites_table": "sites",
        "clip_parcels": "clip",
        "cluster_sites": "clusters",
        "densest_squares": "cropland",
        "draw": "sampling",
        "frame_squares": "frame",
        "read_parcels_within": "clip",
    },
)
