"""PASTIS and PASTIS-R: ``DATA_S2/S2_<id>.npy``, ``ANNOTATIONS/TARGET_<id>.npy``, ``metadata.geojson``; read only.

The published folds 1 to 5 become 0 to 4; the void label 19 is not learnt from and not scored, 0 is background.
Sentinel-1 (``DATA_S1A``, ``DATA_S1D``) holds VV, VH and their ratio, which follows from the two and is not read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import Pastis
from cropflow.errors import CropflowError, refuse
from cropflow.files.atomic import read_json
from cropflow.samples.labels import BACKGROUND, IGNORE, UNKNOWN
from cropflow.samples.layouts.classes import Classes, read_classes
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.parcel_files import JUDGED
from cropflow.samples.layouts.regions import number_regions
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import check_decibel, judge_scale, to_backscatter, to_reflectance
from cropflow.samples.sensors import Layout

NAMES = {"sentinel2": "S2", "sentinel1_ascending": "S1A", "sentinel1_descending": "S1D"}
RADAR_BANDS = ("VV", "VH")
VOID = 19
OWN = {str(code): code for code in range(1, VOID)}
FOLDS = 5


def open_source(folder: Path, settings: Pastis) -> Source:
    """Open the data.

    Args:
        folder: Holds ``metadata.geojson``, ``DATA_*`` and ``ANNOTATIONS``.
        settings: Sensors, bands, scale, day 0, legend and classes.

    Raises:
        CropflowError: If a file is missing or of other axes, values are no reflectance or dB, or a label has no crop.
    """
    patches = _metadata(folder / "metadata.geojson")
    classes = read_classes(settings, OWN)
    days = {
        sensor: {id: _days(told, sensor, settings.start) for id, told in patches.items()} for sensor in settings.sensors
    }
    if settings.folds.table is None and settings.folds.count != FOLDS:
        refuse("folds.count", settings.folds.count, f"{FOLDS}, as published", "Give folds.table for other folds.")
    if settings.folds.table is not None:
        folds = assign_units(dict.fromkeys(patches, 1), settings.folds, "patches")
        count = settings.folds.count
    else:
        folds, count = {id: _fold(told, id) for id, told in patches.items()}, FOLDS
    bands = {sensor: settings.bands if sensor == "sentinel2" else RADAR_BANDS for sensor in settings.sensors}
    scale = 1.0
    for sensor in settings.sensors:
        some = (_series(folder, sensor, id, len(bands[sensor])) for id in islice(patches, JUDGED))
        if sensor == "sentinel2":
            scale = judge_scale(some, settings.scale, "DATA_S2")
        else:
            check_decibel(some, f"DATA_{NAMES[sensor]}")
    size = _series(folder, settings.sensors[0], next(iter(patches)), len(bands[settings.sensors[0]])).shape[-1]

    def walk(tally: Tally) -> Iterator[Sample]:
        for id, told in patches.items():
            tally.read += 1
            series: dict[str, Frames] = {}
            for sensor in settings.sensors:
                values = _series(folder, sensor, id, len(bands[sensor]))
                found = days[sensor][id]
                if len(values) != len(found):
                    raise CropflowError(f"Patch {id} has {len(values)} dates of {sensor}, its metadata {len(found)}.")
                optical = sensor == "sentinel2"
                stored = to_reflectance(values, scale, tally) if optical else to_backscatter(values, tally)
                order = np.argsort(found, kind="stable")
                series[sensor] = Frames(stored[order], found[order])
            crops = _crops(folder, id, classes, settings.background)
            tally.found["void pixels"] += int((crops == IGNORE).sum())
            parcels = folder / "ANNOTATIONS" / f"ParcelIDs_{id}.npy"
            numbers = _array(parcels).astype(np.uint32) if parcels.is_file() else number_regions(crops)
            yield Sample(str(told.get("TILE", "pastis")), id, folds[id], series, crops, numbers)

    layouts = tuple(
        Layout(
            sensor, bands[sensor], (), (), "" if sensor == "sentinel2" else settings.radiometry,
            max(map(len, days[sensor].values())),
        )
        for sensor in settings.sensors
    )  # fmt: skip
    start = settings.start.isoformat()
    return Source("patches", layouts, classes.legend, size, count, walk, "published folds", start)


def _metadata(path: Path) -> dict[str, dict[str, Any]]:
    content = read_json(path) if path.is_file() else None
    features = content.get("features") if isinstance(content, dict) else None
    if not features:
        raise CropflowError(f"{path} is missing or lists no patch; expected the metadata.geojson of PASTIS.")
    found = [feature["properties"] for feature in features]
    if any("ID_PATCH" not in told for told in found):
        raise CropflowError(f"A patch of {path} has no ID_PATCH; expected the metadata.geojson of PASTIS.")
    return {str(told["ID_PATCH"]): told for told in sorted(found, key=lambda told: int(told["ID_PATCH"]))}


def _days(told: dict[str, Any], sensor: str, start: datetime.date) -> NDArray[np.int64]:
    dates = told.get(f"dates-{NAMES[sensor]}")
    if not isinstance(dates, dict):
        refuse(f"dates-{NAMES[sensor]} of patch {told['ID_PATCH']}", dates, "position -> YYYYMMDD")
    found = [datetime.datetime.strptime(str(dates[at]), "%Y%m%d").date() for at in sorted(dates, key=int)]
    return np.array([(date - start).days for date in found], dtype=np.int64)


def _fold(told: dict[str, Any], id: str) -> int:
    fold = told.get("Fold")
    if not isinstance(fold, int) or not 1 <= fold <= FOLDS:
        refuse(f"Fold of patch {id}", fold, f"1 to {FOLDS}", "Give folds.table with unit,fold by patch otherwise.")
    return fold - 1


def _array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, FileNotFoundError) as error:
        raise CropflowError(f"{path} is missing or no array of numbers ({error}).") from None
    return values


def _series(folder: Path, sensor: str, id: str, bands: int) -> NDArray[Any]:
    path = folder / f"DATA_{NAMES[sensor]}" / f"{NAMES[sensor]}_{id}.npy"
    values = _array(path)
    # The third band of radar is the ratio of the other two.
    expected = bands if sensor == "sentinel2" else bands + 1
    if values.ndim != 4 or values.shape[1] != expected or values.shape[2] != values.shape[3]:
        refuse(f"The axes of {path}", values.shape, f"dates x {expected} bands x rows x columns", verb="are")
    return values[:, :bands]


def _crops(folder: Path, id: str, classes: Classes, background: bool) -> NDArray[np.uint16]:
    target = _array(folder / "ANNOTATIONS" / f"TARGET_{id}.npy")
    semantic = (target[0] if target.ndim == 3 else target).astype(np.int64)
    crops = np.full(semantic.shape, BACKGROUND if background else UNKNOWN, dtype=np.uint16)
    crops[semantic == VOID] = IGNORE
    labelled = (semantic != 0) & (semantic != VOID)
    crops[labelled] = classes.raster(semantic[labelled])
    return crops
