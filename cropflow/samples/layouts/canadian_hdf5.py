"""Chips of 8-bit pictures in one HDF5 file, a record a point and month: POINT, DATE, REGION, CROP_TYPE and pictures.

A sequence is all pictures of one point of one region with one crop: a point whose records name two crops becomes two
sequences, never one under the first record's name. The file holds no coordinates: a region is the smallest place that
can be kept in one fold.
"""

from __future__ import annotations

import datetime
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cropflow.config.layouts import CanadianHdf5
from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.legend import read_legend
from cropflow.samples.labels import UNKNOWN
from cropflow.samples.layouts.classes import read_classes
from cropflow.samples.layouts.fold_tables import folds_of, units_of, write_folds
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.hdf5 import find_file, open_arrays, texts
from cropflow.samples.layouts.opening import open_samples
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import index_to_picture, picture_to_index
from cropflow.samples.sensors import NO_DATE, Layout

INDEX = ("POINT", "DATE", "REGION", "CROP_TYPE")
PICTURES = ("RGB", "NDVI", "NDVI45", "OSAVI", "PSRI", "GNDVI")
COLOURS = ("RED", "GREEN", "BLUE")
LEGEND = "canadian_cropland_10"
# A month alone: its middle.
DATES = {"%Y-%m-%d": 0, "%Y%m%d": 0, "%Y-%m": 14, "%Y%m": 14, "%Y_%m": 14}

Key = tuple[int, str, str]


def bands_of(pictures: tuple[str, ...]) -> tuple[str, ...]:
    """The bands that pictures become: three of RGB, one of every other."""
    return tuple(band for name in pictures for band in (COLOURS if name == "RGB" else (name,)))


def open_source(folder: Path, settings: CanadianHdf5) -> Source:
    """Open the file.

    Args:
        folder: The HDF5 file, or a folder that holds one.
        settings: Pictures, day 0, classes, folds.

    Raises:
        CropflowError: If an array is missing, a picture is unknown or damaged, a date is none, or there are fewer
            regions than folds.
    """
    unknown = [name for name in settings.pictures if name not in PICTURES]
    if unknown:
        refuse("pictures of the settings", listing(unknown), f"some of {listing(PICTURES)}")
    path, names = find_file(folder), (*INDEX, *settings.pictures)
    with open_arrays(path, names) as file:
        points = [int(point) for point in file["POINT"][:]]
        days = [_day(text, settings.start) for text in texts(file["DATE"])]
        regions, crops = texts(file["REGION"]), [crop.lower() for crop in texts(file["CROP_TYPE"])]
        first = _chip(file, settings.pictures, 0) if points else None
    if first is None:
        raise CropflowError(
            f"{path} has no record, or its first is no PNG files; expected pictures as 8-bit PNG bytes."
        )
    size = first.shape[-1]
    sequences: dict[Key, list[int]] = {}
    for number, key in enumerate(zip(points, regions, crops, strict=True)):
        sequences.setdefault(key, []).append(number)
    own = read_legend(LEGEND)
    classes = read_classes(settings, {own.name(id): id for id in own.ids})
    classes.check(set(crops))
    folds = assign_units(Counter(region for _, region, _ in sequences), settings.folds, "regions")
    several = Counter((point, region) for point, region, _ in sequences)

    def walk(tally: Tally) -> Iterator[Sample]:
        tally.found["points with several crops"] += sum(number > 1 for number in several.values())
        with open_arrays(path, names) as file:
            for (point, region, crop), records in sorted(sequences.items()):
                tally.read += 1
                if classes.crop(crop) == UNKNOWN:
                    tally.dropped["of an unknown crop"] += 1
                    continue
                frames = _frames(file, settings.pictures, {number: days[number] for number in records}, size, tally)
                if frames is None:
                    tally.dropped["no picture of the usual size"] += 1
                    continue
                id = f"{point}_{region}_{crop}"
                yield Sample(region, id, folds[region], {"sentinel2": frames}, classes.crop(crop))

    bands = bands_of(settings.pictures)
    layout = Layout("sentinel2", bands, bands, (), longest=max(map(len, sequences.values())))
    start = settings.start.isoformat()
    return Source("chips", (layout,), classes.legend, size, settings.folds.count, walk, "regions", start)


def _day(text: str, start: datetime.date) -> int:
    for form, middle in DATES.items():
        try:
            return (datetime.datetime.strptime(text, form).date() - start).days + middle
        except ValueError:
            continue
    refuse("A DATE of the records", text, "a day or a month, such as 2019-06-15 or 2019-06")


def _frames(file: Any, pictures: tuple[str, ...], days: dict[int, int], size: int, tally: Tally) -> Frames | None:
    """The pictures of a sequence in the order of their days, the first of each day; None where none can be read."""
    found: dict[int, NDArray[np.uint8]] = {}
    for number, day in sorted(days.items(), key=lambda one: (one[1], one[0])):
        if day in found:
            tally.found["records of a day that has one"] += 1
            continue
        chip = _chip(file, pictures, number)
        if chip is None:
            tally.found["records with a damaged picture"] += 1
        elif chip.shape[1:] != (size, size):
            tally.found["records of another size"] += 1
        else:
            found[day] = chip
    if not found:
        return None
    return Frames(picture_to_index(np.stack(list(found.values()))), np.array(list(found), dtype=np.int64))


def _chip(file: Any, pictures: tuple[str, ...], number: int) -> NDArray[np.uint8] | None:
    """The pictures of a record as bands, uint8, ``(C, S, S)``; None where one is damaged or of another size."""
    bands: list[NDArray[np.uint8]] = []
    for name in pictures:
        try:
            with Image.open(io.BytesIO(np.asarray(file[name][number], dtype=np.uint8).tobytes())) as picture:
                grey = np.asarray(picture.convert("RGB" if name == "RGB" else "L"))
        # Pillow says OSError of what is no picture or cut short, SyntaxError of a broken PNG.
        except (OSError, SyntaxError):
            return None
        bands.extend(np.moveaxis(grey, -1, 0) if grey.ndim == 3 else [grey])
    return np.stack(bands) if len({band.shape for band in bands}) == 1 else None


def write(folder: Path, output: Path, start: datetime.date | None) -> dict[str, int]:
    """Write chips of 8-bit pictures, as an import of this layout made them.

    Args:
        folder: Chips.
        output: Existing, empty folder; the file in it is ``samples.hdf5``.
        start: First day of the season, where the samples do not keep it.

    Returns:
        Chips and records written.

    Raises:
        CropflowError: If the samples are of another kind, or of bands that are no 8-bit pictures.
    """
    samples = open_samples(folder, "chips")
    layout = samples.layouts[0]
    pictures = tuple(name for name in PICTURES if set(bands_of((name,))) <= set(layout.bands))
    whole = sorted(bands_of(pictures)) == sorted(layout.bands) and layout.indices == layout.bands
    if len(samples.layouts) != 1 or not whole:
        refuse(
            "The bands of the samples", listing(layout.bands), f"pictures of 8 bits: {listing(PICTURES)}",
            "The layout holds no reflectance.", verb="are",
        )  # fmt: skip
    legend, first = read_legend(samples.about["legend"]), samples.start(start)
    values, days = samples.array("sentinel2/values"), samples.dates("sentinel2")
    folds = folds_of(samples)
    units = units_of(samples, folds)
    write_folds(output / "folds.csv", units, folds)
    seen = days != NO_DATE
    records = int(seen.sum())
    text, picture = h5py.string_dtype(), h5py.vlen_dtype(np.uint8)
    with h5py.File(output / "samples.hdf5", "w") as file:
        for name, dtype in {**dict.fromkeys(INDEX[1:], text), **dict.fromkeys(pictures, picture)}.items():
            file.create_dataset(name, (records,), dtype)
        for name in ("POINT", "LABEL"):
            file.create_dataset(name, (records,), "int64")
        at = 0
        for number, row in enumerate(samples.table.to_dict("records")):
            dates = np.flatnonzero(seen[number])
            here = slice(at, at + len(dates))
            crop = int(row["crop"])
            file["POINT"][here] = _point(row, legend.name(crop), number)
            file["LABEL"][here] = legend.ids.index(crop)
            file["REGION"][here] = units[number]
            file["CROP_TYPE"][here] = legend.name(crop).upper()
            file["DATE"][here] = [
                (first + datetime.timedelta(days=int(days[number, date]))).isoformat() for date in dates
            ]
            for name in pictures:
                chosen = [layout.bands.index(band) for band in bands_of((name,))]
                greys = index_to_picture(values[number][dates][:, chosen])
                for place, grey in enumerate(greys, start=at):
                    file[name][place] = _png(grey)
            at += len(dates)
    return {"chips": len(samples.table), "records": records}


def _point(row: dict[Any, Any], crop: str, number: int) -> int:
    """The point that an imported chip is named after; its number otherwise."""
    told = re.fullmatch(rf"(\d+)_{re.escape(str(row['site']))}_{crop}", str(row["parcel_id"]))
    return int(told[1]) if told else number


def _png(bands: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kept = io.BytesIO()
    Image.fromarray(bands[0] if len(bands) == 1 else np.moveaxis(bands, 0, -1)).save(kept, "PNG")
    return np.frombuffer(kept.getvalue(), dtype=np.uint8)
