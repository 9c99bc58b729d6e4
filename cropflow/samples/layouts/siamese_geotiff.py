"""Patches of two sensors: ``s1/{1..T}/<name>.tif``, ``s2/{1..T}/<name>.tif``, ``crop_map/<name>.tif``.

A name begins with its area: ``<area>_rRR_cCC``. Patches of an area overlap, so an area is dealt out to folds whole.
Only part of the ground is labelled: pixels of the value 0 are unknown, unless the user knows better.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from cropflow.config.layouts import SiameseGeotiff
from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.legend import read_legend, read_table
from cropflow.samples.labels import BACKGROUND, IGNORE, UNKNOWN
from cropflow.samples.layouts.classes import Classes, read_classes
from cropflow.samples.layouts.fold_tables import folds_of, units_of, write_folds
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.opening import label_raster, open_samples, write_classes
from cropflow.samples.layouts.periods import months
from cropflow.samples.layouts.regions import number_regions
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import (
    DECIBEL,
    FULL,
    check_decibel,
    from_stored,
    judge_scale,
    to_backscatter,
    to_reflectance,
)  # fmt: skip
from cropflow.samples.sensors import KINDS, Layout

LEGEND = "eucropmap"
SENSORS = ("s1", "s2")
RADAR_BANDS = ("VV", "VH")
AREA = re.compile(r"(.+)_r\d+_c\d+")
# Patches whose values decide what a stored number means.
JUDGED = 8


def open_source(folder: Path, settings: SiameseGeotiff) -> Source:
    """Open the folders.

    Args:
        folder: Holds ``s1``, ``s2`` and ``crop_map``.
        settings: First month, bands, scale, classes, folds.

    Raises:
        CropflowError: If dates or names differ between the folders, values are scaled, a label has no crop, or there
            are fewer areas than folds.
    """
    names = sorted(file.stem for file in (folder / "crop_map").glob("*.tif"))
    dates = _dates(folder)
    for sensor, date in product(SENSORS, dates):
        _check_names(folder / sensor / date, names)
    bands = {"s1": RADAR_BANDS, "s2": settings.bands}
    some = {name: [_read_series(folder, name, patch, dates, bands[name]) for patch in names[:JUDGED]] for name in bands}
    check_decibel(some["s1"], "s1")
    scale = judge_scale(some["s2"], settings.scale, "s2")
    classes = _classes(settings)
    areas = {name: _area(name) for name in names}
    folds = assign_units(Counter(areas.values()), settings.folds, "areas")
    periods, size = months(settings.start, len(dates)), some["s2"][0].shape[-1]
    layouts = (
        Layout("sentinel2", settings.bands, (), periods),
        Layout(settings.radar, RADAR_BANDS, (), periods, settings.radiometry),
    )
    days = np.array(layouts[0].days, dtype=np.int64)
    unlabelled = UNKNOWN if settings.unlabelled == "unknown" else BACKGROUND

    def walk(tally: Tally) -> Iterator[Sample]:
        for name in names:
            tally.read += 1
            optical, radar = (_read_series(folder, sensor, name, dates, bands[sensor]) for sensor in ("s2", "s1"))
            codes = _read(folder / "crop_map" / f"{name}.tif", 1)[0]
            if {optical.shape[-2:], radar.shape[-2:], codes.shape} != {(size, size)}:
                tally.dropped["of another size"] += 1
                continue
            crops = _crops(codes, classes, settings, unlabelled)
            tally.found["unlabelled pixels"] += int((codes == 0).sum())
            series = {
                "sentinel2": Frames(to_reflectance(optical, scale, tally), days),
                settings.radar: Frames(to_backscatter(radar, tally), days),
            }
            yield Sample(areas[name], name, folds[areas[name]], series, crops, number_regions(crops))

    return Source(
        "patches", layouts, classes.legend, size, settings.folds.count, walk, "areas", settings.start.isoformat()
    )


def _area(name: str) -> str:
    """The area that a patch is named after."""
    told = AREA.fullmatch(name)
    return told[1] if told else name


def _dates(folder: Path) -> tuple[str, ...]:
    found = {
        sensor: sorted((entry.name for entry in (folder / sensor).glob("*") if entry.name.isdigit()), key=int)
        for sensor in SENSORS
    }
    if not found["s1"] or found["s1"] != found["s2"]:
        refuse(
            f"The dates of {folder}", " and ".join(f"{sensor}: {listing(dates)}" for sensor, dates in found.items()),
            "the same numbered folders in s1 and s2", verb="are",
        )  # fmt: skip
    return tuple(found["s1"])


def _check_names(folder: Path, names: list[str]) -> None:
    there = {file.stem for file in folder.glob("*.tif")}
    if not names or there != set(names):
        differing = sorted(there ^ set(names))
        raise CropflowError(
            f"{folder} and crop_map differ in {len(differing)} of their files, such as {listing(differing, 3)}; "
            "expected one of each name."
        )


def _classes(settings: SiameseGeotiff) -> Classes:
    if settings.crop is not None:
        legend = settings.legend or LEGEND
        crops = read_legend(legend)
        return Classes(legend, {"1": crops.id_of(settings.crop, crops.levels)}, "refuse")
    own = read_table(LEGEND, LEGEND) if settings.legend in (None, LEGEND) else {}
    return read_classes(settings, own)


def _crops(codes: NDArray[Any], classes: Classes, settings: SiameseGeotiff, unlabelled: int) -> NDArray[np.uint16]:
    whole = codes.astype(np.int64)
    marks = np.minimum(whole, 1) if settings.crop is not None else whole
    crops = np.full(codes.shape, unlabelled, dtype=np.uint16)
    labelled = whole > 0
    crops[labelled] = classes.raster(marks[labelled])
    return crops


def _read_series(
    folder: Path, sensor: str, name: str, dates: tuple[str, ...], bands: tuple[str, ...]
) -> NDArray[np.float64]:
    return np.stack([_read(folder / sensor / date / f"{name}.tif", len(bands)) for date in dates])


def _read(path: Path, bands: int) -> NDArray[np.float64]:
    """The bands of a GeoTIFF, NaN where it says nodata."""
    with warnings.catch_warnings():
        # Patches are used pixel by pixel; where they lie does not matter here.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as raster:
                if raster.count != bands:
                    refuse(f"The number of bands of {path}", raster.count, bands, "Name them in bands.")
                values: NDArray[np.float64] = raster.read(masked=True).astype(np.float64).filled(np.nan)
        except RasterioIOError as error:
            raise CropflowError(f"{path} cannot be read ({error}); expected a GeoTIFF.") from None
    return values


def write(folder: Path, output: Path, start: datetime.date | None) -> dict[str, int]:
    """Write patches of Sentinel-2 and one direction of Sentinel-1, of the same periods.

    Args:
        folder: Patches.
        output: Existing, empty folder.
        start: Not needed: the layout keeps no dates.

    Returns:
        Patches written, and pixels that are no crop, which become 0.

    Raises:
        CropflowError: If the samples are of another kind, lack a sensor, or the sensors differ in their periods.
    """
    samples = open_samples(folder, "patches")
    samples.need_sensors(tuple(KINDS), least=2)
    names = {layout.sensor: "s2" if layout.sensor == "sentinel2" else "s1" for layout in samples.layouts}
    lengths = {len(layout.periods) for layout in samples.layouts}
    if sorted(names.values()) != ["s1", "s2"] or len(lengths) != 1 or lengths == {0}:
        refuse(
            "The sensors of the samples", listing(names), "sentinel2 and one direction of Sentinel-1, as composites of "
            "the same periods", verb="are",
        )  # fmt: skip
    own = read_table(LEGEND, LEGEND)
    codes = write_classes(
        output / "classes.csv", samples, {code: id for code, id in own.items() if 0 < id < UNKNOWN}, LEGEND
    )
    crops = samples.array("crops")
    counts = Counter({"patches": len(crops)})
    folds = folds_of(samples)
    units = units_of(samples, folds)
    names_of = [
        str(row["patch_id"]) if "patch_id" in row else f"{unit}_r{row['row']:05d}_c{row['column']:05d}"
        for unit, row in zip(units, samples.table.to_dict("records"), strict=True)
    ]
    write_folds(output / "folds.csv", [_area(patch) for patch in names_of], folds)
    for number, patch in enumerate(names_of):
        labels = label_raster(crops[number], codes, ((UNKNOWN, 0), (IGNORE, 0)))
        counts["pixels without a crop"] += int((labels == 0).sum())
        _write(output / "crop_map" / f"{patch}.tif", labels[np.newaxis].astype(np.uint16), None)
        for sensor, name in names.items():
            stored = samples.array(f"{sensor}/values")[number]
            told = from_stored(stored, KINDS[sensor].nodata, FULL if name == "s2" else DECIBEL)
            for date, values in enumerate(told, start=1):
                _write(output / name / str(date) / f"{patch}.tif", values, np.nan)
    return dict(counts)


def _write(path: Path, values: NDArray[Any], nodata: float | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, rows, columns = values.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", width=columns, height=rows, count=bands, dtype=values.dtype.name,
            nodata=nodata, compress="deflate",
        ) as raster:  # fmt: skip
            raster.write(values)
