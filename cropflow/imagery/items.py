"""STAC item collections with local files: the records of Sentinel-2 L2A scenes among them."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.errors import CropflowError
from cropflow.imagery.names import band_aliases, read_baseline, read_product_name, read_tile
from cropflow.imagery.scenes import SCL, Scene

# Where a folder is given instead of the file.
ITEMS_FILE = "sentinel-2-l2a.items.json"
# The properties in which providers keep the product name.
_PRODUCT_KEYS = ("s2:product_uri", "sentinel:product_id", "eopf:product_uri")


def items_file(source: Path) -> Path:
    """The item collection of a source: the file itself, or the one inside an archive folder."""
    return source / ITEMS_FILE if source.is_dir() else source


def find_items(source: Path) -> list[Scene]:
    """Read the scenes of a STAC item collection.

    Args:
        source: A GeoJSON feature collection of STAC items, or a folder that holds ``sentinel-2-l2a.items.json``. Hrefs
            are relative to the file, absolute, or ``file:`` addresses.

    Returns:
        The scenes in the order of the file.

    Raises:
        CropflowError: If the file is missing, is no item collection, or an item has no time.
    """
    path = items_file(source)
    scenes = [_scene(item, path) for item in read_features(path) if not is_radar(item)]
    if not scenes:
        raise CropflowError(f"{path} holds no items of Sentinel-2; expected a STAC item collection that does.")
    refuse_namesakes(scenes, path)
    return scenes


def read_features(path: Path) -> list[dict[str, Any]]:
    """Read the items of an item collection, whatever sensors they are of.

    Raises:
        CropflowError: If the file is missing or is no item collection.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected a STAC item collection. Check imagery.<name>.path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CropflowError(f"{path} is no JSON ({error}); expected a STAC item collection.") from None
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not features:
        raise CropflowError(
            f"{path} holds no features; expected a STAC item collection (a GeoJSON FeatureCollection of items)."
        )
    return features


def is_radar(item: Mapping[str, Any]) -> bool:
    """Whether an item is one of Sentinel-1."""
    properties = item.get("properties") or {}
    names = (str(properties.get(key, "")).lower() for key in ("constellation", "platform"))
    return any(name.startswith("sentinel-1") for name in names) or any(key.startswith("sar:") for key in properties)


def refuse_namesakes(scenes: Sequence[Scene], path: Path) -> None:
    """Refuse two scenes of one name: the second would be mistaken for the first.

    Raises:
        CropflowError: One line with the name and both times.
    """
    first: dict[str, Scene] = {}
    for scene in scenes:
        # The same record twice is dropped as a duplicate; another one under its name would be mistaken for it.
        if (known := first.setdefault(scene.id, scene)) != scene and (known.time, known.tile) != (
            scene.time,
            scene.tile,
        ):
            raise CropflowError(
                f"{path} has two items {scene.id!r}, of {known.stamp} and {scene.stamp}; expected each id once. "
                "Rename one."
            )


def _scene(item: Mapping[str, Any], path: Path) -> Scene:
    properties: Mapping[str, Any] = item.get("properties") or {}
    name = str(item.get("id", ""))
    product = read_product_name(next((str(properties[key]) for key in _PRODUCT_KEYS if key in properties), name))
    outline = read_outline(item)
    orbit = properties.get("sat:relative_orbit")
    cloud = properties.get("eo:cloud_cover")
    return Scene(
        id=name,
        time=read_time(name, properties, path),
        platform=_platform(properties, product.platform),
        tile=_tile(name, properties) or product.tile,
        relative_orbit=product.relative_orbit if orbit is None else int(orbit),
        baseline=_baseline(properties) or product.baseline,
        made=str(properties.get("s2:generation_time") or properties.get("processing:datetime") or product.made),
        cloud_percent=math.nan if cloud is None else float(cloud),
        extent=outline,
        outline=outline,
        layers=_layers(item.get("assets") or {}, path.parent),
        source=f"{path.name}#{name}",
    )


def read_time(name: str, properties: Mapping[str, Any], place: Path | str) -> datetime.datetime:
    """Sensing time of an item, UTC.

    Raises:
        CropflowError: If it has none that is ISO 8601.
    """
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        time = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        raise CropflowError(
            f"Item {name!r} of {place} has the datetime {text!r}; expected ISO 8601 such as 2018-06-27T10:40:21Z."
        ) from None
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time.astimezone(datetime.UTC)


def _platform(properties: Mapping[str, Any], from_name: str) -> str:
    text = properties.get("platform") or from_name or properties.get("constellation") or "sentinel-2"
    return str(text).lower().replace(" ", "-")


def _tile(name: str, properties: Mapping[str, Any]) -> str:
    for key in ("s2:mgrs_tile", "grid:code"):
        if key in properties and (tile := read_tile(str(properties[key]))):
            return tile
    for prefix in ("mgrs", "sentinel"):
        parts = [properties.get(f"{prefix}:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
        if None not in parts and (tile := read_tile("".join(str(part) for part in parts))):
            return tile
    return next((tile for part in name.split("_") if (tile := read_tile(part))), "")


def _baseline(properties: Mapping[str, Any]) -> str:
    for key in ("s2:processing_baseline", "processing:version"):
        if key in properties and (baseline := read_baseline(str(properties[key]))):
            return baseline
    return ""


def read_outline(item: Mapping[str, Any]) -> BaseGeometry | None:
    """The outline of an item, or its bounding box, EPSG:4326; None where it has neither."""
    geometry, bbox = item.get("geometry"), item.get("bbox")
    if geometry:
        return shapely.make_valid(shape(geometry))
    if bbox:
        half = len(bbox) // 2  # four numbers, or six with heights
        return shapely.box(bbox[0], bbox[1], bbox[half], bbox[half + 1])
    return None


def _layers(assets: Mapping[str, Any], folder: Path) -> dict[str, str]:
    layers: dict[str, str] = {}
    for band in (*SENTINEL2_BANDS, SCL):
        for alias in band_aliases(band):
            if alias in assets and "href" in assets[alias]:
                layers[band] = local_path(str(assets[alias]["href"]), folder)
                break
    return layers


def local_path(href: str, folder: Path) -> str:
    """The local path of an href; addresses of other kinds are left as they are and refused when they are read."""
    parts = urlsplit(href)
    if parts.scheme == "file":
        return unquote(parts.path)
    if parts.scheme and len(parts.scheme) > 1:
        return href
    return str(folder / href)
