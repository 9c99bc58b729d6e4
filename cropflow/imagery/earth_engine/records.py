"""Images of Earth Engine's collections of Sentinel-1 and Sentinel-2 as scenes, found by place and time."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import shapely
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from cropflow.config.imagery import SENTINEL2_BANDS, Sensor
from cropflow.errors import CropflowError
from cropflow.files.earth_engine_calls import called
from cropflow.files.remote import GoneError, Limits, TooLargeError, TransientError
from cropflow.imagery.names import read_baseline, read_product_name, read_tile
from cropflow.imagery.scenes import ANGLE, CLOUD_SCORE, HARMONISED, POLARISATIONS, SCL, Scene

# Images of a page; the service sends no more.
PAGE = 1000
# Sites whose centres share a cell of this size are searched together: a Sentinel-2 tile is about one degree wide.
CELL_DEGREES = 2.0
# The service takes edges for great circles, which leave a parallel by some 500 m over the width of a cell.
PAD_DEGREES = 0.02
# Name of the index in each image of Cloud Score+, which goes by the name of the Sentinel-2 image.
SCORE_BAND = "cs_cdf"
# Google's own collections of Sentinel-1 are calibrated to sigma0; one whose name ends so holds power instead of dB.
SIGMA0 = frozenset({"COPERNICUS/S1_GRD", "COPERNICUS/S1_GRD_FLOAT"})
LINEAR = "_FLOAT"


def search_boxes(outlines: Iterable[BaseGeometry]) -> list[Polygon]:
    """Cover outlines with few boxes, so that far-off sites are not searched as one region.

    Args:
        outlines: Footprints, EPSG:4326, those across the antimeridian cut in two.

    Returns:
        One box per cell of two degrees that holds the middle of a footprint, around all of them, in order.
    """
    cells: dict[tuple[int, int], list[BaseGeometry]] = defaultdict(list)
    for outline in outlines:
        for part in shapely.get_parts(outline):
            middle = part.centroid
            cells[math.floor(middle.x / CELL_DEGREES), math.floor(middle.y / CELL_DEGREES)].append(part)
    boxes = []
    for _, parts in sorted(cells.items()):
        west, south, east, north = shapely.total_bounds(parts)
        boxes.append(
            shapely.box(
                max(west - PAD_DEGREES, -180.0),
                max(south - PAD_DEGREES, -90.0),
                min(east + PAD_DEGREES, 180.0),
                min(north + PAD_DEGREES, 90.0),
            )
        )
    return boxes


def list_images(
    collection: str,
    box: Polygon,
    window: tuple[datetime.date, datetime.date],
    limits: Limits,
) -> Iterator[Mapping[str, Any]]:
    """List the images of a collection page by page.

    Args:
        collection: Its id.
        box: Where, EPSG:4326.
        window: First and last day, both inclusive, UTC; images that end on the day after the last are listed too.
        limits: Turns of requests.

    Raises:
        CropflowError: If the collection does not exist, or the service refuses or does not answer.
    """
    start, end = window
    params: dict[str, Any] = {
        "parent": collection,
        "startTime": f"{start}T00:00:00Z",
        # The filter is on the time at which an image ends, exclusive.
        "endTime": f"{end + datetime.timedelta(days=2)}T00:00:00Z",
        "region": mapping(box),
        "pageSize": PAGE,
    }
    name = f"Earth Engine's collection {collection}"

    def ask(ee: Any) -> Any:
        return ee.data.listImages(params)

    while True:
        try:
            page = called(name, ask, limits)
        except GoneError as error:
            raise CropflowError(
                f"{name} does not exist, or not for this account ({error}); check imagery.<name>.collections."
            ) from None
        except (TransientError, TooLargeError) as error:
            raise CropflowError(f"{name} cannot be listed ({error}). Try again later.") from None
        yield from page["images"]
        if not page.get("nextPageToken"):
            return
        params["pageToken"] = page["nextPageToken"]


def sentinel2_scene(image: Mapping[str, Any], *, harmonised: bool, cloud_score: bool) -> Scene:
    """The record of an image of Sentinel-2 L2A.

    Args:
        image: As the service describes it.
        harmonised: The collection is one whose offset is taken off.
        cloud_score: Name a layer of Cloud Score+ too.

    Raises:
        CropflowError: If the image has no time.
    """
    properties = image.get("properties") or {}
    product = read_product_name(str(properties.get("PRODUCT_ID", "")))
    tile = str(properties.get("MGRS_TILE", "")) or _index(image).rpartition("_")[2]
    made = properties.get("GENERATION_TIME")
    offered = {band["id"] for band in image.get("bands", [])}
    layers = {name: native_band(name) for name in (*SENTINEL2_BANDS, SCL) if native_band(name) in offered}
    if cloud_score:
        layers[CLOUD_SCORE] = SCORE_BAND
    outline = _outline(image)
    return Scene(
        id=_index(image),
        time=_time(image),
        platform=str(properties.get("SPACECRAFT_NAME") or product.platform or "sentinel-2").lower(),
        tile=read_tile(tile),
        relative_orbit=int(properties.get("SENSING_ORBIT_NUMBER", product.relative_orbit)),
        baseline=read_baseline(str(properties.get("PROCESSING_BASELINE", ""))) or product.baseline,
        made=product.made if made is None else _from_milliseconds(float(made)).strftime("%Y%m%dT%H%M%S"),
        cloud_percent=float(properties.get("CLOUDY_PIXEL_PERCENTAGE", math.nan)),
        extent=outline,
        outline=outline,
        layers=layers,
        source=asset_id(image),
        radiometry=HARMONISED if harmonised else "",
    )


def is_of(sensor: Sensor, image: Mapping[str, Any]) -> bool:
    """Whether an image of Sentinel-1 was taken in the direction that is asked for."""
    direction = (image.get("properties") or {}).get("orbitProperties_pass", "")
    return sensor == f"sentinel1_{str(direction).lower()}"


def sentinel1_scene(image: Mapping[str, Any], sensor: Sensor, assumed_radiometry: str | None = None) -> Scene | str:
    """The record of an image of Sentinel-1 GRD, terrain-corrected: Google's is sigma0, in dB or as linear power.

    Args:
        image: As the service describes it.
        sensor: Of the direction in which it was taken.
        assumed_radiometry: Radiometry of collections that are not Google's own.

    Returns:
        The scene, or why it cannot be used, as ``kind: detail``.

    Raises:
        CropflowError: If the image has no time.
    """
    properties = image.get("properties") or {}
    mode = properties.get("instrumentMode")
    collection = asset_id(image).rpartition("/")[0]
    offered = {band["id"] for band in image.get("bands", [])}
    if mode != "IW":
        return f"mode: {mode}, not IW"
    if not offered.issuperset(POLARISATIONS):
        return f"polarisation: {', '.join(sorted(offered)) or 'none'}, not VV and VH"
    outline = _outline(image)
    return Scene(
        id=_index(image),
        time=_time(image),
        platform=f"sentinel-1{str(properties.get('platform_number', '')).lower()}",
        tile="",
        relative_orbit=int(properties.get("relativeOrbitNumber_start", -1)),
        baseline="",
        made="",
        cloud_percent=math.nan,
        extent=outline,
        outline=outline,
        layers={name: name for name in (*POLARISATIONS, ANGLE) if name in offered},
        source=asset_id(image),
        sensor=sensor,
        radiometry="sigma0" if collection in SIGMA0 else (assumed_radiometry or ""),
        unit="linear" if collection.endswith(LINEAR) else "dB",
    )


def native_band(name: str) -> str:
    """The name that Earth Engine gives a band of Sentinel-2: ``B2`` for ``B02``."""
    return name.replace("B0", "B")


def asset_id(image: Mapping[str, Any]) -> str:
    """The id of an image, without the project that keeps it."""
    return str(image.get("id") or str(image["name"]).partition("/assets/")[2])


def _index(image: Mapping[str, Any]) -> str:
    return asset_id(image).rpartition("/")[2]


def _time(image: Mapping[str, Any]) -> datetime.datetime:
    if "startTime" in image:
        return datetime.datetime.fromisoformat(str(image["startTime"]))
    milliseconds = (image.get("properties") or {}).get("system:time_start")
    if milliseconds is None:
        raise CropflowError(f"Image {asset_id(image)} has no start time. Check imagery.<name>.collections.")
    return _from_milliseconds(float(milliseconds))


def _from_milliseconds(value: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)


def _outline(image: Mapping[str, Any]) -> BaseGeometry | None:
    told = image.get("geometry") or (image.get("properties") or {}).get("system:footprint")
    if not told:
        return None
    found = shape(told)
    return shapely.make_valid(Polygon(found) if found.geom_type == "LinearRing" else found)
