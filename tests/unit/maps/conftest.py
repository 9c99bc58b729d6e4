"""A place with two small sites, made by hand, and models whose answer is written in the composites.

The first band of the first period holds, divided by 100, the class that every model should see; a model of fold f
answers with a probability of ``0.6 + f / 10`` so that a map tells which model spoke.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import read_geotable, write_table
from cropflow.regions.grid import Grid
from cropflow.samples.sensors import Layout

NOT_PREDICTED = 65535
GRIDS = {
    "a": Grid(32631, 400_000.0, 5_000_080.0, 8, 12, 10.0),
    "b": Grid(32631, 400_200.0, 5_000_080.0, 6, 8, 10.0),
}
BLOCK_M = 40.0


@dataclass(frozen=True)
class FakePredictor:
    """Reads the class off the first value of each pixel's series."""

    fold: int
    classes: tuple[int, ...]
    layouts: tuple[Layout, ...] = (Layout("sentinel2", ("B04", "B08"), (), ("2021-01-01", "2021-02-01", "2021-03-01")),)
    legend: str = "turkoglu"
    patch_size: int = 4
    kind: str = "pixels"
    batch: int = 10
    minimum_dates: int | None = None
    features: bool = False
    lags: int = 0

    def prepare(self, batch):
        return batch

    def probability(self, batch):
        sure = 0.6 + self.fold / 10
        wanted = batch.series["sentinel2"].values.numpy()[:, 0, 0] // 100
        if self.kind == "pixel_sets":
            wanted = wanted[:, 0]  # the first pixel speaks for its parcel
        rest = (1 - sure) / (len(self.classes) - 1)
        layers = [np.where(wanted == crop, sure, rest) for crop in self.classes]
        found = np.stack(layers, axis=1)
        return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def use_models(monkeypatch, tmp_path):
    """Stand in for trained models; returns the folders that stand for them."""

    def use(predictors):
        import cropflow.models
        import cropflow.models.checkpoints

        by_folder = {tmp_path / "models" / str(number): found for number, found in enumerate(predictors)}
        monkeypatch.setattr(cropflow.models, "load_predictor", lambda folder, threads: by_folder[folder])
        monkeypatch.setattr(
            cropflow.models.checkpoints, "read_description", lambda folder: SimpleNamespace(fold=by_folder[folder].fold)
        )
        for folder in by_folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.json").write_text("{}")
        return list(by_folder)

    return use


class Place:
    """Inputs of a map on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = {site: np.full(grid.shape, 1) for site, grid in GRIDS.items()}
        self.truth["a"][:, 6:] = 2
        self.truth["b"][3:] = 3
        # Pixels filled in the second period.
        self.filled = {site: np.zeros(grid.shape, dtype=bool) for site, grid in GRIDS.items()}
        self.missing = {site: np.zeros(grid.shape, dtype=bool) for site, grid in GRIDS.items()}

    def write_sites(self) -> Path:
        rows = [
            {"site": site, "epsg": grid.epsg, "transform": list(grid.transform)[:6], "height": grid.height,
             "width": grid.width, "geometry": shapely.box(2, 45, 3, 46)}
            for site, grid in GRIDS.items()
        ]  # fmt: skip
        write_table(self.folder / "sites.parquet", geopandas.GeoDataFrame(rows, crs="EPSG:4326"))
        return self.folder / "sites.parquet"

    def write_composites(self, bands=("B04", "B08"), periods=3, sites=GRIDS) -> Path:
        path = self.folder / "composites.zarr"
        store = create_store(path)
        for site, grid in sites.items():
            attributes = {"bands": list(bands), "periods": [f"2021-{month + 1:02d}-01" for month in range(periods)]}
            group = add_site(store, site, grid, attributes)
            shape = (periods, len(bands), *grid.shape)
            array = add_array(group, "reflectance", ("period", "band", "y", "x"), shape, np.uint16, chunks=(9, 9, 5, 5))
            values = np.full(shape, 700, dtype=np.uint16)
            values[0, 0] = self.truth[site][: grid.height, : grid.width] * 100
            values[:, :, self.missing[site]] = 0
            array[:] = values
            filled = np.zeros((periods, *grid.shape), dtype=bool)
            filled[1] = self.filled[site][: grid.height, : grid.width]
            add_array(group, "filled", ("period", "y", "x"), filled.shape, bool, chunks=(9, 5, 5))[:] = filled
            add_array(group, "observations", ("period", "y", "x"), filled.shape, np.uint8, chunks=(9, 5, 5))[
                :
            ] = ~filled
        return path

    def write_folds(self) -> Path:
        """Blocks of four columns: folds 0, 1, 2 in site a; 2, 0, (1) in site b."""
        rows = []
        for block_x in range(10_000, 10_012):
            for block_y in range(124_998, 125_004):
                rows.append((32631, block_x, block_y, BLOCK_M, block_x % 3))
        table = pandas.DataFrame(rows, columns=["epsg", "block_x", "block_y", "block_m", "fold"])
        table["fold"] = ((table["block_x"] - 10_000) % 3).astype(np.uint8)
        write_table(self.folder / "folds.parquet", table)
        return self.folder / "folds.parquet"

    def write_parcels(self) -> tuple[Path, Path]:
        """Site a: one parcel of crop 1 declared as 2, one of crop 2, one too thin for any pixel; b: none."""
        boxes = [
            shapely.box(400_000, 5_000_000, 400_040, 5_000_080),
            shapely.box(400_060, 5_000_000, 400_120, 5_000_080),
            shapely.box(400_046, 5_000_000, 400_049, 5_000_080),
        ]
        table = {
            "index": np.array([1, 2, 3], dtype=np.uint32),
            "parcel_id": ["p1", "p2", "p3"],
            "crop_code": ["BTH", "NA", "MIS"],
            "area_ha": [0.32, 0.48, 0.02],
            "site_area_ha": [0.32, 0.48, 0.02],
            "cut": [False, True, False],
        }
        both = geopandas.GeoDataFrame(table, geometry=boxes, crs="EPSG:32631")
        write_table(self.folder / "parcels" / "a.parquet", both)
        write_table(self.folder / "parcels" / "b.parquet", both.iloc[:0])
        crops = pandas.DataFrame({"parcel_id": ["p1", "p2", "p3"], "crop": np.array([2, 2, 65534], dtype=np.uint16)})
        write_table(self.folder / "crops.parquet", crops)
        return self.folder / "parcels", self.folder / "crops.parquet"

    def write_predictions(self, place, probability_by_fold, classes=(1, 2, 3)) -> list[Path]:
        """Stored predictions: per fold a function from the fold's test pixels to probabilities."""
        paths = []
        for fold, ids in enumerate(probability_by_fold):
            path = self.folder / f"predictions-{fold}.zarr"
            store = create_store(path, {"classes": list(classes), "legend": "turkoglu", "fold": fold})
            for site, grid in GRIDS.items():
                group = add_site(store.require_group(place), site, grid)
                shape = (len(classes), *grid.shape)
                array = add_array(
                    group, "probability", ("class", "y", "x"), shape, np.uint16, chunks=(9, 5, 5), nodata=NOT_PREDICTED
                )
                columns = (np.arange(grid.width) * 10 + grid.xmin) // BLOCK_M
                mine = np.broadcast_to((columns - 10_000) % 3 == fold, grid.shape)
                layers = np.stack([np.where(ids == crop, 10_000, 0) for crop in classes])
                array[:] = np.where(mine, layers[:, np.newaxis, np.newaxis], NOT_PREDICTED)
            paths.append(path)
        return paths


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def run(place, use_models):
    """Run the command with what is given and read back the folder."""
    from cropflow.maps.command import app

    def call(predictors, name="plain/2021", predictions=(), folds=None, parcels=None, crops=None, **composites):
        output = place.folder / "out"
        train = [{"region": "plain", "season": "2021"}]
        options = [
            ("place", name),
            ("sites", place.write_sites()),
            ("composites", place.write_composites(**composites)),
            *(("model", folder) for folder in use_models(predictors)),
            *(("predictions", store) for store in predictions),
            *((key, value) for key, value in (("folds", folds), ("parcels", parcels), ("crops", crops)) if value),
            ("settings", json.dumps({"set": "s", "model": {"name": "random_forest"}, "train": train})),
            ("threads", 1),
            ("output", output),
        ]
        arguments = [part for option, value in options for part in (f"--{option}", str(value))]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        table = read_geotable(output / "parcels.parquet") if (output / "parcels.parquet").exists() else None
        return output, read_json(output / "summary.json"), table

    return call


@pytest.fixture
def three_models():
    return [FakePredictor(fold, (1, 2, 3)) for fold in range(3)]


@pytest.fixture
def predictor():
    return FakePredictor
