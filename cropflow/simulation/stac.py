"""STAC records of the simulated archive: items with relative hrefs, collections, and the catalogue that links them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.regions.grid import Grid

VERSION = "1.0.0"
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
COLLECTIONS = {
    "sentinel-2-l2a": "Simulated Sentinel-2 L2A: reflectance x 10000 (+ 1000 from baseline 04.00), 0 = nodata.",
    "sentinel-1-grd": "Simulated Sentinel-1 IW GRD: sigma0 in dB, NaN = nodata.",
}
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def footprint(grid: Grid) -> tuple[list[float], dict[str, Any]]:
    """Bounding box and polygon of a grid in longitude and latitude."""
    import pyproj

    xmin, ymin, xmax, ymax = grid.bounds
    transformer = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    corners = [(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin)]
    ring = [[round(float(value), 7) for value in transformer.transform(x, y)] for x, y in corners]
    longitudes, latitudes = zip(*ring, strict=True)
    box = [min(longitudes), min(latitudes), max(longitudes), max(latitudes)]
    return box, {"type": "Polygon", "coordinates": [ring]}


def asset(href: str, grid: Grid, title: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The record of one file."""
    return {
        "href": href,
        "type": _COG,
        "title": title,
        "roles": ["data"],
        "gsd": int(grid.pixel_m),
        "proj:shape": [grid.height, grid.width],
        "proj:transform": [float(value) for value in list(grid.transform)[:6]],
        **(extra or {}),
    }


def item(
    name: str,
    collection: str,
    grid: Grid,
    time: datetime.datetime,
    properties: Mapping[str, Any],
    assets: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of one scene."""
    box, polygon = footprint(grid)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [
            PROJECTION,
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
        ],
        "id": name,
        "collection": collection,
        "bbox": box,
        "geometry": polygon,
        "properties": {"datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "proj:epsg": grid.epsg, **properties},
        "links": [],
        "assets": dict(assets),
    }


def sentinel2_assets(name: str, grid: Grid, coarse: Grid) -> dict[str, Any]:
    """The ten bands and the scene classification of a scene."""
    assets: dict[str, Any] = {
        band: asset(f"./sentinel-2-l2a/{name}/{band}.tif", grid if band in BANDS_10M else coarse, f"Band {band}")
        for band in SENTINEL2_BANDS
    }
    assets["SCL"] = asset(f"./sentinel-2-l2a/{name}/SCL.tif", coarse, "Scene classification")
    return assets


def catalogue(items: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The catalogue: links to the collections' records and item collections that lie beside it."""
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "simulated-archive",
        "title": "Simulated archive",
        "description": "Scenes of a simulated landscape; nothing here was measured.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            *(
                {"rel": "child", "href": f"./{name}.collection.json", "type": "application/json", "title": name}
                for name in sorted(items)
            ),
        ],
    }


def collection(name: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a collection, with a link to its item collection."""
    boxes = [record["bbox"] for record in items]
    times = sorted(record["properties"]["datetime"] for record in items)
    edges = [min, min, max, max]
    box = [edge(one[axis] for one in boxes) for axis, edge in enumerate(edges)] if boxes else [-180, -90, 180, 90]
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": name,
        "title": name,
        "description": COLLECTIONS[name],
        "license": "MIT",
        "extent": {
            "spatial": {"bbox": [box]},
            "temporal": {"interval": [[times[0], times[-1]] if times else [None, None]]},
        },
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "./catalog.json", "type": "application/json"},
            {"rel": "items", "href": f"./{name}.items.json", "type": "application/geo+json"},
        ],
    }
