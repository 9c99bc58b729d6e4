"""Folders of Sentinel-2 L2A products in SAFE layout: the records of their scenes."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import rasterio
import shapely
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds
from shapely.geometry import Polygon

from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.errors import CropflowError
from cropflow.files.gdal_errors import gdal_reason
from cropflow.imagery.names import NATIVE_10M, read_baseline, read_product_name, read_tile
from cropflow.imagery.scenes import SCL, Scene

LOG = logging.getLogger(__name__)

METADATA = "MTD_MSIL2A.xml"


def find_products(source: Path) -> list[Scene]:
    """Find the L2A products below a folder; a product of several granules gives one scene each.

    Args:
        source: A folder, searched at any depth for ``*.SAFE`` folders.

    Returns:
        The scenes, sorted by their path.

    Raises:
        CropflowError: If there is no L2A product, or one is incomplete.
    """
    if not source.is_dir():
        found = "is a file" if source.exists() else "is missing"
        raise CropflowError(f"{source} {found}; expected a folder of SAFE products. Check imagery.<name>.path.")
    folders = sorted([*([source] if source.suffix == ".SAFE" else []), *source.rglob("*.SAFE")])
    products = [folder for folder in folders if folder.is_dir() and "MSIL1C" not in folder.name]
    if len(products) < len(folders):
        LOG.warning("%d of %d SAFE products below %s are not L2A", len(folders) - len(products), len(folders), source)
    if not products:
        raise CropflowError(f"{source} holds no L2A product; expected folders *.SAFE. Check imagery.<name>.path.")
    return [scene for product in products for scene in _scenes(product, source)]


def read_metadata(path: Path) -> dict[str, str]:
    """Read the text of every element of a product's metadata, by its name without namespace; the first one counts.

    Product metadata come from outside. The standard library's parser loads no external entity; documents that declare
    a document type, where entities that expand without end are defined, are refused before they are parsed.

    Raises:
        CropflowError: If the file is missing, broken, or declares a document type.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing: the product is incomplete. Fetch it again.")
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise CropflowError(f"{path} declares a document type, which no product metadata do. Fetch the product again.")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise CropflowError(f"{path} is broken ({error}). Fetch the product again.") from None
    found: dict[str, str] = {}
    for element in root.iter():
        text = (element.text or "").strip()
        if text:
            found.setdefault(element.tag.rpartition("}")[2], text)
    return found


def _scenes(product: Path, source: Path) -> list[Scene]:
    metadata = read_metadata(product / METADATA)
    granules = sorted(folder for folder in (product / "GRANULE").glob("*") if (folder / "IMG_DATA").is_dir())
    if not granules:
        raise CropflowError(f"{product} holds no GRANULE/*/IMG_DATA: the product is incomplete. Fetch it again.")
    name = read_product_name(product.name)
    cloud = metadata.get("Cloud_Coverage_Assessment")
    alone = len(granules) == 1
    scenes = []
    for granule in granules:
        layers = _layers(granule / "IMG_DATA")
        tile = (name.tile if alone else "") or next(
            (tile for part in granule.name.split("_") if (tile := read_tile(part))), ""
        )
        scenes.append(
            Scene(
                id=product.stem if alone else f"{product.stem}_{granule.name}",
                time=_time(product, metadata),
                platform=(metadata.get("SPACECRAFT_NAME") or name.platform or "sentinel-2").lower(),
                tile=tile,
                relative_orbit=int(metadata.get("SENSING_ORBIT_NUMBER", name.relative_orbit)),
                baseline=read_baseline(metadata.get("PROCESSING_BASELINE", "")) or name.baseline,
                made=metadata.get("GENERATION_TIME", name.made),
                cloud_percent=math.nan if cloud is None else float(cloud),
                # Outlines are drawn with few corners, so near the edge of a swath the pixels decide, not the outline.
                extent=_extent(layers),
                # The outline is the product's, not the granule's.
                outline=_outline(metadata) if alone else None,
                layers=layers,
                source=granule.relative_to(source).as_posix() if not alone else product.relative_to(source).as_posix(),
            )
        )
    return scenes


def _time(product: Path, metadata: Mapping[str, str]) -> datetime.datetime:
    text = metadata.get("DATATAKE_SENSING_START") or metadata.get("PRODUCT_START_TIME") or ""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CropflowError(
            f"{product / METADATA} gives the sensing time {text!r}; expected ISO 8601. Fetch the product again."
        ) from None
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time.astimezone(datetime.UTC)


def _outline(metadata: Mapping[str, str]) -> Polygon | None:
    numbers = [float(number) for number in metadata.get("EXT_POS_LIST", "").split()]
    if len(numbers) < 8:
        return None
    # Latitude comes first; some products add heights, none of L2A does.
    return Polygon(zip(numbers[1::2], numbers[0::2], strict=True))


def _extent(layers: Mapping[str, str]) -> Polygon | None:
    if not layers:
        return None
    path = layers.get(SCL) or next(iter(layers.values()))
    try:
        with rasterio.open(path) as raster:
            crs, bounds = raster.crs, raster.bounds
    except RasterioError as error:
        raise CropflowError(
            f"{path} cannot be read ({gdal_reason(error)}); the file is damaged. Fetch it again."
        ) from None
    if crs is None:
        raise CropflowError(f"{path} has no CRS; expected a georeferenced raster. Fetch it again.")
    return shapely.box(*transform_bounds(crs, "EPSG:4326", *bounds))


def _layers(folder: Path) -> dict[str, str]:
    """Band -> file at its native resolution; the copies at 20 m and 60 m are never taken for it."""
    layers: dict[str, str] = {}
    for band in (*SENTINEL2_BANDS, SCL):
        resolution = 10 if band in NATIVE_10M else 20
        # Some products prefix the name with L2A_.
        files = sorted(folder.glob(f"R{resolution}m/*_{band}_{resolution}m.*"))
        files = [file for file in files if file.suffix.lower() in (".jp2", ".tif", ".tiff")]
        if files:
            layers[band] = str(files[0])
    return layers
