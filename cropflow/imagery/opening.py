"""The source that an entry of the config names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cropflow.config.imagery import Imagery, Sensor
from cropflow.errors import CropflowError
from cropflow.files.remote import Limits
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Source


def asks_service(settings: Imagery) -> bool:
    """Whether scenes come from a service and not from local files."""
    return settings.source in ("stac", "earth_engine")


def open_source(settings: Imagery, place: Path | None, limits: Limits) -> Source:
    """Open a source of scenes; the client of a service is imported only where it is asked for.

    Args:
        settings: Entry of imagery.
        place: Local file or folder of scenes; None where a service is asked.
        limits: Requests in flight and a second, of all calls to the service.

    Raises:
        CropflowError: If the local files are missing, or the service refuses.
    """
    if settings.source == "stac":
        from cropflow.imagery.stac.source import StacSource

        return StacSource(settings, limits)
    if settings.source == "earth_engine":
        from cropflow.imagery.earth_engine.source import EarthEngineSource

        return EarthEngineSource(settings, limits)
    from cropflow.imagery.local import LocalSource

    if place is None:
        raise CropflowError(f"--source is missing; source {settings.source} reads local files. Name their place.")
    if not place.exists():
        raise CropflowError(f"{place} is missing; expected the source of the scenes. Check imagery.<name>.path.")
    return LocalSource(place, "items" if settings.source == "items" else "safe", settings.assume_radiometry)


def local_files(settings: Imagery, sensor: Sensor, place: Path | None, scenes: Iterable[Scene]) -> dict[str, Path]:
    """Role -> local file that stands for the scenes read, for manifests; none where a service is asked.

    Pixels are hashed in the catalogue; hashing whole archives again would cost more than reading the sites.
    """
    if place is None:
        return {}
    if settings.source == "items":
        from cropflow.imagery.items import items_file
        from cropflow.imagery.sentinel1.items import radar_file

        return {"items": items_file(place) if sensor == "sentinel2" else radar_file(place)}
    from cropflow.imagery.safe import METADATA

    products = sorted({scene.source.partition("/GRANULE/")[0] for scene in scenes})
    return {f"product {name}": place / name / METADATA for name in products}
