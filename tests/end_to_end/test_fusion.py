"""From composites of two sensors to a map: crops that no sensor tells apart alone are all found again.

The stores are made by hand: by optics one of four crops differs from the rest, by radar two others do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import shapely

from cropflow import cli
from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_geotable, write_table
from cropflow.regions.grid import Grid
from cropflow.regions.sites import sites_table

GRID = Grid(32631, 500_000.0, 4_900_000.0, 64, 64, 10.0)
# Finest crops of the legend "turkoglu", and the side of a parcel in pixels.
CROPS, SIDE, FOLDS = np.array([21, 40, 44, 48]), 8, 3
SENSORS = ("sentinel2", "sentinel1_ascending")
PERIODS = [f"2021-{month:02d}-01" for month in range(3, 7)]
GREENING = np.array([[1500, 1200, 900, 700], [700, 900, 1200, 1500]])
WETTING = np.array([[-2000, -1800, -1500, -1200], [-1200, -1500, -1800, -2000], [-1000, -1000, -1000, -1000]])


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """Position of the crop of each pixel, four of them in a parcel each of 80 m."""
    drawn = np.random.default_rng(2).permutation(np.arange(64) % 4).reshape(8, 8)
    return drawn.repeat(SIDE, axis=0).repeat(SIDE, axis=1)


class Chain:
    """The commands from samples to maps, on stores of some sensors."""

    def __init__(self, folder: Path, crop: np.ndarray, sensors: tuple[str, ...]) -> None:
        self.folder, self.sensors = folder, sensors
        write_table(folder / "sites.parquet", sites_table({"a": GRID}))
        self._parcels(crop)
        generator = np.random.default_rng(5)
        for sensor in sensors:
            if sensor == "sentinel2":
                red = GREENING[(crop == 1).astype(int)]
                values = np.stack([red, 4000 - red], axis=-1) + generator.normal(0, 150, (*crop.shape, 4, 2))
                self._store(sensor, "reflectance", np.moveaxis(values, (2, 3), (0, 1)).astype(np.uint16), 0)
            else:
                vv = WETTING[np.array([0, 0, 1, 2])[crop]]
                values = np.stack([vv, vv - 700], axis=-1) + generator.normal(0, 120, (*crop.shape, 4, 2))
                self._store(sensor, "backscatter", np.moveaxis(values, (2, 3), (0, 1)).astype(np.int16), -32768)

    def _parcels(self, crop: np.ndarray) -> None:
        left, top = GRID.xmin, GRID.ymax
        side = SIDE * GRID.pixel_m
        boxes = [
            shapely.box(left + x * side, top - (y + 1) * side, left + (x + 1) * side, top - y * side)
            for y in range(8)
            for x in range(8)
        ]
        names = [f"p{number:02d}" for number in range(64)]
        area = [box.area / 10_000 for box in boxes]
        table = {"index": np.arange(1, 65, dtype=np.uint32), "parcel_id": names, "crop_code": "X", "cut": False}
        parcels = geopandas.GeoDataFrame(
            table | {"area_ha": area, "site_area_ha": area}, geometry=boxes, crs=f"EPSG:{GRID.epsg}"
        )
        (self.folder / "parcels").mkdir()
        write_table(self.folder / "parcels" / "a.parquet", parcels)
        ids = CROPS[crop[::SIDE, ::SIDE].ravel()].astype(np.uint16)
        write_table(self.folder / "crops.parquet", pandas.DataFrame({"parcel_id": names, "crop": ids}))

    def _store(self, sensor: str, name: str, values: np.ndarray, nodata: int) -> None:
        # Each sensor misses one pixel of its own.
        lost = SENSORS.index(sensor) + 20
        values[1, :, lost, lost] = nodata
        observations = np.ones((len(PERIODS), *GRID.shape), dtype=np.uint8)
        observations[1, lost, lost] = 0
        bands = ["B04", "B08"] if sensor == "sentinel2" else ["VV", "VH"]
        store = create_store(self.folder / f"{sensor}.zarr")
        group = add_site(store, "a", GRID, {"bands": bands, "periods": PERIODS})
        arrays = {name: values, "observations": observations, "filled": np.zeros(observations.shape, dtype=bool)}
        for key, array in arrays.items():
            axes = ("period", "band", "y", "x") if array.ndim == 4 else ("period", "y", "x")
            add_array(group, key, axes, array.shape, array.dtype, chunks=array.shape, nodata=0)[:] = array

    def run(self, call: Callable[..., None], model: dict) -> tuple[dict, np.ndarray]:
        """Run all commands; the metrics, and the crops of the map."""
        samples, place = self.folder / "samples", ("--place", "plain/2021")
        stores = [word for sensor in self.sensors for word in ("--composites", self.folder / f"{sensor}.zarr")]
        land = ("--parcels", self.folder / "parcels", "--crops", self.folder / "crops.parquet")
        sites, blocks = ("--sites", self.folder / "sites.parquet"), ("--folds", self.folder / "folds.parquet")
        chosen = {
            "series": "monthly", "sensors": self.sensors, "legend": "turkoglu", "patch_size": 16, "inner_buffer_m": 0,
            "folds": {"count": FOLDS, "block_m": 160, "ring_m": 0},
        }  # fmt: skip
        entry = ("--settings", json.dumps(chosen))
        call("samples", "folds", *sites, *land, *entry, "--output", blocks[1], "--summary", self.folder / "folds.json")
        call("samples", "build", *stores, *sites, *land, *blocks, *entry, "--output", samples)
        # Models of pixels learn from patches, as whole networks of patches do.
        kind = "pixel-sets" if model.get("unit") == "parcel" or model["name"].startswith("pse") else "patches"
        cut = self.folder / kind
        call("samples", kind, "--samples", samples, *stores, *sites, *entry, "--output", cut)
        models, predictions = [], []
        for fold in map(str, range(FOLDS)):
            folder, store = self.folder / fold / "model", self.folder / fold / "predictions.zarr"
            call(
                "models", "train", *place, "--samples", cut, "--settings", json.dumps(model),
                "--legend", "turkoglu", "--no-background", "--folds", FOLDS, "--fold", fold, "--seed", 0,
                "--work", self.folder / "work", "--output", folder,
            )  # fmt: skip
            call(
                "models", "predict", *place, "--samples", samples, *blocks, *stores, "--model", folder,
                "--fold", fold, "--output", store,
            )  # fmt: skip
            models += ["--model", folder]
            predictions += ["--predictions", store]
        train = [{"region": "plain", "season": "2021"}]
        experiment = ("--settings", json.dumps({"set": "s", "model": model, "train": train}))
        metrics = self.folder / "metrics.json"
        call(
            "evaluation", *place, "--samples", samples, *predictions, *experiment, "--output", metrics,
            "--confusion", self.folder / "confusion.parquet", "--parcels", self.folder / "tested.parquet",
        )  # fmt: skip
        call("maps", *place, *sites, *stores, *models, *predictions, *blocks, *land, *experiment,
             "--output", self.folder / "map")  # fmt: skip
        return read_json(metrics)["metrics"], read_raster(self.folder / "map" / "a" / "crops.tif")[0][0]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command, which must succeed."""

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["cropflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code

    return run


FOREST = {"name": "random_forest", "trees": 40}
NETWORK = {
    "name": "temporal_unet", "temporal_width": 16, "temporal_layers": 1, "widths": [16, 16], "dropout": 0,
    "positions": True, "schedule": "one_cycle", "learning_rate": 0.02, "batch_size": 4, "cutout": 8, "epochs": 25,
    "patience": 25, "watch": "balanced_accuracy",
}  # fmt: skip


PARCEL_NETWORK = {
    "name": "pse_tsa", "fusion": "early", "epochs": 40, "patience": 40, "learning_rate": 0.01, "batch_size": 8,
}  # fmt: skip


def test_a_model_of_parcels_is_trained_tested_and_mapped_like_all_others(crop, call, tmp_path):
    metrics, mapped = Chain(tmp_path, crop, SENSORS).run(call, PARCEL_NETWORK)
    assert metrics["level_3.parcel.balanced_accuracy"]["value"] > 0.95
    # A parcel is mapped whole, with the pixels that a sensor misses.
    assert (mapped != 255).all()
    blocks = mapped.reshape(8, SIDE, 8, SIDE)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert (mapped == CROPS[crop]).mean() > 0.95
    assert read_json(tmp_path / "map" / "summary.json")["sites"]["a"]["outside_parcels"] == 0


@pytest.mark.parametrize("model", [FOREST, NETWORK], ids=["forest", "network"])
def test_two_sensors_find_all_crops_again(crop, call, tmp_path, model):
    chain = Chain(tmp_path, crop, SENSORS)
    metrics, mapped = chain.run(call, model)
    assert metrics["level_3.parcel.balanced_accuracy"]["value"] > 0.95
    assert (mapped == CROPS[crop]).mean() > 0.95
    # A pixel that either sensor misses is mapped by none, and learnt from by none.
    assert (mapped[[20, 21], [20, 21]] == 255).all()
    assert (mapped == 255).sum() == 2
    pixels = read_json(tmp_path / "samples" / "summary.json")["pixels"]
    assert pixels["no_value_of"] == {"sentinel1_ascending": 1, "sentinel2": 1}
    assert read_json(tmp_path / "map" / "summary.json")["sites"]["a"]["filled_share"] == 0
    assert (read_geotable(tmp_path / "map" / "parcels.parquet")["predicted"] > 0).all()


@pytest.mark.parametrize(("sensor", "told_apart"), [("sentinel2", [1]), ("sentinel1_ascending", [2, 3])])
def test_one_sensor_finds_the_crops_that_it_tells_apart_and_no_more(crop, call, tmp_path, sensor, told_apart):
    _, mapped = Chain(tmp_path, crop, (sensor,)).run(call, FOREST)
    right = [(mapped[crop == one] == CROPS[one]).mean() for one in range(4)]
    for one in range(4):
        assert (right[one] > 0.95) == (one in told_apart), right
