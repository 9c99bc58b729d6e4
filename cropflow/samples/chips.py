"""Chips: a square around each parcel, with the parcel's crop as its one label."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from cropflow.files.atomic import write_json
from cropflow.files.tables import write_table
from cropflow.samples.arrays import SensorArrays, create_arrays, flush
from cropflow.samples.place import Place, megabytes, read_window
from cropflow.samples.sources import STRIP
from cropflow.samples.tallies import PARCEL_REASONS, DateTally, check_any, parcel_reasons, tally_parcels, tell_dates

log = logging.getLogger(__name__)

USABLE = PARCEL_REASONS.index("usable")
COLUMNS = {
    "site": "str", "index": "uint32", "parcel_id": "str", "crop": "uint16", "fold": "uint8",
    "row": "int64", "column": "int64",
}  # fmt: skip


def choose_chips(parcels: pandas.DataFrame, background: bool, size: int, most: int | None) -> pandas.DataFrame:
    """Choose the parcels that get a chip, and place it.

    The parcels are those that have a pixel to learn from, so that models of all kinds learn from and are tested on
    the same ones. A limit takes those whose names come first by a hash: at random, and always the same.

    Args:
        parcels: ``parcels.parquet`` of the samples.
        background: Whether crop 0 is learnt.
        size: Rows and columns of a chip.
        most: Chips of a crop in a fold, at most; None: all.

    Returns:
        The columns of ``COLUMNS`` in the order of sites and parcels; ``row`` and ``column`` of the upper-left pixel,
        negative where a chip reaches over its site. The pixel of the parcel's representative point is in the middle.
    """
    chosen = parcels[parcel_reasons(parcels, background) == USABLE].reset_index(drop=True)
    if most is not None:
        rank = chosen["parcel_id"].map(_hash)
        order = chosen.assign(rank=rank).sort_values(["rank", "site", "index"])
        kept = order.groupby(["crop", "fold"]).head(most).index
        chosen = chosen.loc[np.sort(kept)].reset_index(drop=True)
    middle = size // 2
    chosen = chosen.assign(row=chosen["row"] - middle, column=chosen["column"] - middle)
    chips: pandas.DataFrame = chosen[list(COLUMNS)].astype(COLUMNS)
    return chips


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def write_chips(place: Place, folder: Path) -> dict[str, Any]:
    """Write the chips of a region and season.

    A chip shows what lies around its parcel, labelled or not, as patches do; beyond the site it is nodata.

    Args:
        place: The samples and their composites.
        folder: Existing, empty folder.

    Returns:
        What ``chips.json`` says.

    Raises:
        CropflowError: If no parcel has a pixel to learn from.
        RuntimeError: If counts do not add up.
    """
    settings, composites = place.settings, place.composites
    size, layouts = settings.chip_size, composites.layouts
    chips = choose_chips(place.parcels, settings.background, size, settings.chips_per_crop)
    reasons = tally_parcels(place.parcels, settings.background)
    check_any(reasons)
    per_crop = "all" if settings.chips_per_crop is None else f"at most {settings.chips_per_crop} of a crop and fold"
    log.info(
        "%d chips (%s) of %d parcels take %.1f MB",
        len(chips), per_crop, reasons["usable"], megabytes(layouts, len(chips) * size**2),
    )  # fmt: skip
    arrays = create_arrays(folder, layouts, len(chips), space=(size, size))
    tally = DateTally(layouts, len(chips))
    for site, own in chips.groupby("site", sort=False):
        _cut_site(place, str(site), own, arrays, tally)
    flush(arrays.values())
    per_site = chips["site"].value_counts()
    about = {
        **place.about(),
        "chip_size": size,
        "chips": len(chips),
        "sites": {site: int(per_site.get(site, 0)) for site in composites.sites},
        "parcels": {**reasons, "usable": len(chips), "beyond_chips_per_crop": reasons["usable"] - len(chips)},
        "dates": tally.told(),
    }
    if sum(about["parcels"].values()) != len(place.parcels):
        raise RuntimeError(f"{about['parcels']} do not add up to {len(place.parcels)} parcels")
    tell_dates("chips", len(chips), about["dates"])
    write_table(folder / "chips.parquet", chips)
    write_json(folder / "chips.json", about)
    return about


def _cut_site(
    place: Place, site: str, chips: pandas.DataFrame, arrays: Mapping[str, SensorArrays], tally: DateTally
) -> None:
    """Cut the chips of a site, near ones together: a chunk of the composites is unpacked a few times at most."""
    composites, layers, size = place.composites.sites[site], place.layers(site), place.settings.chip_size
    height, width = composites.shape
    for _, near in chips.groupby([chips["row"] // STRIP, chips["column"] // STRIP]):
        top, left = max(int(near["row"].min()), 0), max(int(near["column"].min()), 0)
        bottom = min(int(near["row"].max()) + size, height)
        right = min(int(near["column"].max()) + size, width)
        window = read_window(composites, layers, place.settings, slice(top, bottom), slice(left, right))
        for number, row, column in zip(near.index, near["row"], near["column"], strict=True):
            (from_y, to_y), (from_x, to_x) = _overlap(row, size, height), _overlap(column, size, width)
            within = slice(from_y - top, to_y - top), slice(from_x - left, to_x - left)
            target = slice(from_y - row, to_y - row), slice(from_x - column, to_x - column)
            for sensor, own in arrays.items():
                own.clear(number)
                for name, array in own.series.items():
                    part = window.part(name, sensor)[..., *within]
                    array[number, : len(part), ..., *target] = part
                own.date(slice(number, number + 1), composites.dates[sensor])
                tally.add(sensor, number, window.valid(sensor)[..., *within])


def _overlap(first: int, size: int, length: int) -> tuple[int, int]:
    """The part of an axis that a chip covers."""
    return max(first, 0), min(first + size, length)
