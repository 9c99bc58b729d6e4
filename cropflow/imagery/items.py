"""The records of Sentinel-2 L2A scenes that STAC items hold, whether a local file or a service brings them."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import shapely
import shapely.affinity
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.errors import CropflowError
from cropflow.imagery.names import band_aliases, read_baseline, read_product_name, read_tile
from cropflow.imagery.scenes import SCL, Scene

Item = Mapping[str, Any]

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
    items = [item for item in read_features(path) if not is_radar(item)]
    scenes = [item_scene(item, path, f"{path.name}#{item.get('id', '')}") for item in items]
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


def item_scene(item: Item, place: Path | str, source: str) -> Scene:
    """Read the scene of a STAC item, whatever names its provider gives to properties and bands.

    What a provider says of the offset of its values (``earthsearch:boa_offset_applied``, ``raster:bands``) is not read:
    the baseline and the pixels decide (:mod:`cropflow.imagery.offsets`).

    Args:
        item: The item, parsed.
        place: File or address that the item comes from; relative hrefs start there.
        source: What the scene's record is called; no two of a source share it.

    Raises:
        CropflowError: If the item has no time.
    """
    properties: Mapping[str, Any] = item.get("properties") or {}
    name = str(item.get("id", ""))
    product = read_product_name(next((str(properties[key]) for key in _PRODUCT_KEYS if key in properties), name))
    outline = read_outline(item)
    orbit = properties.get("sat:relative_orbit")
    cloud = properties.get("eo:cloud_cover")
    return Scene(
        id=name,
        time=read_time(name, properties, place),
        platform=_platform(properties, product.platform),
        tile=_tile(name, properties) or product.tile,
        relative_orbit=product.relative_orbit if orbit is None else int(orbit),
        baseline=_baseline(properties) or product.baseline,
        made=str(properties.get("s2:generation_time") or properties.get("processing:datetime") or product.made),
        cloud_percent=math.nan if cloud is None else float(cloud),
        extent=outline,
        outline=outline,
        layers=_layers(item.get("assets") or {}, place),
        source=source,
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
        return around_the_world(shape(geometry))
    if bbox:
        half = len(bbox) // 2  # four numbers, or six with heights
        west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
        # RFC 7946: across the antimeridian the western edge has the larger longitude.
        return around_the_world(shapely.box(west, south, east + 360 * (east < west), north))
    return None


def around_the_world(outline: BaseGeometry) -> BaseGeometry:
    """A valid outline within [-180, 180], cut at the antimeridian where it crosses it.

    No tile spans half the world: an outline that seems to was drawn across the antimeridian in one piece.
    """
    west, _, east, _ = outline.bounds
    if west >= -180 and east <= 180:
        if east - west <= 180 or len(shapely.get_parts(outline)) > 1:
            return shapely.make_valid(outline)
        outline = shapely.transform(outline, lambda x, y: (x + 360 * (x < 0), y), interleaved=False)
    outline = shapely.make_valid(outline)
    if outline.bounds[0] < -180:
        outline = shapely.affinity.translate(outline, 360)
    here = outline.intersection(shapely.box(-180, -90, 180, 90))
    beyond = shapely.affinity.translate(outline.intersection(shapely.box(180, -90, 540, 90)), -360)
    return shapely.union(here, beyond)


def _layers(assets: Mapping[str, Any], place: Path | str) -> dict[str, str]:
    layers: dict[str, str] = {}
    for band in (*SENTINEL2_BANDS, SCL):
        for alias in band_aliases(band):
            if alias in assets and "href" in assets[alias]:
                href = str(assets[alias]["href"])
                layers[band] = local_path(href, place.parent) if isinstance(place, Path) else urljoin(place, href)
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
