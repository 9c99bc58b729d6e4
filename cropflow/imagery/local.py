"""Scenes on disk: item collections and SAFE products."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from cropflow.config.imagery import Sensor
from cropflow.imagery.items import find_items
from cropflow.imagery.safe import find_products
from cropflow.imagery.scenes import POLARISATIONS, SCL, Scene
from cropflow.imagery.sentinel1.items import find_radar_items
from cropflow.imagery.sources import Layer, Request
from cropflow.imagery.windows import read_layer, read_measure
from cropflow.regions.grid import Grid


class LocalSource:
    """A :class:`cropflow.imagery.sources.Source` of local files; nothing is fetched.

    Args:
        path: The item collection, the archive folder that holds one per satellite, or the folder of SAFE products.
        kind: Which of them.
        assumed_radiometry: Radiometry of Sentinel-1 records that do not tell theirs.
    """

    remote = False

    def __init__(self, path: Path, kind: Literal["items", "safe"], assumed_radiometry: str | None = None) -> None:
        self.path = path
        self.kind = kind
        self.assumed_radiometry = assumed_radiometry

    def find(
        self, sensor: Sensor, sites: Mapping[str, Grid], window: tuple[datetime.date, datetime.date]
    ) -> list[Scene]:
        """All scenes of a sensor in the files, whatever the sites and the window."""
        if sensor != "sentinel2":
            return find_radar_items(self.path, sensor, self.assumed_radiometry)
        return find_items(self.path) if self.kind == "items" else find_products(self.path)

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        """All layers at once: nothing is asked of a service."""
        size = (2 if scene.sensor == "sentinel2" else 4) * len(layers) * grid.height * grid.width
        return [Request(tuple(layers), 0, 0, grid.height, grid.width, size)]

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Read layers from their files."""
        return {name: read_file(scene, name, scene.layers[name], grid) for name in layers}


def read_file(scene: Scene, name: str, path: str, grid: Grid) -> Layer:
    """Read the layer of a scene from a local file on a grid, as what it is: reflectance, classes, power or dB."""
    if scene.sensor == "sentinel2":
        return read_layer(path, grid, categorical=name == SCL)
    return read_measure(path, grid, decibel=name in POLARISATIONS and scene.unit == "dB")
