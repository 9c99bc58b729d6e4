"""Sentinel-1 and Sentinel-2 from Google Earth Engine: scenes by lists of images, pixels part by part."""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from cropflow.config.imagery import BANDS_10M, Imagery, Sensor
from cropflow.files.remote import GoneError, Limits
from cropflow.imagery.earth_engine.pixels import PixelReader, as_integers, on_grid
from cropflow.imagery.earth_engine.records import (
    asset_id,
    is_of,
    list_images,
    search_boxes,
    sentinel1_scene,
    sentinel2_scene,
)
from cropflow.imagery.earth_engine.requests import Sent, plan_requests
from cropflow.imagery.scenes import ANGLE, CLOUD_SCORE, SCL, Scene
from cropflow.imagery.sources import Layer, Request
from cropflow.regions.grid import Grid, snapped_grid
from cropflow.regions.sites import footprint

LOG = logging.getLogger(__name__)

SENTINEL2 = "COPERNICUS/S2_SR_HARMONIZED"
SENTINEL1 = "COPERNICUS/S1_GRD"
CLOUD_SCORES = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
# Collections whose offset Google takes off end so.
WITHOUT_OFFSET = "_HARMONIZED"
UNKNOWN_SCORE = 255


@dataclass(frozen=True)
class _Group:
    """Layers that one request brings: of one image, on pixels of one size.

    Attributes:
        asset: Id of the image.
        layers: Layer -> how it is sent.
        pixel_m: Size of the pixels that are asked for, metres.
        resampled: True where the layers' own grid does not, or need not, agree with the pixels asked for.
    """

    asset: str
    layers: Mapping[str, Sent]
    pixel_m: float
    resampled: bool


class EarthEngineSource:
    """A :class:`cropflow.imagery.sources.Source` of Earth Engine's archives.

    Sentinel-2 tiles begin at multiples of 20 m in their zone, so their pixels come as they are: bands of 20 m and the
    SCL on the grid of 20 m that covers a part, repeated here, half of the bytes that the site's grid would take. Tiles
    of another zone, and Sentinel-1, whose images lie on grids of their own, come by nearest neighbour.

    Args:
        settings: Entry of imagery.
        limits: Requests in flight and a second, of all calls to the service.
    """

    remote = True

    def __init__(self, settings: Imagery, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._pixels = PixelReader(limits)

    def find(
        self, sensor: Sensor, sites: Mapping[str, Grid], window: tuple[datetime.date, datetime.date]
    ) -> list[Scene]:
        """List the images that touch a site within the window, in order of time and id."""
        if sensor == "sentinel2":
            collection = self._settings.collections.get("sentinel2", SENTINEL2)
        else:
            collection = self._settings.collections.get("sentinel1", SENTINEL1)
        outlines = [footprint(grid) for grid in sites.values()]
        found: dict[str, Scene | str] = {}
        boxes = search_boxes(outlines)
        for box in boxes:
            for image in list_images(collection, box, window, self._limits):
                if sensor != "sentinel2" and not is_of(sensor, image):
                    continue
                found.setdefault(asset_id(image), self._scene(image, sensor, collection))
        scenes = [one for one in found.values() if isinstance(one, Scene)]
        refused = Counter(one for one in found.values() if isinstance(one, str))
        for reason, count in sorted(refused.items()):
            LOG.warning("%d of %d images of %s cannot be used: %s", count, len(found), collection, reason)
        kept = _within(scenes, outlines, window)
        LOG.info(
            "%s: %d images listed for %d boxes around %d sites, %d of them over a site from %s to %s",
            collection, len(found), len(boxes), len(sites), len(kept), *window,
        )  # fmt: skip
        return sorted(kept, key=lambda scene: (scene.time, scene.id))

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        """Cut the layers of a scene on the grid of a site into requests."""
        return [
            request
            for group in _groups(scene, grid, layers)
            for request in plan_requests(group.layers, grid.height, grid.width)
        ]

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Read layers of a scene on the grid of a site or of a part of it, in as many requests as planned.

        Masked pixels come as 0, so that a 0 cannot be told from them; what that means depends on the layer. Reflectance
        and classes: nodata. Sentinel-1: nodata where both polarisations asked for are exactly 0 dB. Cloud Score+: 0,
        cloud; where the image has no score, 255.
        """
        found: dict[str, Layer] = {}
        for group in _groups(scene, grid, layers):
            found |= self._read_group(scene, group, grid)
        return {name: found[name] for name in layers}

    def _scene(self, image: Mapping[str, object], sensor: Sensor, collection: str) -> Scene | str:
        if sensor != "sentinel2":
            return sentinel1_scene(image, sensor, self._settings.assume_radiometry)
        return sentinel2_scene(
            image, harmonised=collection.endswith(WITHOUT_OFFSET), cloud_score=self._settings.cloud_score
        )

    def _read_group(self, scene: Scene, group: _Group, grid: Grid) -> dict[str, Layer]:
        whole: dict[str, Layer] = {}
        for request in plan_requests(group.layers, grid.height, grid.width):
            part = grid.window(request.row, request.column, request.height, request.width)
            for name, layer in self._read_part(scene, group, request.layers, part).items():
                if part.shape == grid.shape:
                    whole[name] = layer
                    continue
                known = whole.setdefault(name, Layer(np.zeros(grid.shape, layer.values.dtype), 0, layer.resampled))
                rows = slice(request.row, request.row + request.height)
                known.values[rows, request.column : request.column + request.width] = layer.values
                whole[name] = Layer(known.values, known.bytes + layer.bytes, layer.resampled)
        return whole

    def _read_part(self, scene: Scene, group: _Group, layers: Sequence[str], part: Grid) -> dict[str, Layer]:
        cover = part if group.pixel_m == part.pixel_m else snapped_grid(part.bounds, part.epsg, group.pixel_m)
        bands = [scene.layers[name] for name in layers]
        try:
            sent = self._pixels.read(group.asset, bands, cover)
        except GoneError:
            if layers[0] != CLOUD_SCORE:
                raise
            LOG.warning("scene %s has no Cloud Score+; its cloud_score is %d, unknown", scene.id, UNKNOWN_SCORE)
            return {CLOUD_SCORE: Layer(np.full(part.shape, UNKNOWN_SCORE, np.uint16), 0, group.resampled)}
        sizes = {name: sent[scene.layers[name]].nbytes for name in layers}
        values: Mapping[str, NDArray[Any]]
        if scene.sensor != "sentinel2":
            values = _measures({name: sent[scene.layers[name]] for name in layers})
        elif layers[0] == CLOUD_SCORE:
            values = {CLOUD_SCORE: np.rint(100 * np.clip(sent[bands[0]], 0, 1)).astype(np.uint16)}
        else:
            values = {name: as_integers(sent[scene.layers[name]], group.asset, scene.layers[name]) for name in layers}
        return {
            name: Layer(
                on_grid(
                    values[name],
                    cover,
                    part,
                    categorical=name in (SCL, CLOUD_SCORE, ANGLE),
                    decibel=scene.unit != "linear",
                ),
                sizes[name],
                group.resampled,
            )
            for name in layers
        }


def _within(
    scenes: Iterable[Scene], outlines: Sequence[shapely.Geometry], window: tuple[datetime.date, datetime.date]
) -> list[Scene]:
    """The scenes of the window that touch an outline; the service was asked for somewhat more."""
    tree = shapely.STRtree(outlines)
    return [
        scene
        for scene in scenes
        if window[0] <= scene.time.astimezone(datetime.UTC).date() <= window[1]
        and (scene.extent is None or len(tree.query(scene.extent, predicate="intersects")))
    ]


def _groups(scene: Scene, grid: Grid, layers: Sequence[str]) -> list[_Group]:
    """Layers by the requests that bring them."""
    if scene.sensor != "sentinel2":
        # Backscatter is stored in double precision, the angle in single; an image's own grid is not known here.
        sizes = {name: Sent(4 if name == ANGLE else 8, (grid.pixel_m / 10) ** 2) for name in layers}
        return [_Group(scene.source, sizes, 10.0, resampled=True)]
    scores = [name for name in layers if name == CLOUD_SCORE]
    bands = [name for name in layers if name != CLOUD_SCORE]
    groups: list[tuple[str, list[str], float, bool]] = []
    if _zone(scene.tile) != grid.epsg:
        groups.append((scene.source, bands, grid.pixel_m, True))
        groups.append((f"{CLOUD_SCORES}/{scene.id}", scores, grid.pixel_m, True))
    else:
        groups.append((scene.source, [name for name in bands if name in BANDS_10M], 10.0, False))
        groups.append((scene.source, [name for name in bands if name not in BANDS_10M], 20.0, False))
        groups.append((f"{CLOUD_SCORES}/{scene.id}", scores, 10.0, False))
    return [
        _Group(asset, {name: _sent(name, grid.pixel_m, pixel_m) for name in names}, pixel_m, resampled)
        for asset, names, pixel_m, resampled in groups
        if names
    ]


def _sent(name: str, grid_m: float, pixel_m: float) -> Sent:
    # A score is a fraction in double precision.
    return Sent({SCL: 1, CLOUD_SCORE: 8}.get(name, 2), (grid_m / pixel_m) ** 2)


def _zone(tile: str) -> int:
    """EPSG code of the UTM zone of an MGRS tile such as ``31TEJ``; 0 where the tile is unknown."""
    return 0 if not tile else (32600 if tile[2] >= "N" else 32700) + int(tile[:2])


def _measures(sent: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Backscatter and angle with NaN where they are masked.

    Exactly 0, dB or power, in both polarisations at once is no backscatter, and an angle of 0 is none.
    """
    masked = np.logical_and.reduce([values == 0 for name, values in sent.items() if name != ANGLE] or [np.False_])
    found = {}
    for name, values in sent.items():
        nothing = ~np.isfinite(values) | ((values == 0) if name == ANGLE else masked)
        found[name] = np.where(nothing, np.float32(np.nan), values.astype(np.float32))
    return found
