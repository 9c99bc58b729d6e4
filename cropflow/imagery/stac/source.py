"""Scenes of a STAC service: found by its search, read by the ranges of its files that a site needs."""

from __future__ import annotations

import datetime
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import rasterio
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from cropflow.config.imagery import BANDS_10M, Family, Imagery, Sensor
from cropflow.errors import CropflowError
from cropflow.files.remote import Limits, TransientError, UnreachableError
from cropflow.imagery.items import Item, item_scene
from cropflow.imagery.local import read_file
from cropflow.imagery.scenes import SCL, Scene
from cropflow.imagery.sentinel1.items import usable_scenes
from cropflow.imagery.sources import Layer, Request
from cropflow.imagery.stac.providers import find_provider
from cropflow.imagery.stac.search import search_items
from cropflow.imagery.stac.sparse import HEAD, SparseFiles
from cropflow.imagery.stac.web import Web
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint

LOG = logging.getLogger(__name__)

# GDAL looks for no other files beside the local copy, and writes none.
ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
# Pixels more on each side of a site whose grid is another one: GDAL looks that far where it looks for the nearest.
MARGIN = 12
# Of a pixel: edges this close to a pixel's edge lie on it.
SLACK = 1e-3
# Bytes a pixel in the files of the services: of 16 recorded records of Earth Search, bands take 1.9 (median), the
# scene classes 0.1; radar is float32, and hardly compresses.
BAND_BYTES, CLASS_BYTES, RADAR_BYTES = 1.9, 0.1, 3.5
# Wrong for many scenes of Earth Search.
FLAG = "earthsearch:boa_offset_applied"
# Side of the blocks of which the usual files are made, pixels; those at a window's rim are fetched whole.
BLOCK = 512
# Pixel size of Sentinel-2's JPEG 2000 files -> side of their blocks, pixels, and how many there are: where one lies is
# told by the one before it.
JPEG_2000 = {10.0: (1024, 121), 20.0: (640, 81)}


class StacSource:
    """A :class:`cropflow.imagery.sources.Source` of a STAC API, or of an item collection behind an address.

    Pixels are read from GeoTIFFs (COGs, for few requests) and JPEG 2000 files: their directory first, then the blocks
    that the site touches. Addresses are signed as they are read; scenes keep them unsigned.

    Args:
        settings: Entry of imagery with ``provider`` or ``url``.
        limits: Requests in flight and a second, of everything that is asked of the service.
    """

    remote = True

    def __init__(self, settings: Imagery, limits: Limits) -> None:
        self._settings = settings
        self._provider = find_provider(settings)
        self._web = Web(limits, settings.requests_at_once)
        self._signer = self._provider.signer(self._web)
        self._files = SparseFiles(self._web, self._signer)

    def find(
        self, sensor: Sensor, sites: Mapping[str, Grid], window: tuple[datetime.date, datetime.date]
    ) -> list[Scene]:
        """Find the scenes whose records say that they touch a site within the window.

        Raises:
            CropflowError: If the service cannot be asked, has no such collection, or its records cannot be used.
        """
        family: Family = "sentinel2" if sensor == "sentinel2" else "sentinel1"
        collection = self._provider.collection(family)
        outlines = [footprint(grid) for _, grid in sorted(sites.items())]
        try:
            items = search_items(self._web, self._provider.url, collection, outlines, window)
        except UnreachableError as error:
            place = "imagery.<name>.url and the network" if self._settings.url else "the network"
            raise CropflowError(
                f"{self._provider.name} cannot be reached ({error}). Check {place}, its proxy included."
            ) from None
        except TransientError as error:
            raise CropflowError(
                f"{self._provider.name} did not answer the search ({error}). Run the same command again later, or "
                "lower imagery.<name>.requests_per_second."
            ) from None
        items = [self._provider.readable(item) for item in items]
        LOG.info("%s: %d items of %s", self._provider.name, len(items), collection)
        url = self._provider.url
        if sensor == "sentinel2":
            _tell_flags(items)
            return [item_scene(item, url, f"{collection}/{item['id']}") for item in items]
        scenes = usable_scenes(items, url, self._settings.assume_radiometry)
        return [scene for scene in scenes if scene.sensor == sensor]

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        """One per layer: each is a file of its own, whose directory is asked for, then each row of its blocks."""
        return [_request(scene, name, grid) for name in layers]

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Fetch the blocks of some layers that a site touches, and read them on its grid.

        Raises:
            CropflowError: If the service refuses, or what it sends is no raster.
            GoneError: If a file is not there any more.
            TransientError: If the service never answered.
        """
        with rasterio.Env(**ALONE):
            return {name: self._read(scene, name, grid) for name in layers}

    def _read(self, scene: Scene, name: str, grid: Grid) -> Layer:
        with self._files.opened(scene.layers[name]) as (file, blocks):
            path = str(file.path)
            try:
                with rasterio.open(path) as raster:
                    window = _pixel_window(raster, grid)
            except RasterioError:
                window = None  # told in full where it is read
            if window is not None:
                file.fetch(blocks.of_window(*window))
            try:
                return read_file(scene, name, path, grid)
            except CropflowError as error:
                # The local copy has a name that says nothing.
                raise CropflowError(str(error).replace(path, file.name)) from None


def _tell_flags(items: Sequence[Item]) -> None:
    """Log what a provider says of the offset of its values, which nothing else looks at."""
    told = Counter(bool(item["properties"][FLAG]) for item in items if FLAG in item["properties"])
    if told:
        LOG.info(
            "%s is true for %d and false for %d of %d scenes; baselines and pixels decide, not the flag",
            FLAG, told[True], told[False], len(items),
        )  # fmt: skip


def _request(scene: Scene, layer: str, grid: Grid) -> Request:
    """A layer on a grid: whole blocks, half a block beyond each edge on average, and the directory."""
    if scene.sensor != "sentinel2":
        pixel_m, size = 10.0, RADAR_BYTES
    else:
        pixel_m, size = (10.0 if layer in BANDS_10M else 20.0), CLASS_BYTES if layer == SCL else BAND_BYTES
    block, heads = JPEG_2000[pixel_m] if scene.layers[layer].lower().endswith(".jp2") else (BLOCK, 1)
    height, width = (count * grid.pixel_m / pixel_m + block for count in grid.shape)
    sent = round(height * width * size) + HEAD
    return Request((layer,), 0, 0, grid.height, grid.width, sent, calls=heads + round(height / block))


def _pixel_window(raster: rasterio.DatasetReader, grid: Grid) -> tuple[int, int, int, int] | None:
    """Row, column, height and width of the pixels of a raster that a grid touches; None where it has no place."""
    if raster.crs is None:
        return None
    own = rasterio.CRS.from_epsg(grid.epsg)
    bounds = grid.bounds if raster.crs == own else transform_bounds(own, raster.crs, *grid.bounds)
    inverse = ~raster.transform
    corners = [inverse @ (x, y) for x in (bounds[0], bounds[2]) for y in (bounds[1], bounds[3])]
    columns, rows = zip(*corners, strict=True)
    # Pixels of 20 m may begin in the middle of a pixel of 10 m; all other grids are read by nearest neighbour.
    halves = [2 * place for place in (*columns, *rows)]
    exact = raster.crs == own and all(abs(place - round(place)) < SLACK for place in halves)
    margin = 0 if exact else MARGIN
    left, top = (math.floor(min(places) + SLACK) - margin for places in (columns, rows))
    right, bottom = (math.ceil(max(places) - SLACK) + margin for places in (columns, rows))
    return top, left, bottom - top, right - left
