"""STAC records of Sentinel-1: what their values are, and which of them can be used.

Three things decide. *Calibrated*: an item must say that its values are dB or linear, or be a terrain-corrected product,
whose values are linear power. The plain GRD collections of the public archives hold digital numbers in the radar's own
geometry, although their records look alike. *Radiometry*: sigma0 or gamma0, as roles, asset names, descriptions or
product type say; a record that does not tell needs ``assume_radiometry``. *Polarisation*: VV and VH, both.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from cropflow.config.imagery import Sensor
from cropflow.errors import CropflowError, listing
from cropflow.imagery.items import is_radar, local_path, read_features, read_outline, read_time, refuse_namesakes
from cropflow.imagery.scenes import ANGLE, POLARISATIONS, Scene

LOG = logging.getLogger(__name__)

# Where a folder is given instead of the file.
RADAR_FILES = ("sentinel-1-grd.items.json", "sentinel-1-rtc.items.json")
_UNITS = dict.fromkeys(("db", "decibel", "decibels"), "dB") | dict.fromkeys(("linear", "power", "m2/m2"), "linear")
_RADIOMETRY = {
    "gamma0": re.compile(r"gamma[ _-]?(0|nought|naught|zero)", re.I),
    "sigma0": re.compile(r"sigma[ _-]?(0|nought|naught|zero)", re.I),
}
_TERRAIN_CORRECTED = frozenset({"RTC", "NRB"})
# The angle to the ellipsoid; that to the terrain, which terrain-corrected products bring along, is another.
_ANGLE_ASSETS = ("angle", "incidence_angle", "incidence-angle")
_PRODUCT = re.compile(
    r"(?P<platform>S1[A-D])_[A-Z0-9]{2}_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(?P<orbit>\d{6})_[0-9A-F]{6}"
)
_ORBITS = 175
# Absolute orbit of the first relative orbit, per satellite (Copernicus SentiWiki, S1 Products, naming convention).
_FIRST_ORBIT = {"sentinel-1a": 73, "sentinel-1b": 27, "sentinel-1c": 172, "sentinel-1d": 42}
# Sentinel-1C changed its place in the orbit in June 2026.
_LAST_BEFORE_MOVE, _FIRST_AFTER_MOVE = 8018, 99


def radar_file(source: Path) -> Path:
    """The item collection of a source: the file itself, or the one of Sentinel-1 inside an archive folder.

    Raises:
        CropflowError: If the folder holds several: their radiometry differs.
    """
    if not source.is_dir():
        return source
    there = [source / name for name in RADAR_FILES if (source / name).is_file()]
    if len(there) > 1:
        raise CropflowError(
            f"{source} holds {listing(path.name for path in there)}; expected one collection of Sentinel-1, since "
            "their values differ. Name the file in imagery.<name>.path."
        )
    return there[0] if there else source / RADAR_FILES[0]


def find_radar_items(source: Path, sensor: Sensor, assumed_radiometry: str | None) -> list[Scene]:
    """Read the scenes of one direction of Sentinel-1 from a STAC item collection on disk.

    Args:
        source: An item collection, or a folder that holds ``sentinel-1-grd.items.json`` or
            ``sentinel-1-rtc.items.json``.
        sensor: ``sentinel1_ascending`` or ``sentinel1_descending``.
        assumed_radiometry: Radiometry of records that do not tell theirs.

    Raises:
        CropflowError: If the file is missing or no item collection, or none of its items can be used.
    """
    path = radar_file(source)
    items = [item for item in read_features(path) if is_radar(item)]
    if not items:
        raise CropflowError(f"{path} holds no items of Sentinel-1; expected a STAC item collection that does.")
    scenes = usable_scenes(items, path.parent, assumed_radiometry)
    refuse_namesakes(scenes, path)
    return [scene for scene in scenes if scene.sensor == sensor]


def usable_scenes(items: Iterable[Mapping[str, Any]], base: Path | str, assumed_radiometry: str | None) -> list[Scene]:
    """The scenes of the items that can be used, in their order; the log counts the others by reason.

    Args:
        items: STAC items of Sentinel-1.
        base: Folder or address that relative hrefs start from.
        assumed_radiometry: Radiometry of records that do not tell theirs.

    Raises:
        CropflowError: If there are items, and none can be used.
    """
    found = [(str(item.get("id", "")), radar_scene(item, base, assumed_radiometry)) for item in items]
    scenes = [scene for _, scene in found if isinstance(scene, Scene)]
    refused = [(name, reason) for name, reason in found if isinstance(reason, str)]
    if not refused:
        return scenes
    name, reason = refused[0]
    kinds = Counter(why.partition(":")[0] for _, why in refused)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    if not scenes:
        raise CropflowError(f"None of {len(found)} items of Sentinel-1 can be used ({told}): {name}, {reason}.")
    LOG.warning(
        "%d of %d items of Sentinel-1 cannot be used (%s): %s, %s", len(refused), len(found), told, name, reason
    )
    return scenes


def radar_scene(item: Mapping[str, Any], base: Path | str, assumed_radiometry: str | None) -> Scene | str:
    """Read the record of a Sentinel-1 scene.

    Args:
        item: A STAC item.
        base: Folder or address that relative hrefs start from.
        assumed_radiometry: Radiometry where the record does not tell it; what the record tells wins.

    Returns:
        The scene, its layers called ``VV``, ``VH`` and, where the item has an angle of incidence to the ellipsoid,
        ``angle``; its radiometry is empty where neither the record nor the user tells it. Or why the item cannot be
        used, as ``kind: detail``.

    Raises:
        CropflowError: If the item has no time.
    """
    properties: Mapping[str, Any] = item.get("properties") or {}
    assets: Mapping[str, Mapping[str, Any]] = item.get("assets") or {}
    named = {name: _asset(assets, name.lower()) for name in POLARISATIONS}
    layers = {name: assets[key] for name, key in named.items() if key}
    offered = {key: assets[key] for key in named.values() if key}
    unit = _unit(item, layers or assets)
    if not unit:
        return (
            "uncalibrated: digital numbers in radar geometry, as in every plain GRD collection; expected assets whose "
            "unit is dB or linear, or a terrain-corrected product. Choose a collection such as sentinel-1-rtc"
        )
    if (mode := str(properties.get("sar:instrument_mode", "IW"))) != "IW":
        return f"mode: {mode}, expected IW"
    if len(layers) < len(POLARISATIONS):
        told = listing(properties.get("sar:polarizations") or ()) or listing(sorted(assets)) or "none"
        return f"polarisation: {told}, expected VV and VH"
    direction = str(properties.get("sat:orbit_state", "")).lower()
    if direction not in ("ascending", "descending"):
        return f"direction: orbit state {direction or 'missing'}, expected ascending or descending"
    name = str(item.get("id", ""))
    outline = read_outline(item)
    platform, orbit = _orbit(name, properties)
    angle = next((key for key in _ANGLE_ASSETS if key in assets), None)
    wanted = {layer: str(asset["href"]) for layer, asset in layers.items()}
    wanted |= {ANGLE: str(assets[angle]["href"])} if angle else {}
    return Scene(
        id=name,
        time=read_time(name, properties, base),
        platform=platform,
        tile="",
        relative_orbit=orbit,
        baseline="",
        made=str(properties.get("s1:processing_datetime") or properties.get("processing:datetime") or ""),
        cloud_percent=math.nan,
        extent=outline,
        outline=outline,
        layers={layer: _address(href, base) for layer, href in wanted.items()},
        source=f"{item.get('collection') or 'sentinel-1'}#{name}",
        sensor=f"sentinel1_{direction}",
        radiometry=_radiometry(item, offered) or (assumed_radiometry or ""),
        unit=unit,
    )


def relative_orbit(platform: str, absolute_orbit: int) -> int:
    """The relative orbit 1..175 of an absolute one; -1 where the satellite is not known.

    Args:
        platform: Such as ``sentinel-1a``.
        absolute_orbit: Orbits since launch.

    Source:
        Copernicus SentiWiki, S1 Products, "Relationship between relative and absolute orbit numbers"; for Sentinel-1C
        since then, the reconfiguration of its orbit that ended on 24 June 2026.
    """
    first = _FIRST_ORBIT.get(platform)
    if first is None:
        return -1
    if platform == "sentinel-1c" and absolute_orbit > _LAST_BEFORE_MOVE:
        first = _FIRST_AFTER_MOVE
    return (absolute_orbit - first) % _ORBITS + 1


def _asset(assets: Mapping[str, Any], polarisation: str) -> str | None:
    """The asset of a polarisation, such as ``vv``, ``VV`` or ``gamma0_vv``."""
    return next((key for key in assets if re.fullmatch(rf"((gamma|sigma)0[_-])?{polarisation}", key.lower())), None)


def _unit(item: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]]) -> str:
    """``dB`` or ``linear``; empty where the values are not calibrated."""
    units = set()
    for asset in layers.values():
        bands = asset.get("raster:bands") or asset.get("bands") or [{}]
        units.add(str(asset.get("unit") or asset.get("raster:unit") or bands[0].get("unit") or "").lower())
    if len(told := {_UNITS.get(unit, "") for unit in units}) == 1 and (unit := told.pop()):
        return unit
    return "linear" if _terrain_corrected(item) else ""


def _terrain_corrected(item: Mapping[str, Any]) -> bool:
    product = str((item.get("properties") or {}).get("sar:product_type", "")).upper()
    return product in _TERRAIN_CORRECTED or "rtc" in re.split(r"[^a-z]+", str(item.get("collection", "")).lower())


def _radiometry(item: Mapping[str, Any], offered: Mapping[str, Mapping[str, Any]]) -> str:
    for key, asset in offered.items():
        roles, title, described = (asset.get(name) or "" for name in ("roles", "title", "description"))
        words = " ".join([key, *roles, str(title), str(described)])
        told = [name for name, pattern in _RADIOMETRY.items() if pattern.search(words)]
        if len(told) == 1:
            return told[0]
    # A product is called terrain-corrected (RTC) where its values are those of the terrain's own area: gamma0.
    return "gamma0" if _terrain_corrected(item) else ""


def _orbit(name: str, properties: Mapping[str, Any]) -> tuple[str, int]:
    """Platform and relative orbit, as the record or the product's name tell them."""
    product = _PRODUCT.search(name)
    platform = str(properties.get("platform") or properties.get("constellation") or "sentinel-1").lower()
    if product and platform == "sentinel-1":
        platform = f"sentinel-1{product['platform'][2].lower()}"
    if (told := properties.get("sat:relative_orbit")) is not None:
        return platform, int(told)
    absolute = properties.get("sat:absolute_orbit") or (product and product["orbit"])
    return platform, relative_orbit(platform, int(absolute)) if absolute else -1


def _address(href: str, base: Path | str) -> str:
    return local_path(href, base) if isinstance(base, Path) else urljoin(base, href)
