"""What every source of scenes can do: find them, say how a site is fetched, read a part of one."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from cropflow.config.imagery import Sensor
from cropflow.imagery.scenes import Scene
from cropflow.regions.grid import Grid


@dataclass(frozen=True)
class Layer:
    """A layer on the grid of a site or of a part of it.

    Attributes:
        values: ``(y, x)``. Sentinel-2 bands: stored values, uint16, 0 = nodata. SCL: uint16, 0 = nodata. Cloud Score+:
            uint16, percent, 255 = nodata. Sentinel-1 bands: as stored, float32, NaN = nodata. Incidence angle: float32,
            degrees, NaN = nodata.
        bytes: Size of the pixels read, uncompressed.
        resampled: True where the layer's own grid did not agree with the site's.
    """

    values: NDArray[Any]
    bytes: int
    resampled: bool


@dataclass(frozen=True)
class Request:
    """What is fetched of a service at once: some layers of a scene on a part of a site's grid.

    Attributes:
        layers: Names of the layers.
        row: First row of the part.
        column: First column of the part.
        height: Rows of the part.
        width: Columns of the part.
        bytes: Estimate of what is sent, bytes.
        calls: Estimate of how often the service is asked for it: where files are read by ranges, more than once.
    """

    layers: tuple[str, ...]
    row: int
    column: int
    height: int
    width: int
    bytes: int
    calls: int = 1


class Source(Protocol):
    """A place that scenes come from.

    Attributes:
        remote: True where reading asks a service: what it sends is then kept in a ledger.
    """

    remote: bool

    def find(
        self, sensor: Sensor, sites: Mapping[str, Grid], window: tuple[datetime.date, datetime.date]
    ) -> list[Scene]:
        """Find the scenes that may touch any of the sites within the window (both days inclusive, UTC).

        A source may find more than that: :func:`cropflow.imagery.catalog.judge_scenes` decides.

        Raises:
            CropflowError: If the source cannot be asked, or what it answers cannot be used.
        """

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        """Cut the layers of a scene on the grid of a site into requests; together they cover each layer once."""

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Read layers of a scene on a grid; nodata where the scene ends.

        The grid is a site's, or a part of it that :meth:`requests` named. Other grids of the same zone are shifted or
        repeated pixel by pixel, those of another zone read by nearest neighbour.

        Raises:
            CropflowError: If the answer is final: no account, a refusal, or pixels that cannot be used.
            GoneError: If the scene or the layer is not there any more.
            TransientError: If the service was asked as often as is reasonable and never answered.
        """
