"""Write what a layout holds as a folder of samples of our own, one sample at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError
from cropflow.files.atomic import write_json
from cropflow.files.tables import write_table
from cropflow.samples.labels import BACKGROUND, IGNORE, NO_FOLD, UNKNOWN
from cropflow.samples.layouts.growing import GrowingArray
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.sensors import BACKSCATTER, NO_DATE, REFLECTANCE, Layout

MEASURES = ("perimeter_m", "fill_ratio", "perimeter_area_ratio")
# Kind -> file that holds one row per sample.
TABLES: dict[Kind, str] = {"pixel_sets": "parcels.parquet", "chips": "chips.parquet", "patches": "index.parquet"}


def write_samples(source: Source, folder: Path, minimum_dates: int | None) -> dict[str, Any]:
    """Read a layout and write its samples.

    Args:
        source: The layout, opened.
        folder: Existing, empty folder.
        minimum_dates: Dates with a value that a sample (a pixel of a patch) needs of a sensor to be seen by it; None:
            all periods of calendar composites, one of acquisitions.

    Returns:
        The summary, which is written too: samples read, kept and dropped by reason, what else was met, samples per
        fold, and per crop samples (pixels of patches).

    Raises:
        CropflowError: If no sample is left.
        RuntimeError: If counts do not add up.
    """
    tally = Tally()
    rule = _Rule(
        {
            layout.sensor: minimum_dates or (1 if layout.acquisitions else len(layout.periods))
            for layout in source.layouts
        },
        complete=minimum_dates is None and not any(layout.acquisitions for layout in source.layouts),
    )
    with ExitStack() as stack:
        arrays = _Arrays(source, folder, rule, stack)
        for sample in _seen(source.walk(tally), rule, tally):
            arrays.add(sample)
            tally.kept += 1
    if not tally.kept:
        reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(tally.dropped.items()))
        raise CropflowError(
            f"No sample of {tally.read} is left ({reasons or 'the files hold none'}); expected at least one. "
            "Lower minimum_dates, or check the table of classes."
        )
    summary = tally.told() | arrays.told()
    write_table(folder / TABLES[source.kind], arrays.table())
    about = {
        "sensors": [layout.told() for layout in source.layouts],
        "legend": source.legend,
        "background": bool(arrays.crops[BACKGROUND]),
        "start": source.start,
        "lags": source.lags,
        "history_crops": arrays.history_crops,
        "folds": source.folds,
        "shuffled_crops": False,
        "minimum_dates": minimum_dates,
    }
    write_json(folder / f"{source.kind}.json", about | arrays.sizes())
    write_json(folder / "summary.json", summary)
    return summary


@dataclass(frozen=True)
class _Rule:
    """Dates that a sensor needs to count, and whether all sensors must; otherwise one is enough."""

    needed: Mapping[str, int]
    complete: bool


def _seen(samples: Iterator[Sample], rule: _Rule, tally: Tally) -> Iterator[Sample]:
    """Leave out sensors that saw a sample on too few dates, and samples that too few sensors are left of."""
    for sample in samples:
        kept: dict[str, Frames] = {}
        for sensor, frames in sample.series.items():
            dates = int(np.asarray(has_value(frames.values)).reshape(len(frames.days), -1).any(axis=1).sum())
            if dates >= rule.needed[sensor]:
                kept[sensor] = frames
            else:
                tally.found[f"samples with too few dates of {sensor}"] += 1
        if len(kept) < (len(rule.needed) if rule.complete else 1):
            tally.dropped["too few dates"] += 1
            continue
        yield replace(sample, series=kept)


def has_value(values: NDArray[Any]) -> NDArray[np.bool_]:
    """True where a date has a value in every band: ``(T, C, *space)`` -> bool ``(T, *space)``."""
    nodata = REFLECTANCE.nodata if values.dtype == REFLECTANCE.dtype else BACKSCATTER.nodata
    found: NDArray[np.bool_] = (values != nodata).all(axis=1)
    return found


class _Arrays:
    """The arrays and the table of one kind of samples."""

    def __init__(self, source: Source, folder: Path, rule: _Rule, stack: ExitStack) -> None:
        self.source = source
        self.rule = rule
        self.rows: list[dict[str, Any]] = []
        self.crops: Counter[int] = Counter()
        self.folds: Counter[int] = Counter()
        self.pixels = 0
        self.history: list[tuple[int, ...]] = []
        self.history_crops: list[int] = []
        self.folder = folder
        space, of_set = (source.size, source.size), source.kind == "pixel_sets"
        self.series: dict[str, dict[str, GrowingArray]] = {}
        for layout in source.layouts:
            length, bands = layout.length, len(layout.bands)
            shapes: dict[str, tuple[str, tuple[int, ...]]] = {
                "values": (layout.kind.dtype, (length, bands) if of_set else (length, bands, *space)),
                "observations": ("uint8", (length,) if of_set else (length, *space)),
                "dates": ("int16", (length,)),
            }
            if source.kind == "patches":
                shapes["filled"] = ("bool", (length, *space))
            self.series[layout.sensor] = {
                name: stack.enter_context(GrowingArray(folder / layout.sensor / f"{name}.npy", *shape))
                for name, shape in shapes.items()
            }
        labels = (("crops", "uint16"), ("folds", "uint8"), ("parcels", "uint32")) if source.kind == "patches" else ()
        self.labels = {
            name: stack.enter_context(GrowingArray(folder / f"{name}.npy", dtype, space)) for name, dtype in labels
        }

    def add(self, sample: Sample) -> None:
        """Append a sample."""
        some = next(iter(sample.series.values())).values
        space = some.shape[2:]
        enough: list[NDArray[np.bool_]] = []
        for layout in self.source.layouts:
            filled = self._frames(layout, sample.series.get(layout.sensor), space)
            for name, rows in filled.items():
                if self.source.kind == "pixel_sets" and name != "dates":
                    # Pixels are the rows.
                    self.series[layout.sensor][name].append(np.moveaxis(rows, -1, 0))
                else:
                    self.series[layout.sensor][name].append(rows[np.newaxis])
            enough.append(filled["observations"].sum(axis=0, dtype=np.int64) >= self.rule.needed[layout.sensor])
        self.folds[sample.fold] += 1
        row: dict[str, Any] = {"site": sample.site}
        if self.source.kind == "patches":
            seen = (np.logical_and if self.rule.complete else np.logical_or).reduce(enough)
            row |= {"patch_id": sample.id, **self._add_patch(sample, seen)}
        else:
            row |= {"index": len(self.rows) + 1, "parcel_id": sample.id}
            row |= {"crop": sample.crop, "fold": sample.fold, "row": 0, "column": 0}
            self.crops[int(np.asarray(sample.crop))] += 1
        if self.source.kind == "pixel_sets":
            perimeter, fill, ratio = sample.shape
            row |= {"start": self.pixels, "pixels": space[0]}
            row |= {"perimeter_m": perimeter, "fill_ratio": fill, "perimeter_area_ratio": ratio}
            row |= {"measured": bool(np.isfinite(sample.shape).all())}
            self.history.append(sample.history)
        self.rows.append(row)
        self.pixels += int(np.prod(space))

    def _frames(self, layout: Layout, frames: Frames | None, space: tuple[int, ...]) -> dict[str, NDArray[Any]]:
        length = layout.length
        values = np.full((length, len(layout.bands), *space), layout.kind.nodata, dtype=layout.kind.dtype)
        dates = np.full(length, NO_DATE, dtype=np.int16)
        if frames is not None:
            found = values[: len(frames.days)]
            found[:] = frames.values
            if len(frames.days) and np.abs(frames.days).max() >= -NO_DATE:
                raise CropflowError(
                    f"Dates lie up to {np.abs(frames.days).max()} days from {self.source.start}, day 0; expected fewer "
                    f"than {-NO_DATE}. Set start to the first day of the season."
                )
            dates[: len(frames.days)] = frames.days
        observations = has_value(values).astype(np.uint8)
        filled = {"values": values, "observations": observations, "dates": dates}
        return filled | ({"filled": np.zeros_like(observations, bool)} if self.source.kind == "patches" else {})

    def _add_patch(self, sample: Sample, seen: NDArray[np.bool_]) -> dict[str, Any]:
        # What was not seen often enough is not learnt from.
        crops = np.where(seen, sample.crop, IGNORE).astype(np.uint16)
        usable = seen if sample.barred is None else seen & ~sample.barred
        folds = np.where(usable, sample.fold, NO_FOLD).astype(np.uint8)
        parcels = np.zeros(seen.shape, np.uint32) if sample.parcels is None else sample.parcels
        for name, layer in (("crops", crops), ("folds", folds), ("parcels", parcels)):
            self.labels[name].append(layer[np.newaxis])
        ids, numbers = np.unique(crops[(crops < UNKNOWN) & (folds != NO_FOLD)], return_counts=True)
        counts = {int(crop): int(number) for crop, number in zip(ids, numbers, strict=True)}
        self.crops.update(counts)
        longitude, latitude = sample.place
        return {
            "row": 0,
            "column": 0,
            "labelled_share": sum(counts.values()) / seen.size,
            "longitude": longitude,
            "latitude": latitude,
            **{f"count_{crop}": number for crop, number in counts.items()},
        }

    def table(self) -> pandas.DataFrame:
        """The table of samples; with a history also its array is written."""
        table = pandas.DataFrame(self.rows)
        if self.source.kind == "patches":
            counts = [name for name in table.columns if name.startswith("count_")]
            counts.sort(key=lambda name: int(name.removeprefix("count_")))
            table[counts] = table[counts].fillna(0).astype("int64")
            return table[[*(name for name in table.columns if name not in counts), *counts]]
        types = {"index": "uint32", "crop": "uint16", "fold": "uint8"}
        if self.source.kind == "pixel_sets":
            types |= dict.fromkeys(MEASURES, "float32")
            table = table.drop(columns=["row", "column"])
            # Networks take numbers alone: the mean of the others tells nothing of a parcel, and normalised it is 0.
            known = table.loc[table["measured"], list(MEASURES)]
            table.loc[~table["measured"], list(MEASURES)] = known.mean().fillna(0).to_numpy()
            if self.source.lags:
                self._write_history()
        return table.astype(types)

    def _write_history(self) -> None:
        """``history.npy``: the share of each crop in each earlier year is 1 or 0; last what nobody knows."""
        earlier = np.array(self.history, dtype=np.int64)
        self.history_crops = sorted(int(crop) for crop in np.unique(earlier) if BACKGROUND < crop < UNKNOWN)
        shares = np.stack([earlier == crop for crop in self.history_crops], axis=-1) if self.history_crops else None
        known = np.zeros((*earlier.shape, 0), bool) if shares is None else shares
        unknown = ~known.any(axis=-1, keepdims=True)
        np.save(self.folder / "history.npy", np.concatenate([known, unknown], axis=-1).astype(np.float32))

    def sizes(self) -> dict[str, Any]:
        """What the JSON of the kind says beside sensors and legend."""
        if self.source.kind == "pixel_sets":
            measured = sum(row["measured"] for row in self.rows)
            return {"samples": len(self.rows), "pixels": self.pixels, "measured": measured}
        sized = {"patches": len(self.rows), "patch_size": self.source.size, "pixels": sum(self.crops.values())}
        return sized if self.source.kind == "patches" else {"chips": len(self.rows), "chip_size": self.source.size}

    def told(self) -> dict[str, Any]:
        """Samples per fold, and samples (pixels of patches) per crop."""
        return {
            "kind": self.source.kind,
            "folds_of": self.source.units,
            "folds": {str(fold): number for fold, number in sorted(self.folds.items())},
            "crops": {str(crop): number for crop, number in sorted(self.crops.items())},
        }
