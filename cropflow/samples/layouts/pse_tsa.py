"""Parcels seen by two sensors: ``s1_data/<split>/{DATA,META}`` and ``s2_data/<split>/{DATA,META}``.

The sensors of a parcel are paired by its id, never by the place of a file; both count days from one origin, and a
parcel's dates are its own. A split is a district: all its parcels are in one fold.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import PseTsaLayout
from cropflow.errors import CropflowError, listing, refuse
from cropflow.files.atomic import write_json
from cropflow.samples.labels import UNKNOWN
from cropflow.samples.layouts.classes import read_classes
from cropflow.samples.layouts.fold_tables import folds_of, units_of, write_folds
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.opening import Opened, label_of, open_samples, write_classes
from cropflow.samples.layouts.parcel_files import read_meta, read_parcel, refuse_pickles, shape_of, some_parcels
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import (
    DECIBEL,
    check_decibel,
    from_stored,
    judge_scale,
    to_backscatter,
    to_reflectance,
)  # fmt: skip
from cropflow.samples.layouts.writing import has_value
from cropflow.samples.sensors import KINDS, Layout

# The published groups, in the order of the legend's ids; 19, temporary meadows, goes with 18.
GROUPS = ("1", "2", "3", "4", "5", "8", "11", "16", "17", "18", "20", "25")
OWN = {code: id for id, code in enumerate(GROUPS, start=1)} | {"19": 10}
ROOTS = {"sentinel1": "s1_data", "sentinel2": "s2_data"}
RADAR_BANDS = ("VV", "VH")


@dataclass(frozen=True)
class _Root:
    """One sensor's files of one split."""

    folder: Path
    bands: tuple[str, ...]
    labels: dict[str, Any]
    days: dict[str, NDArray[np.int64]]
    features: dict[str, Any]

    def read(self, parcel: str) -> NDArray[Any] | None:
        """A parcel's values; None where this sensor lacks it."""
        file = self.folder / "DATA" / f"{parcel}.npy"
        return read_parcel(file, len(self.bands)) if file.is_file() and parcel in self.days else None


def open_source(folder: Path, settings: PseTsaLayout) -> Source:
    """Open the splits.

    Args:
        folder: Holds ``s1_data`` or ``s2_data``, or both.
        settings: Bands, scale, day 0, classes, folds.

    Raises:
        CropflowError: If files are missing, pickled or of other axes, values are normalised, a label has no crop, or
            there are fewer splits than folds.
    """
    roots = {
        (settings.radar if family == "sentinel1" else family): folder / name
        for family, name in ROOTS.items()
        if (folder / name).is_dir()
    }
    if not roots:
        raise CropflowError(f"{folder} holds neither s1_data nor s2_data; expected one or both.")
    splits: dict[str, dict[str, _Root]] = {}
    for sensor, place in roots.items():
        bands = settings.bands if sensor == "sentinel2" else RADAR_BANDS
        for split in sorted(entry.name for entry in place.iterdir() if (entry / "DATA").is_dir()):
            splits.setdefault(split, {})[sensor] = _open_root(place / split, bands, settings)
    classes = read_classes(settings, OWN)
    sizes: dict[str, int] = {}
    for split, found in splits.items():
        sizes[split] = len(set().union(*(root.labels for root in found.values())))
        for root in found.values():
            classes.check(set(root.labels.values()))
    folds = assign_units(sizes, settings.folds, "splits")
    scale = _check_units(splits, settings)

    def walk(tally: Tally) -> Iterator[Sample]:
        for split, found in splits.items():
            for parcel in sorted(set().union(*(root.labels for root in found.values()))):
                tally.read += 1
                crops = {classes.crop(root.labels[parcel]) for root in found.values() if parcel in root.labels}
                values = {sensor: root.read(parcel) for sensor, root in found.items()}
                arrays = {sensor: some for sensor, some in values.items() if some is not None}
                reason = _why_not(crops, arrays)
                if reason:
                    tally.dropped[reason] += 1
                    continue
                tally.found["parcels that a sensor lacks"] += len(arrays) < len(roots)
                series = {
                    sensor: _frames(some, found[sensor].days[parcel], scale if sensor == "sentinel2" else None, tally)
                    for sensor, some in arrays.items()
                }
                features = next((root.features for root in found.values() if parcel in root.features), {})
                (crop,) = crops
                yield Sample(split, parcel, folds[split], series, crop, shape=shape_of(features, parcel))

    layouts = [
        Layout(
            sensor,
            settings.bands if sensor == "sentinel2" else RADAR_BANDS,
            (),
            (),
            "" if sensor == "sentinel2" else settings.radiometry,
            max((len(days) for found in splits.values() if sensor in found for days in found[sensor].days.values()),
                default=1),
        )
        for sensor in sorted(roots, reverse=True)
    ]  # fmt: skip
    start = settings.start.isoformat()
    return Source("pixel_sets", tuple(layouts), classes.legend, 0, settings.folds.count, walk, "splits", start)


def _open_root(folder: Path, bands: tuple[str, ...], settings: PseTsaLayout) -> _Root:
    refuse_pickles(folder / "DATA")
    labels = read_meta(folder, "labels")
    if settings.labels not in labels:
        refuse("labels of the settings", settings.labels, f"a key of {folder}/META/labels.json: {listing(labels)}")
    days = {
        parcel: np.array([_day(date, settings.start, f"{folder}/META/dates.json, parcel {parcel}") for date in dates])
        for parcel, dates in read_meta(folder, "dates").items()
    }
    return _Root(folder, bands, labels[settings.labels], days, read_meta(folder, "geomfeat", needed=False))


def _day(date: object, start: datetime.date, where: str) -> int:
    try:
        return (datetime.datetime.strptime(str(date), "%Y%m%d").date() - start).days
    except ValueError:
        refuse(f"A date of {where}", date, "YYYYMMDD")


def _check_units(splits: dict[str, dict[str, _Root]], settings: PseTsaLayout) -> float:
    """The scale of Sentinel-2; values scaled by percentiles of each image are refused."""
    files: dict[str, list[Path]] = {}
    for found in splits.values():
        for sensor, root in found.items():
            files.setdefault(sensor, []).extend(sorted((root.folder / "DATA").glob("*.npy"))[:8])
    for sensor, paths in files.items():
        if sensor != "sentinel2":
            check_decibel(some_parcels(paths, len(RADAR_BANDS)), "s1_data")
    scale = judge_scale(some_parcels(files.get("sentinel2", []), len(settings.bands)), settings.scale, "s2_data")
    if settings.scale is None and scale == 1:
        raise CropflowError(
            "The values of s2_data lie within about [0, 1]: reflectance, or scaled by percentiles of each image, as "
            "published, which cannot be taken back because nothing says which image a parcel's value is of. "
            "Set scale to 1 where it is reflectance; export the parcels unscaled otherwise."
        )
    return scale


def _why_not(crops: set[int], arrays: dict[str, NDArray[Any]]) -> str:
    """Why a parcel is left out; empty where it is not."""
    if len(crops) > 1:
        return "of two crops"
    if UNKNOWN in crops:
        return "of an unknown crop"
    if not arrays:
        return "without a file"
    pixels = {some.shape[2] for some in arrays.values()}
    if len(pixels) > 1:
        return "pixels of the sensors differ"
    return "no pixels" if 0 in pixels else ""


def _frames(values: NDArray[Any], days: NDArray[np.int64], scale: float | None, tally: Tally) -> Frames:
    if len(values) != len(days):
        raise CropflowError(f"A parcel has {len(values)} dates of values and {len(days)} in META/dates.json.")
    stored = to_backscatter(values, tally) if scale is None else to_reflectance(values, scale, tally)
    some = has_value(stored).any(axis=1)
    tally.found["dates of a parcel without a value"] += int((~some).sum())
    kept = np.flatnonzero(some)
    order = kept[np.argsort(days[kept], kind="stable")]
    return Frames(stored[order], days[order])


def write(folder: Path, output: Path, start: datetime.date | None) -> dict[str, int]:
    """Write pixel sets of Sentinel-2, Sentinel-1 of one direction, or both.

    Args:
        folder: Pixel sets.
        output: Existing, empty folder.
        start: First day of the season, where the samples do not keep it.

    Returns:
        Parcels written, by sensor too.

    Raises:
        CropflowError: If the samples are of another kind, of both directions, or have derived bands.
    """
    samples = open_samples(folder, "pixel_sets")
    samples.need_sensors(tuple(KINDS))
    sensors = [layout.sensor for layout in samples.layouts]
    if len(sensors) - ("sentinel2" in sensors) > 1:
        refuse(
            "The sensors of the samples", listing(sensors), "one direction of Sentinel-1", "s1_data holds one.",
            verb="are",
        )  # fmt: skip
    first = samples.start(start)
    codes = write_classes(output / "classes.csv", samples, OWN, PseTsaLayout.own_legend)
    folds = folds_of(samples)
    units = units_of(samples, folds)
    write_folds(output / "folds.csv", units, folds)
    parcels = list(samples.parcels())
    counts = Counter({"parcels": len(parcels)})
    for sensor in sensors:
        root = output / ROOTS["sentinel2" if sensor == "sentinel2" else "sentinel1"]
        meta: dict[str, dict[str, dict[str, Any]]] = {}
        for number, (name, row) in enumerate(parcels):
            files = root / units[number]
            told = meta.setdefault(units[number], {"labels": {}, "dates": {}, "geomfeat": {}})
            told["labels"][name] = int(label_of(codes, int(row["crop"])))
            measures = samples.measures(row)
            if measures is not None:
                told["geomfeat"][name] = measures
            _write_parcel(samples, sensor, number, files / "DATA" / f"{name}.npy", first, told["dates"], counts)
        for split, told in meta.items():
            for key, content in told.items():
                whole = {"CODE_GROUP": content} if key == "labels" else content
                write_json(root / split / "META" / f"{key}.json", whole)
    return dict(counts)


def _write_parcel(
    samples: Opened, sensor: str, number: int, file: Path, start: datetime.date, dates: dict[str, Any],
    counts: Counter[str],
) -> None:  # fmt: skip
    """Write a parcel's values of a sensor and note its dates; nothing where the sensor lacks it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    days, values = samples.parcel_values(sensor, number)
    if not len(days):
        return
    kind = KINDS[sensor]
    stored = np.moveaxis(values, 0, -1)
    told = from_stored(stored, kind.nodata, DECIBEL if sensor != "sentinel2" else 1)
    # The layout has no mask: zeros in all bands are what it pads with.
    np.save(file, np.nan_to_num(told), allow_pickle=False)
    dates[file.stem] = [int(f"{start + datetime.timedelta(days=int(day)):%Y%m%d}") for day in days]
    counts[sensor] += 1
