"""Toy samples of parcels: pixel sets and chips whose crops a glance at the series tells apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from cropflow.models.batch import NO_DATE
from cropflow.samples.sensors import Layout

OPTICS = Layout("sentinel2", ("B04", "B08"), (), tuple(f"2021-{month:02d}-01" for month in range(1, 7)))
RADAR = Layout("sentinel1_ascending", ("VV", "VH", "VH-VV"), (), OPTICS.periods)
CROPS = (3, 7, 21)
FOLDS = 5
CHIP = 9
Change = Callable[[Any], Any]


def curves(layout: Layout, crops: np.ndarray[Any, Any], days: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values of crops on days, ``(n, T, C)``: each crop has its peak at another time."""
    phase = np.searchsorted(CROPS, crops)[:, None] * 2 * np.pi / len(CROPS)
    season = np.sin(days / 180 * 2 * np.pi + phase)[..., None]
    level = 2000 if layout.kind.dtype == "uint16" else -1500
    return level + 500 * season + 100 * np.arange(len(layout.bands))


def write_parcels(
    folder: Path,
    kind: str,
    *,
    seed: int = 0,
    count: int = 30,
    layouts: tuple[Layout, ...] = (OPTICS,),
    days: dict[str, np.ndarray[Any, Any]] | None = None,
    lags: int = 0,
    change: dict[str, Change] | None = None,
) -> Path:
    """Write pixel sets or chips as the samples room does; fold = parcel modulo 5, crop = parcel modulo 3.

    Args:
        folder: To write.
        kind: ``pixel_sets`` or ``chips``.
        seed: Of sizes and noise.
        count: Parcels.
        layouts: Axes of each sensor's series.
        days: Sensor -> dates, ``(N, T)``; those of the periods where absent.
        lags: Seasons of history.
        change: Array or ``parcels`` -> function of it, before it is written.
    """
    change, generator = change or {}, np.random.default_rng(seed)
    folder.mkdir(parents=True)
    pixels = generator.integers(1, 12, count) if kind == "pixel_sets" else np.full(count, CHIP * CHIP)
    crops = np.resize(np.array(CROPS, dtype=np.uint16), count)
    table = pandas.DataFrame(
        {
            "site": "a",
            "index": np.arange(1, count + 1, dtype=np.uint32),
            "parcel_id": [f"p{number}" for number in range(count)],
            "crop": crops,
            "fold": (np.arange(count) % FOLDS).astype(np.uint8),
        }
    )
    if kind == "pixel_sets":
        table["start"], table["pixels"] = np.cumsum(pixels) - pixels, pixels
        for name, scale in (("perimeter_m", 400), ("fill_ratio", 1), ("perimeter_area_ratio", 0.1)):
            table[name] = (scale * generator.uniform(0.5, 1, count)).astype(np.float32)
    else:
        table["row"], table["column"] = 0, np.arange(count) * CHIP
    about: dict[str, Any] = {
        "sensors": [layout.told() for layout in layouts],
        "legend": "turkoglu",
        "background": False,
        "lags": lags,
        "history_crops": [3, 21, 44],
        "chip_size": CHIP,
    }
    if lags:
        shares = generator.dirichlet(np.ones(4), (count, lags)).astype(np.float32)
        np.save(folder / "history.npy", change.get("history", lambda same: same)(shares))
    for layout in layouts:
        dates = np.tile(np.array(layout.days), (count, 1)) if days is None else days[layout.sensor]
        own = curves(layout, crops, dates)[np.repeat(np.arange(count), pixels)]
        values = (own + generator.normal(0, 30, own.shape)).round()
        values[np.repeat(dates, pixels, axis=0) == NO_DATE] = layout.kind.nodata
        if kind == "chips":
            values = np.moveaxis(values.reshape(count, CHIP, CHIP, *values.shape[1:]), (1, 2), (3, 4))
        values = change.get(layout.sensor, lambda same: same)(values.astype(layout.kind.dtype))
        (folder / layout.sensor).mkdir()
        np.save(folder / layout.sensor / "values.npy", values)
        np.save(folder / layout.sensor / "observations.npy", 2 * (values != layout.kind.nodata).all(2).astype(np.uint8))
        np.save(folder / layout.sensor / "dates.npy", dates.astype(np.int16))
    name = "parcels" if kind == "pixel_sets" else "chips"
    change.get("parcels", lambda same: same)(table).to_parquet(folder / f"{name}.parquet")
    (folder / f"{kind}.json").write_text(json.dumps(change.get("about", lambda same: same)(about)))
    return folder
