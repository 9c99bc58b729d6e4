"""A simulated archive as a stand-in for Earth Engine serves it: collections of images, listed, described, on any grid.

Sentinel-2 is served as the harmonised collection: from baseline 04.00 the service takes 1000 off and stores unsigned
integers, so that what was 1000 or less becomes 0, and is not masked. Sentinel-1 is served in double precision, with the
angle of incidence that the item tells as a band. Scores of clouds are made up from the scene classes.
"""

from __future__ import annotations

import datetime
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from earth_engine_compute import PixelGrid, RefusedError, StoredBand, check_limits, sent

SENTINEL2 = "COPERNICUS/S2_SR_HARMONIZED"
SENTINEL1 = "COPERNICUS/S1_GRD"
SCORES = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
# Score of each scene class, hundredths.
SCORE_OF_CLASS = np.array([0, 0, 60, 20, 95, 90, 92, 55, 30, 5, 40, 70])
_CLAUSE = re.compile(
    r'(?P<field>startTime|endTime) (?P<sign>>=|<) "(?P<time>[^"]+)"|intersects\("(?P<region>[^"]+)"\)'
    r'|properties\.(?P<name>\w+)="(?P<value>[^"]+)"'
)


class Archive:
    """The images of a simulated archive, by id; ``gone`` are those that exist no more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gone: set[str] = set()
        self.items: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        for item in self._features("sentinel-2-l2a"):
            image = _sentinel2(item)
            index = image["id"].rpartition("/")[2]
            score = image | {"id": f"{SCORES}/{index}", "properties": {}}
            score["bands"] = [{**image["bands"][0], "id": "cs_cdf", "dataType": {"precision": "DOUBLE"}}]
            for one in (image, score):
                self.images[one["id"]], self.items[one["id"]] = one, item
        for item in self._features("sentinel-1-grd"):
            image = _sentinel1(item)
            self.images[image["id"]], self.items[image["id"]] = image, item
        self._kept: dict[str, dict[str, StoredBand]] = {}

    def _features(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / f"{name}.items.json"
        return json.loads(path.read_text())["features"] if path.is_file() else []

    def put(self, image: dict[str, Any], bands: dict[str, StoredBand]) -> None:
        """Serve an image that no folder holds, or in the place of one."""
        self.images[image["id"]], self._kept[image["id"]] = image, bands

    def collections(self) -> set[str]:
        return {name.rpartition("/")[0] for name in self.images}

    def find(self, collection: str, condition: str) -> list[dict[str, Any]]:
        """Images of a collection that meet a condition, in order of time.

        Raises:
            RefusedError: If a part of the condition is unknown.
        """
        found = [image for name, image in self.images.items() if name.rpartition("/")[0] == collection]
        for clause in condition.split(" AND ") if condition else []:
            parts = _CLAUSE.fullmatch(clause)
            if parts is None:
                raise RefusedError(f"Invalid filter: {clause}")
            found = [image for image in found if image["id"] not in self.gone and _meets(image, parts)]
        return sorted(found, key=lambda image: (image["startTime"], image["id"]))

    def pixels(self, name: str, body: Mapping[str, Any]) -> bytes:
        """Bands on a grid as an NPY file, 0 where they are masked.

        Raises:
            RefusedError: If the limits are exceeded, or a band does not exist.
        """
        grid = PixelGrid.of(body["grid"])
        bands = self.load(name)
        if body.get("fileFormat") != "NPY":
            raise RefusedError(f"fileFormat {body.get('fileFormat')} is unknown here")
        if not set(body["bandIds"]) <= set(bands):
            raise RefusedError(f"Image has no band among {body['bandIds']}; it has {list(bands)}.")
        check_limits({band: bands[band].values for band in body["bandIds"]}, grid)
        image = {}
        for band in body["bandIds"]:
            values, seen = bands[band].on(grid)
            image[band] = np.ma.MaskedArray(values, ~seen)
        content = io.BytesIO()
        np.save(content, sent(image))
        return content.getvalue()

    def load(self, name: str) -> dict[str, StoredBand]:
        """The bands of an image; KeyError where there is none."""
        if name in self.gone:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._bands(name)
        return self._kept[name]

    def _bands(self, name: str) -> dict[str, StoredBand]:
        item = self.items[name]
        if name.startswith(SENTINEL1):
            bands = {key.upper(): self._read(item, key) for key in ("vv", "vh")}
            seen = bands["VV"].seen
            angle = np.full(seen.shape, item["properties"]["view:incidence_angle"], np.float32)
            return bands | {"angle": StoredBand(angle, seen, bands["VV"].crs, bands["VV"].transform)}
        if name.startswith(SCORES):
            classes, fine = self._read(item, "SCL"), self._read(item, "B02")
            grid = PixelGrid(fine.crs, fine.transform, *fine.values.shape)
            values, seen = classes.on(grid)
            return {"cs_cdf": StoredBand(SCORE_OF_CLASS[values] / 100, seen, fine.crs, fine.transform)}
        return {_native(key): self._read(item, key) for key in item["assets"]}

    def _read(self, item: Mapping[str, Any], key: str) -> StoredBand:
        with rasterio.open(self.folder / item["assets"][key]["href"]) as raster:
            values, crs, transform = raster.read(1), f"EPSG:{raster.crs.to_epsg()}", raster.transform
        if values.dtype.kind == "f":
            return StoredBand(values.astype(np.float64), np.isfinite(values), crs, transform)
        seen = values > 0
        if key != "SCL" and float(item["properties"]["s2:processing_baseline"]) >= 4:
            values = np.clip(values.astype(np.int32) - 1000, 0, None).astype(np.uint16)
        return StoredBand(values, seen, crs, transform)


def _native(key: str) -> str:
    return key.replace("B0", "B")


def _meets(image: Mapping[str, Any], parts: re.Match[str]) -> bool:
    if parts["field"]:
        told, asked = (datetime.datetime.fromisoformat(text) for text in (image[parts["field"]], parts["time"]))
        return told >= asked if parts["sign"] == ">=" else told < asked
    if parts["region"]:
        region = json.loads(parts["region"].replace("'", '"'))
        ground = shapely.Polygon(image["geometry"]["coordinates"])
        return bool(shapely.geometry.shape(region).intersects(ground))
    return image["properties"].get(parts["name"]) == parts["value"]


def _described(item: Mapping[str, Any], name: str, bands: list[dict[str, Any]], end_s: int) -> dict[str, Any]:
    start = datetime.datetime.fromisoformat(item["properties"]["datetime"])
    (ring,) = item["geometry"]["coordinates"]
    return {
        "type": "IMAGE",
        "name": f"projects/earthengine-public/assets/{name}",
        "id": name,
        "startTime": start.isoformat().replace("+00:00", "Z"),
        "endTime": (start + datetime.timedelta(seconds=end_s)).isoformat().replace("+00:00", "Z"),
        "geometry": {"type": "LinearRing", "coordinates": ring},
        "bands": bands,
    }


def _band(item: Mapping[str, Any], key: str, name: str, kind: Mapping[str, Any]) -> dict[str, Any]:
    asset = item["assets"][key]
    a, _, c, _, e, f = asset["proj:transform"][:6]
    height, width = asset["proj:shape"]
    return {
        "id": name,
        "dataType": dict(kind),
        "grid": {
            "crsCode": f"EPSG:{item['properties']['proj:epsg']}",
            "dimensions": {"width": width, "height": height},
            "affineTransform": {"scaleX": a, "translateX": c, "scaleY": e, "translateY": f},
        },
    }


def _sentinel2(item: Mapping[str, Any]) -> dict[str, Any]:
    told = item["properties"]
    start = datetime.datetime.fromisoformat(told["datetime"])
    # Products of one acquisition differ in when they were made.
    made = start + datetime.timedelta(hours=4, days=300 * int(item["id"].split("_")[3]))
    tile, stamp = told["s2:mgrs_tile"], "%Y%m%dT%H%M%S"
    platform = f"S2{told['platform'][-1].upper()}"
    number = {"precision": "INT", "range": {"max": 65535}}
    bands = [_band(item, key, _native(key), number) for key in item["assets"]]
    image = _described(item, f"{SENTINEL2}/{start:{stamp}}_{made:{stamp}}_T{tile}", bands, 0)
    baseline = told["s2:processing_baseline"]
    product = (
        f"{platform}_MSIL2A_{start:{stamp}}_N{baseline.replace('.', '')}_R{told['sat:relative_orbit']:03d}_T{tile}"
        f"_{made:{stamp}}"
    )
    image["properties"] = {
        "PROCESSING_BASELINE": baseline,
        "PRODUCT_ID": product,
        "MGRS_TILE": tile,
        "SENSING_ORBIT_NUMBER": told["sat:relative_orbit"],
        "SPACECRAFT_NAME": f"Sentinel-2{told['platform'][-1].upper()}",
        "CLOUDY_PIXEL_PERCENTAGE": told["eo:cloud_cover"],
        "GENERATION_TIME": 1000 * int(made.timestamp()),
    }
    return image


def _sentinel1(item: Mapping[str, Any]) -> dict[str, Any]:
    told = item["properties"]
    bands = [_band(item, key, key.upper(), {"precision": "DOUBLE"}) for key in ("vv", "vh")]
    bands.append(_band(item, "vv", "angle", {"precision": "FLOAT"}))
    image = _described(item, f"{SENTINEL1}/{item['id']}", bands, 25)
    image["properties"] = {
        "instrumentMode": told["sar:instrument_mode"],
        "orbitProperties_pass": told["sat:orbit_state"].upper(),
        "transmitterReceiverPolarisation": told["sar:polarizations"],
        "relativeOrbitNumber_start": told["sat:relative_orbit"],
        "platform_number": told["platform"][-1].upper(),
    }
    return image
