"""Folders of samples of our own, opened to be written in another layout."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError, listing, refuse
from cropflow.files.arrays import map_array
from cropflow.files.atomic import read_json, write_text
from cropflow.files.tables import read_table
from cropflow.labels.legend import read_legend
from cropflow.samples.labels import BACKGROUND
from cropflow.samples.layouts.writing import TABLES
from cropflow.samples.sensors import NO_DATE, Layout, layout_of


@dataclass(frozen=True)
class Opened:
    """A folder of samples; arrays are mapped into memory.

    Attributes:
        folder: Where it lies.
        about: Its JSON file.
        table: One row per sample.
        layouts: Axes of each sensor's series.
    """

    folder: Path
    about: Mapping[str, Any]
    table: pandas.DataFrame
    layouts: tuple[Layout, ...]

    def array(self, name: str) -> NDArray[Any]:
        """One of its arrays, such as ``crops`` or ``sentinel2/values``."""
        return map_array(self.folder / f"{name}.npy")

    def dates(self, sensor: str) -> NDArray[np.int16]:
        """Days since the start of the season of each sample, int16, ``(N, T)``; -32768 in padding."""
        days: NDArray[np.int16] = np.asarray(self.array(f"{sensor}/dates"))
        return days

    def start(self, given: datetime.date | None) -> datetime.date:
        """Day 0 of the dates: given, kept by the samples, or the first period's first day.

        Raises:
            CropflowError: If none of them tells.
        """
        periods = [layout.periods[0] for layout in self.layouts if layout.periods]
        told = given or self.about.get("start") or (periods[0] if periods else None)
        if told is None:
            raise CropflowError(f"{self.folder} does not keep the season's first day; give it as --start.")
        return told if isinstance(told, datetime.date) else datetime.date.fromisoformat(str(told))

    def need_sensors(self, allowed: Collection[str], least: int = 1) -> None:
        """Refuse sensors that the layout cannot hold, and derived bands.

        Raises:
            CropflowError: If there are any, or fewer sensors than the layout needs.
        """
        found = [layout.sensor for layout in self.layouts]
        if not set(found) <= set(allowed) or len(found) < least:
            wanted = f"{'no others than' if least == 1 else 'two of'} {listing(allowed)}"
            refuse("The sensors of the samples", listing(found), wanted, verb="are")
        for layout in self.layouts:
            if layout.indices:
                refuse(
                    f"The bands of {layout.sensor}", listing(layout.bands), "measured bands alone",
                    "Leave the derived ones out of the sample set.", verb="are",
                )  # fmt: skip

    def parcels(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """A name of each parcel, and its row: its id, or with the site where several sites have that id."""
        doubled = self.table["parcel_id"].duplicated(keep=False)
        for row, twice in zip(self.table.to_dict("records"), doubled, strict=True):
            told = {str(key): value for key, value in row.items()}
            name = f"{row['site']}-{row['parcel_id']}" if twice else str(row["parcel_id"])
            # Ids of registers may hold what file names may not.
            yield quote(name, safe=""), told

    def measures(self, row: Mapping[str, Any]) -> list[float] | None:
        """Perimeter, pixels, fill ratio, perimeter over area of a parcel; None where nobody measured it."""
        if not row.get("measured", True):
            return None
        return [float(row[name]) for name in ("perimeter_m", "pixels", "fill_ratio", "perimeter_area_ratio")]

    def parcel_values(self, sensor: str, number: int) -> tuple[NDArray[np.int16], NDArray[Any]]:
        """The days of a parcel and its values on them, ``(T,)`` and ``(S, T, C)``."""
        row = self.table.iloc[number]
        first, last = int(row["start"]), int(row["start"]) + int(row["pixels"])
        days = np.asarray(self.array(f"{sensor}/dates")[number])
        have = days != NO_DATE
        return days[have], self.array(f"{sensor}/values")[first:last][:, have]


def open_samples(folder: Path, kind: Kind) -> Opened:
    """Open samples of a kind.

    Raises:
        CropflowError: If the folder holds none of that kind.
    """
    if not (folder / f"{kind}.json").is_file():
        held = [name for name in TABLES if (folder / f"{name}.json").is_file()]
        refuse(f"Kind of the samples in {folder}", listing(held) or "none", kind, "The layout holds no other kind.")
    about: dict[str, Any] = read_json(folder / f"{kind}.json")
    layouts = tuple(layout_of(entry) for entry in about["sensors"])
    return Opened(folder, about, read_table(folder / TABLES[kind]), layouts)


def write_classes(path: Path, samples: Opened, own: Mapping[str, int], own_legend: str) -> dict[int, str]:
    """Say what the labels of an export mean, in the form that ``--classes`` reads back.

    Args:
        path: CSV file to write: ``code,crop``.
        samples: The samples.
        own: The layout's own labels -> ids of its own legend.
        own_legend: That legend.

    Returns:
        Crop -> label: the layout's own where the samples are of its legend, the legend's id otherwise; 0 is 0.
    """
    legend = read_legend(samples.about["legend"])
    own_codes = {id: code for code, id in own.items()} if legend.key == own_legend else {}
    codes = {id: own_codes.get(id, str(id)) for id in legend.ids}
    rows = [f"{code},{legend.name(id)}\n" for id, code in codes.items()]
    taken = "0" in codes.values()
    write_text(path, "".join(["code,crop\n", *([] if taken else ["0,-\n"]), *rows]))
    return codes if own_codes and taken else codes | {BACKGROUND: "0"}


def label_of(codes: Mapping[int, str], crop: int) -> str:
    """The label of a crop.

    Raises:
        CropflowError: If the layout has none: background where every label is a crop, or what nobody knows.
    """
    if crop not in codes:
        refuse("The crop of a sample", crop, f"one of {listing(codes)}", "The layout has no label for it.")
    return codes[crop]


def label_raster(
    crops: NDArray[np.uint16], codes: Mapping[int, str], others: Sequence[tuple[int, int]]
) -> NDArray[np.int64]:
    """Labels of an array of crops.

    Args:
        crops: Legend ids and the values that are no crop.
        codes: Crop -> label, a whole number.
        others: Values that are no crop -> label.
    """
    table = np.zeros(65_536, dtype=np.int64)
    for crop, code in codes.items():
        table[crop] = int(code)
    for value, label in others:
        table[value] = label
    labels: NDArray[np.int64] = table[crops]
    return labels
