"""A region and season as the rule `samples` left it: what patches, pixel sets and chips are cut from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.sections import SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster, write_cog
from cropflow.files.tables import read_table
from cropflow.samples.labels import BACKGROUND, IGNORE, NO_FOLD, UNKNOWN
from cropflow.samples.layers import Layers
from cropflow.samples.sensors import KINDS, Layout
from cropflow.samples.sight import Sight, can_be_learnt_from
from cropflow.samples.sources import WHOLE, Composites, SiteComposites

# What the samples of all kinds depend on: samples of other settings are refused.
SETTINGS = ("sensors", "legend", "background", "shuffle_crops", "minimum_dates")


@dataclass(frozen=True)
class SiteLayers:
    """The labels of a site, and which sensors see its pixels; arrays ``(y, x)``.

    Attributes:
        crops: Crop id, uint16; 65535 where a pixel is not to be learnt from.
        folds: Fold in which the pixel may be used, uint8; 255 = none.
        parcels: Parcel index, uint32; 0 = none.
        seen: Sensor -> True where it has a value on enough dates, bool.
        background: Whether crop 0 is learnt.
    """

    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    parcels: NDArray[np.uint32]
    seen: Mapping[str, NDArray[np.bool_]]
    background: bool

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Where training sees a target, a crop and a fold: bool, ``(y, x)``."""
        return has_target(self.crops, self.folds, self.background)


@dataclass(frozen=True)
class Place:
    """A region and season.

    Attributes:
        folder: The folder of the rule `samples`.
        parcels: Its ``parcels.parquet``, one row per site and parcel, in the order of sites and indexes.
        counts: Its ``summary.json``.
        composites: The composites of every sensor.
        settings: The sample set.
    """

    folder: Path
    parcels: pandas.DataFrame
    counts: Mapping[str, Any]
    composites: Composites
    settings: SampleSet

    def layers(self, site: str) -> SiteLayers:
        """Read the layers of a site.

        Raises:
            CropflowError: If the layers do not lie on the grid of the composites.
        """
        layers = read_layers(self.folder / site, self.settings)
        expected = self.composites.sites[site].shape
        if layers.crops.shape != expected:
            raise CropflowError(
                f"{self.folder / site}/crops.tif has {layers.crops.shape} pixels, the composites {expected}; expected "
                "one grid. Build the samples again."
            )
        return layers

    def about(self) -> dict[str, Any]:
        """What the JSON file of samples of any kind begins with."""
        settings = self.settings
        return {
            "sensors": [layout.told() for layout in self.composites.layouts],
            "legend": settings.legend,
            "background": settings.background,
            "shuffled_crops": settings.shuffle_crops,
            "minimum_dates": settings.minimum_dates,
        }


def read_place(folder: Path, composites: Composites, settings: SampleSet) -> Place:
    """Open the samples of a region and season.

    Args:
        folder: Folder of the rule `samples`.
        composites: The composites that it was made from.
        settings: The sample set.

    Raises:
        CropflowError: If there are none, they lack a site or hold another, or are of other settings.
    """
    if not (folder / "summary.json").is_file():
        raise CropflowError(f"{folder} holds no summary.json; expected the samples of a season. Run its samples rule.")
    counts: dict[str, Any] = read_json(folder / "summary.json")
    for key in SETTINGS:
        wanted = list(settings.sensors) if key == "sensors" else getattr(settings, key)
        if counts["set"][key] != wanted:
            raise CropflowError(
                f"The samples in {folder} were built with {key} {counts['set'][key]!r}; expected {wanted!r}. "
                "Build the samples again."
            )
    parcels = read_table(folder / "parcels.parquet")
    sites = {file.parent.name for file in folder.glob("*/seen.tif")}
    if sites != set(composites.sites):
        raise CropflowError(
            f"{folder} holds the sites {', '.join(sorted(sites))}; expected {', '.join(sorted(composites.sites))}. "
            "Build the samples again."
        )
    return Place(folder, parcels, counts, composites, settings)


def has_target(crops: NDArray[np.uint16], folds: NDArray[np.uint8], background: bool) -> NDArray[np.bool_]:
    """Where there is a crop to be learnt and a fold to use it in, bool, of the shape of both."""
    target = (crops < UNKNOWN) & ((crops != BACKGROUND) | background)
    return np.asarray(target & (folds != NO_FOLD))


def write_layers(layers: Layers, sight: Sight, folder: Path) -> None:
    """Write ``crops.tif``, ``parcels.tif``, ``folds.tif`` and ``seen.tif`` of a site."""
    folder.mkdir()
    write_cog(folder / "crops.tif", layers.crops, layers.grid, IGNORE, names=["crop"])
    write_cog(folder / "parcels.tif", layers.rasters.parcels, layers.grid, 0, names=["parcel"])
    write_cog(folder / "folds.tif", layers.folds, layers.grid, NO_FOLD, names=["fold"])
    seen = np.stack(list(sight.seen.values())).astype(np.uint8)
    write_cog(folder / "seen.tif", seen, layers.grid, None, names=list(sight.seen))


def read_layers(folder: Path, settings: SampleSet) -> SiteLayers:
    """Read what :func:`write_layers` wrote; pixels that are not seen enough are not to be learnt from.

    Args:
        folder: Folder of a site.
        settings: The sample set that the layers were made with.
    """
    crops, folds, parcels = (read_raster(folder / f"{name}.tif")[0][0] for name in ("crops", "folds", "parcels"))
    bands = read_raster(folder / "seen.tif")[0].astype(np.bool_)
    seen = dict(zip(settings.sensors, bands, strict=True))
    whole = can_be_learnt_from(seen, settings.minimum_dates is None)
    crops = np.where(whole, crops, IGNORE).astype(np.uint16)
    return SiteLayers(crops, folds, parcels, seen, settings.background)


@dataclass(frozen=True)
class Window:
    """The series of some rows and columns of a site.

    Attributes:
        values: Sensor -> as stored, ``(T, C, y, x)``.
        observations: Sensor -> uint8, ``(T, y, x)``.
        filled: Sensor -> bool, ``(T, y, x)``.
    """

    values: dict[str, NDArray[Any]]
    observations: dict[str, NDArray[np.uint8]]
    filled: dict[str, NDArray[np.bool_]]

    def part(self, name: str, sensor: str) -> NDArray[Any]:
        """One of its arrays by its name."""
        arrays: dict[str, NDArray[Any]] = getattr(self, name)
        return arrays[sensor]

    def valid(self, sensor: str) -> NDArray[np.bool_]:
        """True where a pixel has a value on a date, observed or filled, bool, ``(T, y, x)``."""
        return np.asarray((self.observations[sensor] > 0) | self.filled[sensor])


def read_window(
    composites: SiteComposites, layers: SiteLayers, settings: SampleSet, rows: slice, columns: slice = WHOLE
) -> Window:
    """Read a window of all sensors; a sensor that does not see a pixel often enough is nodata there.

    Where a set asks for every date, an incomplete pixel is no sample and remains as it is for its neighbours.

    Args:
        composites: The composites of a site.
        layers: Its layers.
        settings: The sample set.
        rows: Rows of the site.
        columns: Columns of the site.
    """
    window = Window(
        dict(composites.window(rows, columns).values),
        composites.counts("observations", rows, columns),
        composites.counts("filled", rows, columns),
    )
    if settings.minimum_dates is None:
        return window
    for sensor, seen in layers.seen.items():
        hidden = ~seen[rows, columns]
        window.values[sensor][..., hidden] = KINDS[sensor].nodata
        window.observations[sensor][..., hidden] = 0
        window.filled[sensor][..., hidden] = False
    return window


def megabytes(layouts: tuple[Layout, ...], pixels: int, counts: int = 1) -> float:
    """Size of the series of some pixels on disk, MB.

    Args:
        layouts: Axes of each sensor's series.
        pixels: Pixels of all samples.
        counts: Bytes per pixel and date beside the values: observations, filled.
    """
    each = sum(one.length * (len(one.bands) * np.dtype(one.kind.dtype).itemsize + counts) for one in layouts)
    return pixels * each / 1e6
