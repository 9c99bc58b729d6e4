"""ZueriCrop: one HDF5 file with ``data``, ``gt``, ``gt_instance``, ``cloud_cover``, and a ``labels.csv``; read only.

Labels are looked up by the names in ``labels.csv`` and carry the ids of the legend: an added row renumbers nothing.
Codes that are no vegetation, or have no name of the finest level, are unknown. Folds are runs of consecutive patches,
as published; pixels of a field that reaches into another fold are in none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import Zuericrop
from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.legend import read_legend
from cropflow.labels.rows import read_rows
from cropflow.samples.labels import UNKNOWN
from cropflow.samples.layouts.classes import Classes, read_classes
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.hdf5 import find_file, open_arrays
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import judge_scale, to_reflectance
from cropflow.samples.sensors import Layout

NAMES = ("data", "gt", "gt_instance")
COLUMNS = ("GT", "1st_tier", "4th_tier_ENG")
JUDGED = 8
# Patches whose fields are read at once.
AT_ONCE = 256


def open_source(folder: Path, settings: Zuericrop) -> Source:
    """Open the file.

    Args:
        folder: The HDF5 file, or a folder that holds one.
        settings: Bands, labels.csv, first and last date, every n-th date, clouds, folds.

    Raises:
        CropflowError: If an array is missing or of other axes, a name is not in the legend, or values are no
            reflectance.
    """
    path = find_file(folder)
    names = (*NAMES, "cloud_cover") if settings.maximum_cloud is not None else NAMES
    bands = len(settings.bands)
    with open_arrays(path, names) as file:
        shape = file["data"].shape
        if len(shape) != 5 or shape[4] < bands or shape[2] != shape[3]:
            refuse(f"data of {path.name}", shape, f"patches x dates x rows x columns x at least {bands} bands")
        chosen = np.arange(0, shape[1], settings.every)
        some = [_values(file, number, chosen, bands) for number in range(min(JUDGED, shape[0]))]
        runs = _runs(shape[0], settings)
        several = _fields_of_several(file["gt_instance"], runs)
    scale = judge_scale(some, settings.scale, f"data of {path.name}")
    classes = read_classes(settings, _own(Path(settings.labels), settings))
    if settings.end <= settings.start:
        refuse("end of the settings", settings.end.isoformat(), f"a day after start {settings.start}")
    spread = np.linspace(0, (settings.end - settings.start).days, shape[1])
    days = np.rint(spread[chosen]).astype(np.int64)

    def walk(tally: Tally) -> Iterator[Sample]:
        with open_arrays(path, names) as file:
            for number in range(shape[0]):
                tally.read += 1
                values = to_reflectance(_values(file, number, chosen, bands), scale, tally)
                if settings.maximum_cloud is not None:
                    cloudy = file["cloud_cover"][number][chosen] >= settings.maximum_cloud
                    tally.found["cloudy values hidden"] += int(cloudy.sum())
                    values = np.where(cloudy[:, np.newaxis], 0, values).astype(np.uint16)
                instances = _flat(file["gt_instance"][number])
                barred = np.isin(instances, several)
                tally.found["pixels of fields in several folds"] += int(barred.sum())
                yield Sample(
                    f"run-{runs[number]}", str(number), int(runs[number]), {"sentinel2": Frames(values, days)},
                    _crops(_flat(file["gt"][number]), classes), instances.astype(np.uint32),
                    barred,
                )  # fmt: skip

    layout = Layout("sentinel2", settings.bands, (), (), longest=len(chosen))
    return Source(
        "patches", (layout,), classes.legend, shape[2], settings.folds.count, walk, "runs of consecutive patches",
        settings.start.isoformat(),
    )  # fmt: skip


def _values(file: Any, number: int, chosen: NDArray[np.int64], bands: int) -> NDArray[np.float64]:
    """The bands of a patch on the chosen dates, ``(T, C, y, x)``."""
    return np.moveaxis(np.asarray(file["data"][number], dtype=np.float64)[chosen][..., :bands], -1, 1)


def _flat(raster: NDArray[Any]) -> NDArray[np.int64]:
    """``(y, x)`` of a raster that may have an axis of one band last."""
    return np.asarray(raster[..., 0] if raster.ndim == 3 else raster).astype(np.int64)


def _runs(count: int, settings: Zuericrop) -> NDArray[np.int64]:
    """Fold of each patch: equal runs of consecutive patches, or as a table says."""
    if settings.folds.table is None:
        return np.arange(count) * settings.folds.count // count
    units = {str(number): 1 for number in range(count)}
    folds = assign_units(units, settings.folds, "patches")
    return np.array([folds[unit] for unit in units], dtype=np.int64)


def _fields_of_several(instances: Any, runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fields whose patches lie in several folds; 0 is no field."""
    found: dict[int, int] = {}
    several: set[int] = set()
    for first in range(0, len(runs), AT_ONCE):
        some = np.asarray(instances[first : first + AT_ONCE])
        for fold, patch in zip(runs[first : first + AT_ONCE], some, strict=True):
            for field in np.unique(patch[patch != 0]):
                if found.setdefault(int(field), int(fold)) != fold:
                    several.add(int(field))
    return np.array(sorted(several), dtype=np.int64)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _own(path: Path, settings: Zuericrop) -> dict[str, int]:
    """GT code -> id of the legend, by the names of the user's labels.csv."""
    legend = read_legend(settings.legend or settings.own_legend)
    ids = {_squeezed(legend.name(id)): id for id in legend.ids}
    codes: dict[str, int] = {"0": UNKNOWN}
    lacking = set()
    for _, row in read_rows(path, COLUMNS):
        name = row["4th_tier_ENG"].strip()
        if row["1st_tier"].strip() != "Vegetation" or not name:
            codes[row["GT"]] = UNKNOWN
        elif _squeezed(name) in ids:
            codes[row["GT"]] = ids[_squeezed(name)]
        else:
            lacking.add(name)
    if lacking and settings.classes is None:
        raise CropflowError(
            f"The names {listing(sorted(lacking))} of {path} are no crops of the legend {legend.key}. Give --classes, "
            "a CSV file from GT codes to its crops."
        )
    return codes


def _crops(codes: NDArray[np.int64], classes: Classes) -> NDArray[np.uint16]:
    """Crops of a patch; 0 is no label."""
    crops = np.full(codes.shape, UNKNOWN, dtype=np.uint16)
    crops[codes != 0] = classes.raster(codes[codes != 0])
    return crops
