"""Toy samples: two crops that a glance at the series tells apart, in five folds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

SIZE, PERIODS, BANDS = 16, 4, ("B04", "B08")
CROPS = (3, 7)


def write_patches(folder: Path, seed: int = 0, count: int = 15, **changes: Any) -> Path:
    """Write a folder of samples with one patch per row; fold = patch number modulo 5."""
    generator = np.random.default_rng(seed)
    # Crops in stripes of four columns; each stripe is a parcel.
    stripe = np.broadcast_to(np.arange(SIZE) // 4, (count, SIZE, SIZE))
    first = generator.integers(2, size=(count, 1, 1))
    crop = (stripe + first) % 2
    season = np.array([[500, 1500, 2500, 3500], [3500, 2500, 1500, 500]])
    series = season[crop][..., None] + np.array([0, 300])
    reflectance = series + generator.normal(0, 100, series.shape)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "reflectance": np.moveaxis(reflectance, (-2, -1), (1, 2)).round().clip(1).astype(np.uint16),
        "crops": np.array(CROPS, dtype=np.uint16)[crop],
        "folds": np.broadcast_to((np.arange(count) % 5)[:, None, None], crop.shape).astype(np.uint8),
        "parcels": (np.arange(count)[:, None, None] * 4 + stripe + 1).astype(np.uint32),
        "observations": np.ones((count, PERIODS, SIZE, SIZE), np.uint8),
        "filled": np.zeros((count, PERIODS, SIZE, SIZE), np.bool_),
    }
    arrays["crops"][:, 0, :] = 65535
    arrays["crops"][:, 1, :] = 65534
    arrays["crops"][:, 2, :] = 0
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    patches = folder / "patches"
    patches.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(patches / f"{name}.npy", array)
    pandas.DataFrame({"site": "a", "row": 0, "column": np.arange(count) * SIZE, "labelled_share": 1.0}).to_parquet(
        patches / "index.parquet"
    )
    layout = {
        "bands": list(BANDS),
        "periods": [f"2021-{month:02d}-01" for month in range(1, PERIODS + 1)],
        "legend": "turkoglu",
        "patch_size": SIZE,
    }
    (patches / "patches.json").write_text(json.dumps(layout))
    return folder


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., Path]:
    """Write toy samples under a name; arrays may be changed by functions."""
    return lambda name="samples", **changes: write_patches(tmp_path / name, **changes)


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
