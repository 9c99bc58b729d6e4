"""Parcels over several years: ``DATA/<year>/<parcel>.npy``, ``META/{labels,dates,geomfeat}.json``.

Each file holds dates x bands x pixels of Sentinel-2; a date of zeros has no value. One year is one folder of samples;
its history comes from the labels of the years before, looked up by parcel and year, so that missing years and parcels
are unknown and shift nothing.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import DeepCropRotation
from cropflow.errors import CropflowError, listing, refuse
from cropflow.files.atomic import write_json
from cropflow.samples.labels import UNKNOWN
from cropflow.samples.layouts.classes import Classes, read_classes
from cropflow.samples.layouts.fold_tables import folds_of, write_folds
from cropflow.samples.layouts.folds import assign_placeless
from cropflow.samples.layouts.opening import Opened, label_of, open_samples, write_classes
from cropflow.samples.layouts.parcel_files import read_meta, read_parcel, refuse_pickles, shape_of, some_parcels
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import judge_scale, to_reflectance
from cropflow.samples.sensors import NO_DATE, Layout

log = logging.getLogger(__name__)

# The published integers, 0 to 19, in the order of the legend's ids.
OWN = {str(code): code + 1 for code in range(20)}


def open_source(folder: Path, settings: DeepCropRotation) -> Source:
    """Open a year.

    Args:
        folder: Holds ``DATA`` and ``META``.
        settings: Year, bands, scale, earlier years, classes, folds.

    Raises:
        CropflowError: If a file is missing, a pickle or of other axes, a label has no crop, or nothing says the folds.
    """
    year, data = str(settings.year), folder / "DATA" / str(settings.year)
    if not data.is_dir():
        years = sorted(entry.name for entry in (folder / "DATA").glob("*") if entry.is_dir())
        refuse("The year of the settings", settings.year, f"a folder of {folder / 'DATA'}: {listing(years) or 'none'}")
    refuse_pickles(data)
    if (folder / "normvals_tot.pkl").is_file():
        log.info("normvals_tot.pkl is not read: a pickle, and of all parcels; training normalises by its own folds")
    labels, features = read_meta(folder, "labels"), read_meta(folder, "geomfeat", needed=False)
    if year not in labels:
        refuse("The year of the settings", settings.year, f"a year of META/labels.json: {listing(labels)}")
    classes = read_classes(settings, OWN)
    earlier = [labels.get(str(settings.year - lag), {}) for lag in range(1, settings.lags + 1)]
    for some in (labels[year], *earlier):
        classes.check(set(some.values()))
    days = _days(read_meta(folder, "dates"), settings)
    parcels = sorted(labels[year])
    files = [data / f"{parcel}.npy" for parcel in parcels]
    scale = judge_scale(
        some_parcels((file for file in files if file.is_file()), len(settings.bands)), settings.scale, str(data)
    )
    folds = assign_placeless(dict.fromkeys(parcels, 1), settings.folds, "deep_crop_rotation")

    def walk(tally: Tally) -> Iterator[Sample]:
        for parcel, file in zip(parcels, files, strict=True):
            tally.read += 1
            crop = classes.crop(labels[year][parcel])
            values = read_parcel(file, len(settings.bands)) if file.is_file() else None
            if values is None or crop == UNKNOWN or not values.shape[2]:
                unknown = "of an unknown crop" if crop == UNKNOWN else "no pixels"
                tally.dropped["without a file" if values is None else unknown] += 1
                continue
            history = _history(earlier, parcel, classes)
            frames = read_frames(values, days, scale, tally, str(file))
            yield Sample(
                parcel, parcel, folds[parcel], {"sentinel2": frames}, crop, shape=shape_of(features, parcel),
                history=history,
            )  # fmt: skip

    layout = Layout("sentinel2", settings.bands, (), (), longest=len(days))
    start = _start(settings).isoformat()
    return Source(
        "pixel_sets", (layout,), classes.legend, 0, settings.folds.count, walk, "parcels", start, settings.lags
    )


def read_frames(values: NDArray[Any], days: NDArray[np.int64], scale: float, tally: Tally, where: str) -> Frames:
    """The dates of a parcel that have a value, as ours; frames of zeros are padding.

    Raises:
        CropflowError: If there are more frames than dates.
    """
    if len(values) > len(days):
        raise CropflowError(f"{where} holds {len(values)} dates; META/dates.json tells {len(days)}. Mend either.")
    stored = to_reflectance(values, scale, tally)
    some = stored.reshape(len(stored), -1).any(axis=1)
    tally.found["dates of a parcel without a value"] += int((~some).sum())
    kept = np.flatnonzero(some)
    order = kept[np.argsort(days[kept], kind="stable")]
    return Frames(stored[order], days[order])


def _start(settings: DeepCropRotation) -> datetime.date:
    return settings.start or datetime.date(settings.year, 1, 1)


def _days(dates: dict[str, Any], settings: DeepCropRotation) -> NDArray[np.int64]:
    """Days of the year's dates, written MMDD."""
    told = dates.get(str(settings.year))
    if not isinstance(told, dict) or not told:
        refuse(
            "The dates of META/dates.json", listing(dates), f"those of {settings.year}: position -> MMDD", verb="are"
        )
    found = []
    for position in sorted(told, key=int):
        text = f"{settings.year}{str(told[position]).zfill(4)}"
        try:
            found.append((datetime.datetime.strptime(text, "%Y%m%d").date() - _start(settings)).days)
        except ValueError:
            refuse(f"Date {position} of {settings.year} in META/dates.json", told[position], "MMDD")
    return np.array(found, dtype=np.int64)


def _history(earlier: list[dict[str, Any]], parcel: str, classes: Classes) -> tuple[int, ...]:
    return tuple(classes.crop(year[parcel]) if parcel in year else UNKNOWN for year in earlier)


def write(folder: Path, output: Path, start: datetime.date | None) -> dict[str, int]:
    """Write pixel sets of Sentinel-2 as one year of the layout.

    Args:
        folder: Pixel sets.
        output: Existing, empty folder.
        start: First day of the season, where the samples do not keep it.

    Returns:
        Parcels written, and how many have no outline's measures.

    Raises:
        CropflowError: If the samples are of another kind or sensor, or cross New Year.
    """
    samples = open_samples(folder, "pixel_sets")
    samples.need_sensors(("sentinel2",))
    dates = _dates(samples, samples.start(start))
    position = {day: number for number, day in enumerate(dates)}
    year = str(next(iter(dates.values())).year)
    (output / "DATA" / year).mkdir(parents=True)
    (output / "META").mkdir()
    codes = write_classes(output / "META" / "classes.csv", samples, OWN, DeepCropRotation.own_legend)
    labels: dict[str, int] = {}
    features: dict[str, list[float]] = {}
    parcels = list(samples.parcels())
    write_folds(output / "META" / "folds.csv", [name for name, _ in parcels], folds_of(samples))
    for number, (name, row) in enumerate(parcels):
        own, values = samples.parcel_values("sentinel2", number)
        frames = np.zeros((len(dates), values.shape[2], len(values)), dtype=values.dtype)
        frames[[position[int(day)] for day in own]] = np.moveaxis(values, 0, -1)
        np.save(output / "DATA" / year / f"{name}.npy", frames, allow_pickle=False)
        labels[name] = int(label_of(codes, int(row["crop"])))
        told = samples.measures(row)
        if told is not None:
            features[name] = told
    write_json(output / "META" / "labels.json", {year: labels})
    days = {str(number): f"{date:%m%d}" for number, date in enumerate(dates.values())}
    write_json(output / "META" / "dates.json", {year: days})
    if features:
        write_json(output / "META" / "geomfeat.json", features)
    return {"parcels": len(labels), "without measures": len(labels) - len(features)}


def _dates(samples: Opened, first: datetime.date) -> dict[int, datetime.date]:
    """Day -> date of all parcels, ascending: this layout keeps one list a year, and frames of zeros mean no value."""
    days = samples.dates("sentinel2")
    dates = {int(day): first + datetime.timedelta(days=int(day)) for day in np.unique(days[days != NO_DATE])}
    years = sorted({date.year for date in dates.values()})
    if len(years) != 1:
        raise CropflowError(
            f"The dates lie in the years {listing(years)}; expected one calendar year, of which the layout keeps MMDD. "
            "Export samples of a season within one."
        )
    return dates
