"""What loading.py reads: patches, GeoTIFFs of the same pixels, and pixel sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import rasterio
from rasterio.transform import from_origin

from cropflow.samples.sensors import Layout

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SIZE, DATES, SET_DATES = 64, 12, 36
PIXEL_M, XMIN, YMAX = 10.0, 500_000.0, 5_000_000.0
CROPS, FOLDS = (3, 7, 21), 5


def layout_of(dates: int) -> Layout:
    """A series of so many dates."""
    first = np.datetime64("2021-01-01")
    return Layout("sentinel2", BANDS, (), tuple(str(first + number * (360 // dates)) for number in range(dates)))


def write_patches(folder: Path, side: int) -> np.ndarray[Any, Any]:
    """Patches that cover a square of ``side`` pixels; gives the square, ``(T C, y, x)``."""
    rng = np.random.default_rng(0)
    square = np.empty((DATES * len(BANDS), side, side), dtype=np.uint16)
    for layer in square:
        coarse = rng.integers(200, 4000, (side // 16, side // 16))
        fields = np.kron(coarse, np.ones((16, 16), dtype=np.int64))
        layer[:] = (fields + rng.normal(0, 40, (side, side))).clip(1, 10_000)
    along = side // SIZE
    count = along * along
    values = square.reshape(DATES, len(BANDS), along, SIZE, along, SIZE).transpose(2, 4, 0, 1, 3, 5)
    values = values.reshape(count, DATES, len(BANDS), SIZE, SIZE)
    layout, shape = layout_of(DATES), (count, SIZE, SIZE)
    (folder / "sentinel2").mkdir(parents=True)
    np.save(folder / "sentinel2" / "values.npy", values)
    np.save(folder / "sentinel2" / "observations.npy", np.ones((count, DATES, SIZE, SIZE), dtype=np.uint8))
    np.save(folder / "sentinel2" / "dates.npy", np.tile(np.array(layout.days, dtype=np.int16), (count, 1)))
    np.save(folder / "crops.npy", rng.choice(np.array(CROPS, dtype=np.uint16), shape))
    # A run reads all of them: none is kept for validation or test but one of each.
    folds = np.full(count, 2, dtype=np.uint8)
    folds[:2] = 0, 1
    np.save(folder / "folds.npy", np.broadcast_to(folds[:, None, None], shape))
    np.save(folder / "parcels.npy", np.ones(shape, dtype=np.uint32))
    pandas.DataFrame({"site": ["a"] * count}).to_parquet(folder / "index.parquet")
    about = {"sensors": [layout.told()], "legend": "turkoglu", "background": False, "patch_size": SIZE}
    (folder / "patches.json").write_text(json.dumps(about), encoding="utf-8")
    return square


def write_raster(path: Path, values: np.ndarray[Any, Any], column: int = 0, compress: str = "NONE") -> None:
    """A GeoTIFF of all dates and bands, ``(T C, y, x)``, tiled where it is larger than a patch."""
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256} if values.shape[-1] > SIZE else {}
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype="uint16",
        crs="EPSG:32631", transform=from_origin(XMIN + column * PIXEL_M, YMAX, PIXEL_M, PIXEL_M),
        interleave="band", compress=compress, **tiled,
    ) as raster:  # fmt: skip
        raster.write(values)


def write_pixel_sets(folder: Path, parcels: int) -> None:
    """Pixel sets, and a file per parcel beside them."""
    rng = np.random.default_rng(0)
    counts = rng.integers(80, 401, parcels)
    starts, layout = np.cumsum(counts) - counts, layout_of(SET_DATES)
    (folder / "sentinel2").mkdir(parents=True)
    (folder / "files").mkdir()
    shape = (int(counts.sum()), SET_DATES, len(BANDS))
    values = np.lib.format.open_memmap(folder / "sentinel2" / "values.npy", "w+", np.dtype(np.uint16), shape)
    for parcel, (start, count) in enumerate(zip(starts, counts, strict=True)):
        values[start : start + count] = rng.integers(1, 5000, (count, *shape[1:]), dtype=np.uint16)
        np.save(folder / "files" / f"{parcel}.npy", np.moveaxis(values[start : start + count], 0, -1))
    values.flush()
    np.save(folder / "sentinel2" / "observations.npy", np.ones(shape[:2], dtype=np.uint8))
    np.save(folder / "sentinel2" / "dates.npy", np.tile(np.array(layout.days, dtype=np.int16), (parcels, 1)))
    folds = np.full(parcels, 2, dtype=np.uint8)
    folds[:2] = 0, 1
    columns = {"crop": np.resize(np.array(CROPS, dtype=np.uint16), parcels), "fold": folds, "start": starts}
    features = {"perimeter_m": 400.0, "fill_ratio": 0.8, "perimeter_area_ratio": 0.04}
    pandas.DataFrame({**columns, "pixels": counts, **features}).to_parquet(folder / "parcels.parquet")
    about = {"sensors": [layout.told()], "legend": "turkoglu", "background": False, "lags": 0}
    (folder / "pixel_sets.json").write_text(json.dumps(about), encoding="utf-8")
