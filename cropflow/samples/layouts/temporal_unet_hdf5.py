"""Patches of calendar months in one HDF5 file: ``data``, ``labels``, ``ID_Parcelles``, ``coords``, ``zones``.

The published inputs are zero wherever no parcel has a label, so that they give the mask of the target away: such
pixels have no value here, are not learnt from, and are counted. Zones are dealt out to folds whole.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import TemporalUnetHdf5
from cropflow.errors import CropflowError, refuse
from cropflow.samples.labels import BACKGROUND, IGNORE, UNKNOWN
from cropflow.samples.layouts.classes import Classes, read_classes
from cropflow.samples.layouts.fold_tables import folds_of, units_of, write_folds
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.hdf5 import find_file, open_arrays, texts
from cropflow.samples.layouts.opening import label_raster, open_samples, write_classes
from cropflow.samples.layouts.periods import months
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import judge_scale, to_reflectance
from cropflow.samples.sensors import Layout

NAMES = ("data", "labels", "ID_Parcelles", "coords", "zones")
OWN = {"0": BACKGROUND} | {str(code): code for code in range(1, 50)}
IGNORED = 255
# Patches that are read at once, and those whose values decide what a stored number means.
AT_ONCE, JUDGED = 64, 8


def open_source(folder: Path, settings: TemporalUnetHdf5) -> Source:
    """Open the file.

    Args:
        folder: The HDF5 file, or a folder that holds one.
        settings: Bands, scale, first month, classes, folds.

    Raises:
        CropflowError: If an array is missing or of other axes, values are no reflectance, or there are fewer zones than
            folds.
    """
    path = find_file(folder)
    with open_arrays(path, NAMES) as file:
        shape = file["data"].shape
        if len(shape) != 5 or shape[2] != len(settings.bands) or shape[3] != shape[4]:
            refuse(
                f"data of {path.name}", shape, f"patches x dates x {len(settings.bands)} bands x rows x columns",
                "Name the bands of the file, in its order, as bands of --settings.",
            )  # fmt: skip
        expected = (shape[0], *shape[3:])
        for name in ("labels", "ID_Parcelles"):
            if file[name].shape != expected:
                refuse(f"{name} of {path.name}", file[name].shape, f"{expected}, as data has")
        zones = texts(file["zones"])
        scale = judge_scale(_without_zeros(file["data"][:JUDGED]), settings.scale, f"data of {path.name}")
    classes = read_classes(settings, OWN)
    folds = assign_units(Counter(zones), settings.folds, "zones")
    layout = Layout("sentinel2", settings.bands, (), months(settings.start, shape[1]))
    days = np.array(layout.days, dtype=np.int64)

    def walk(tally: Tally) -> Iterator[Sample]:
        with open_arrays(path, NAMES) as file:
            for first in range(0, shape[0], AT_ONCE):
                some = slice(first, min(first + AT_ONCE, shape[0]))
                data, labels, parcels, coords = (file[name][some] for name in NAMES[:4])
                crops = _crops(labels, classes)
                for row, number in enumerate(range(some.start, some.stop)):
                    tally.read += 1
                    values = to_reflectance(data[row], scale, tally)
                    _count_masked(data[row], labels[row], tally)
                    yield Sample(
                        zones[number], f"{zones[number]}-{number}", folds[zones[number]],
                        {"sentinel2": Frames(values, days)}, crops[row], parcels[row].astype(np.uint32),
                        place=(float(coords[row][0]), float(coords[row][1])),
                    )  # fmt: skip

    return Source(
        "patches", (layout,), classes.legend, shape[3], settings.folds.count, walk, "zones", settings.start.isoformat()
    )


def _without_zeros(data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (patch for patch in data if patch.any())


def _crops(labels: NDArray[Any], classes: Classes) -> NDArray[np.uint16]:
    whole = np.where(np.isfinite(labels), labels, IGNORED).astype(np.int64)
    ignored = whole == IGNORED
    mapped = classes.raster(np.where(ignored, 0, whole))
    return np.where(ignored, IGNORE, mapped).astype(np.uint16)


def _count_masked(data: NDArray[Any], labels: NDArray[Any], tally: Tally) -> None:
    """Count the pixels whose inputs were zeroed by the mask of the labels."""
    zero = ~data.any(axis=(0, 1))
    tally.found["pixels zeroed in all months"] += int(zero.sum())
    tally.found["pixels zeroed in all months, with a label"] += int((zero & (labels != 0) & (labels != IGNORED)).sum())


def write(folder: Path, output: Path, start: datetime.date | None) -> dict[str, int]:
    """Write patches of Sentinel-2 calendar composites.

    Args:
        folder: Patches.
        output: Existing, empty folder; the file in it is ``samples.h5``.
        start: Not needed: the layout keeps the name of one date.

    Returns:
        Patches written, and pixels whose crop is not known, which become 255.

    Raises:
        CropflowError: If the samples are of another kind or sensor, of acquisitions, or a crop has the id 255 or more.
    """
    samples = open_samples(folder, "patches")
    samples.need_sensors(("sentinel2",))
    (layout,) = samples.layouts
    if layout.acquisitions:
        raise CropflowError("temporal_unet_hdf5 keeps no dates; expected samples of calendar composites.")
    codes = write_classes(output / "classes.csv", samples, OWN, TemporalUnetHdf5.own_legend)
    if any(int(code) >= IGNORED for code in codes.values()):
        raise CropflowError(f"The legend has ids up to {max(codes)}; temporal_unet_hdf5 takes those below {IGNORED}.")
    values, crops, parcels = (samples.array(name) for name in ("sentinel2/values", "crops", "parcels"))
    count, length, bands, size, _ = values.shape
    folds = folds_of(samples)
    zones = units_of(samples, folds)
    write_folds(output / "folds.csv", zones, folds)
    places = np.full((count, 2), np.nan)
    if {"longitude", "latitude"} <= set(samples.table.columns):
        places[:] = samples.table[["longitude", "latitude"]].to_numpy()
    text = h5py.string_dtype()
    unknown = 0
    with h5py.File(output / "samples.h5", "w") as file:
        chunk = (1, length, bands, size, size)
        data = file.create_dataset("data", values.shape, "float32", chunks=chunk, compression="gzip")
        rasters = {
            name: file.create_dataset(name, crops.shape, "float32", chunks=chunk[:1] + chunk[3:], compression="gzip")
            for name in ("labels", "ID_Parcelles")
        }
        file.create_dataset("coords", data=places)
        file.create_dataset("zones", data=zones, dtype=text)
        file.create_dataset("dates", data=[layout.periods[-1].replace("-", "")] * count, dtype=text)
        for first in range(0, count, AT_ONCE):
            some = slice(first, min(first + AT_ONCE, count))
            data[some] = values[some].astype(np.float32)
            labels = label_raster(crops[some], codes, ((UNKNOWN, IGNORED), (IGNORE, IGNORED)))
            unknown += int((crops[some] == UNKNOWN).sum())
            rasters["labels"][some] = labels.astype(np.float32)
            rasters["ID_Parcelles"][some] = parcels[some].astype(np.float32)
    return {"patches": count, "unknown pixels written as ignore": unknown, "zones": len(set(zones))}
