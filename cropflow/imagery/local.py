"""Scenes on disk: item collections and SAFE products."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from cropflow.config.imagery import Sensor
from cropflow.imagery.items import find_items
from cropflow.imagery.safe import find_products
from cropflow.imagery.scenes import SCL, Scene
from cropflow.imagery.sources import Layer, Request
from cropflow.imagery.windows import read_layer
from cropflow.regions.grid import Grid


class LocalSource:
    """A :class:`cropflow.imagery.sources.Source` of local files; nothing is fetched.

    Args:
        path: The item collection, the archive folder that holds one, or the folder of SAFE products.
        kind: Which of them.
    """

    remote = False

    def __init__(self, path: Path, kind: Literal["items", "safe"]) -> None:
        self.path = path
        self.kind = kind

    def find(
        self, sensor: Sensor, sites: Mapping[str, Grid], window: tuple[datetime.date, datetime.date]
    ) -> list[Scene]:
        """All scenes of the files, whatever the sites and the window."""
        return find_items(self.path) if self.kind == "items" else find_products(self.path)

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        """All layers at once: nothing is asked of a service."""
        return [Request(tuple(layers), 0, 0, grid.height, grid.width, 2 * len(layers) * grid.height * grid.width)]

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Read layers from their files."""
        return {name: read_layer(scene.layers[name], grid, categorical=name == SCL) for name in layers}
