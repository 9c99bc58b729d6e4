"""Toy samples: crops that a glance at the series tells apart, in five folds, of one sensor or of two."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from cropflow.samples.sensors import Layout

SIZE, PERIODS, BANDS = 16, 4, ("B04", "B08")
CROPS = (3, 7)
RADAR = "sentinel1_ascending"
RADAR_BANDS = ("VV", "VH", "VH-VV")
# Four crops: optics tell the second from the others and nothing else, radar the last two from each other and the rest.
FUSED_CROPS = (3, 7, 21, 44)
SEASON = np.array([[500, 1500, 2500, 3500], [3500, 2500, 1500, 500]])
RADAR_SEASON = np.array([[-1800, -1500, -1200, -900], [-900, -1200, -1500, -1800]])


def write_patches(folder: Path, seed: int = 0, count: int = 15, **changes: Any) -> Path:
    """Write a folder of samples with one patch per row; fold = patch number modulo 5."""
    generator = np.random.default_rng(seed)
    # Crops in stripes of four columns; each stripe is a parcel.
    stripe = np.broadcast_to(np.arange(SIZE) // 4, (count, SIZE, SIZE))
    first = generator.integers(2, size=(count, 1, 1))
    crop = (stripe + first) % 2
    series = SEASON[crop][..., None] + np.array([0, 300])
    reflectance = series + generator.normal(0, 100, series.shape)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "reflectance": as_patches(reflectance).clip(1).astype(np.uint16),
        "crops": np.array(CROPS, dtype=np.uint16)[crop],
        "folds": np.broadcast_to((np.arange(count) % 5)[:, None, None], crop.shape).astype(np.uint8),
        "parcels": (np.arange(count)[:, None, None] * 4 + stripe + 1).astype(np.uint32),
    }
    arrays["crops"][:, 0, :] = 65535
    arrays["crops"][:, 1, :] = 65534
    arrays["crops"][:, 2, :] = 0
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    return save(folder, arrays)


def write_fused(folder: Path, seed: int = 0, count: int = 15, without: str = "", **changes: Any) -> Path:
    """Write patches of two sensors and four crops, some of which each sensor takes for one another."""
    generator = np.random.default_rng(seed)
    stripe = np.broadcast_to(np.arange(SIZE) // 4, (count, SIZE, SIZE))
    # Drawn stripe by stripe: the neighbours of a parcel tell nothing about it.
    crop = np.take_along_axis(generator.integers(4, size=(count, 1, 4)).repeat(SIZE, axis=1), stripe, axis=2)
    # By optics the second crop alone differs; by radar the first two are alike, and the last two are told apart.
    optics = SEASON[np.where(crop == 1, 1, 0)][..., None] + np.array([0, 300])
    radar = RADAR_SEASON[np.where(crop == 3, 1, 0)] - 300 * (crop >= 2)[..., None]
    radar = np.stack([radar, radar - 600, np.full_like(radar, -600)], axis=-1)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "reflectance": as_patches(optics + generator.normal(0, 60, optics.shape)).clip(1).astype(np.uint16),
        "backscatter": as_patches(radar + generator.normal(0, 40, radar.shape)).astype(np.int16),
        "crops": np.array(FUSED_CROPS, dtype=np.uint16)[crop],
        "folds": np.broadcast_to((np.arange(count) % 5)[:, None, None], crop.shape).astype(np.uint8),
        "parcels": (np.arange(count)[:, None, None] * 4 + stripe + 1).astype(np.uint32),
    }
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    arrays.pop(without, None)
    return save(folder, arrays)


def as_patches(series: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``(N, y, x, T, C)`` as ``(N, T, C, y, x)``, whole numbers."""
    return np.moveaxis(series, (-2, -1), (1, 2)).round()


def save(folder: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> Path:
    """Write arrays as the samples room does; ``reflectance`` and ``backscatter`` are the values of their sensors."""
    folder.mkdir(parents=True)
    periods = tuple(f"2021-{month:02d}-01" for month in range(1, PERIODS + 1))
    layouts = [
        Layout(sensor, bands, (), periods)
        for name, sensor, bands in (("reflectance", "sentinel2", BANDS), ("backscatter", RADAR, RADAR_BANDS))
        if name in arrays
    ]
    for layout in layouts:
        (folder / layout.sensor).mkdir()
        values = arrays[layout.kind.array]
        np.save(folder / layout.sensor / "values.npy", values)
        np.save(folder / layout.sensor / "observations.npy", (values != layout.kind.nodata).all(2).astype(np.uint8))
        np.save(folder / layout.sensor / "dates.npy", np.tile(np.array(layout.days, np.int16), (len(values), 1)))
    for name in ("crops", "folds", "parcels"):
        np.save(folder / f"{name}.npy", arrays[name])
    count = len(arrays["crops"])
    pandas.DataFrame({"site": "a", "row": 0, "column": np.arange(count) * SIZE, "labelled_share": 1.0}).to_parquet(
        folder / "index.parquet"
    )
    about = {"sensors": [layout.told() for layout in layouts], "legend": "turkoglu", "patch_size": SIZE}
    (folder / "patches.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., Path]:
    """Write toy samples under a name; arrays may be changed by functions."""
    return lambda name="samples", **changes: write_patches(tmp_path / name, **changes)


@pytest.fixture
def make_fused(tmp_path: Path) -> Callable[..., Path]:
    """Write toy samples of two sensors under a name; arrays may be changed by functions."""
    return lambda name="fused", **changes: write_fused(tmp_path / name, **changes)


@pytest.fixture(scope="session")
def narrow() -> dict[str, Any]:
    """Settings of a network that trains in seconds."""
    return {
        "name": "temporal_unet",
        "temporal_width": 8,
        "temporal_layers": 1,
        "widths": [8, 8],
        "dropout": 0.1,
        "learning_rate": 0.02,
        "batch_size": 3,
        "epochs": 3,
    }


@pytest.fixture(autouse=True)
def _quiet_threads() -> Iterator[None]:
    """One thread, and the global switches of torch as they were."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    level = logging.getLogger("cropflow").level
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    logging.getLogger("cropflow").setLevel(level)
