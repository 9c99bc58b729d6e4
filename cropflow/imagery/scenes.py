"""What a scene is, whatever service or file its record comes from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from shapely.geometry.base import BaseGeometry

SCL = "SCL"
# Layers of Sentinel-1: the two polarisations that every scene must have, and the angle of incidence to the ellipsoid.
POLARISATIONS = ("VV", "VH")
ANGLE = "angle"
# Cloud Score+ of Earth Engine.
CLOUD_SCORE = "cloud_score"
# The radiometry of Sentinel-2 scenes without an offset, whatever their baseline.
HARMONISED = "harmonised"


@dataclass(frozen=True)
class Scene:
    """One acquisition of one tile or frame, as its provider describes it.

    Attributes:
        id: Name of the scene.
        time: Sensing time, UTC.
        platform: Such as ``sentinel-2a``; ``sentinel-2`` where the record does not tell which.
        tile: MGRS tile without the leading T; empty where unknown, and for Sentinel-1.
        relative_orbit: 1..143 (Sentinel-2) or 1..175 (Sentinel-1), -1 where unknown.
        baseline: Processing baseline such as ``05.10``; empty where the record carries none.
        made: Time of processing, ISO 8601, for choosing the newer of two; empty where unknown.
        cloud_percent: Cloud share of the tile by its metadata, percent; NaN where unknown.
        extent: Where its rasters may hold pixels, EPSG:4326; None where unknown.
        outline: Ground that was seen, EPSG:4326, as coarse as the provider draws it; None where unknown.
        layers: Band, ``SCL`` or ``angle`` -> where its raster is: a path, an address without signature, or the name of
            a band of an Earth Engine asset.
        source: Where the record comes from, relative to the source; no two scenes of a source share it.
        sensor: ``sentinel2``, ``sentinel1_ascending`` or ``sentinel1_descending``.
        radiometry: Sentinel-1: ``sigma0`` or ``gamma0``; empty where the record does not tell. Sentinel-2:
            ``harmonised`` where the collection is one whose provider took the offset off, else empty.
        unit: Sentinel-1: ``dB`` or ``linear``, of the stored values; empty for Sentinel-2.
    """

    id: str
    time: datetime.datetime
    platform: str
    tile: str
    relative_orbit: int
    baseline: str
    made: str
    cloud_percent: float
    extent: BaseGeometry | None = field(compare=False)
    outline: BaseGeometry | None = field(compare=False)
    layers: Mapping[str, str] = field(compare=False)
    source: str
    sensor: str = "sentinel2"
    radiometry: str = ""
    unit: str = ""

    @property
    def stamp(self) -> str:
        """Sensing time to the second, ISO 8601 with Z."""
        return self.time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
