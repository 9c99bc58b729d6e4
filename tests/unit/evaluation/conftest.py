"""Hand-made sample folders and prediction stores: a site of 8 x 12 pixels, three folds of four columns each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from typer.testing import CliRunner

from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.rasters import write_cog
from cropflow.files.tables import read_table, write_table
from cropflow.regions.grid import Grid

GRID = Grid(32631, 400_000.0, 5_000_000.0, 8, 12, 10.0)
IGNORE, UNKNOWN, NO_FOLD, NOT_PREDICTED = 65535, 65534, 255, 65535


class Region:
    """Two rows of three parcels; parcel i has crop ``crops[i]``, its upper row of pixels is rim."""

    def __init__(self, folder: Path, crops: list[int], place: str = "plain/2021") -> None:
        self.place = place
        self.samples = folder / "samples" / place
        self.parcels = np.zeros(GRID.shape, dtype=np.uint32)
        for index in range(6):
            row, column = divmod(index, 3)
            self.parcels[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = index + 1
        self.folds = np.repeat(np.repeat(np.arange(3, dtype=np.uint8), 4)[np.newaxis], 8, axis=0)
        lookup = np.array([0, *crops], dtype=np.uint16)
        self.truth = lookup[self.parcels]
        self.crops = self.truth.copy()
        self.crops[[0, 4]] = IGNORE
        self.table = pandas.DataFrame(
            {
                "site": "a",
                "index": np.arange(1, 7, dtype=np.uint32),
                "parcel_id": [f"p{index}" for index in range(1, 7)],
                "crop": lookup[1:],
                "fold": np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8),
                "area_ha": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
                "site_area_ha": [0.5, 2.0, 3.0, 4.0, 5.0, 6.0],
                "cut": False,
                "pixels": 16,
                "interior_pixels": 12,
            }
        )

    def write(self) -> Path:
        for name, values in (("crops", self.crops), ("parcels", self.parcels), ("folds", self.folds)):
            write_cog(self.samples / "a" / f"{name}.tif", values, GRID, None)
        write_table(self.samples / "parcels.parquet", self.table)
        return self.samples


def write_predictions(path, fold, classes, places, legend="turkoglu", grid=GRID):
    """One store: ``places`` maps region/season to the predicted ids ``(y, x)``; -1 = not predicted."""
    store = create_store(path, {"classes": list(classes), "legend": legend, "fold": fold})
    for place, ids in places.items():
        group = add_site(store.require_group(place), "a", grid)
        array = add_array(
            group, "probability", ("class", "y", "x"), (len(classes), *grid.shape), np.uint16,
            chunks=(len(classes), 5, 5), nodata=NOT_PREDICTED,
        )  # fmt: skip
        values = np.full(array.shape, NOT_PREDICTED, dtype=np.uint16)
        rest = 3000 // max(len(classes) - 1, 1)
        for position, crop in enumerate(classes):
            likely = 10_000 - rest * (len(classes) - 1)
            values[position] = np.where(ids < 0, NOT_PREDICTED, np.where(ids == crop, likely, rest))
        array[:] = values
    return path


def experiment_json(minimum=2):
    place = {"region": "plain", "season": "2021"}
    return json.dumps(
        {"set": "s", "model": {"name": "random_forest"}, "train": [place], "minimum_test_parcels": minimum}
    )


@pytest.fixture
def region(tmp_path):
    return Region(tmp_path, [1, 2, 3, 1, 2, 3])


@pytest.fixture
def make_region(tmp_path):
    return lambda crops, place="plain/2021": Region(tmp_path, crops, place)


@pytest.fixture
def predict(tmp_path):
    """Write one store per fold, from what the model of that fold says of the whole site."""

    def write(ids_by_fold, classes_by_fold, place="plain/2021", **options):
        paths = []
        for fold, (ids, classes) in enumerate(zip(ids_by_fold, classes_by_fold, strict=True)):
            path = tmp_path / f"{fold}.zarr"
            paths.append(write_predictions(path, fold, classes, {place: np.asarray(ids)}, **options))
        return paths

    return write


@pytest.fixture
def run(tmp_path):
    """Run the command and read back what it wrote."""
    from cropflow.evaluation.command import app

    def call(regions, stores, minimum=2, more=()):
        output = tmp_path / "out"
        options = {"output": "metrics.json", "confusion": "confusion.parquet", "parcels": "parcels.parquet"}
        arguments = ["--settings", experiment_json(minimum), *more]
        for region in regions:
            arguments += ["--place", region.place, "--samples", str(region.write())]
        for store in stores:
            arguments += ["--predictions", str(store)]
        for option, name in options.items():
            arguments += [f"--{option}", str(output / name)]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return (
            read_json(output / "metrics.json"),
            read_table(output / "confusion.parquet"),
            read_table(output / "parcels.parquet"),
        )

    return call
