"""A small region: one site of 40 x 40 pixels, a chequerboard of parcels, composites with gaps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.config.base import dump
from cropflow.config.sections import SampleSet
from cropflow.files.atomic import atomic_folder
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid
from cropflow.regions.sites import sites_table
from cropflow.samples.command import app

GRID = Grid(32631, 500000.0, 4900000.0, 40, 40, 10.0)
PERIODS = ["2018-01-01", "2018-02-01", "2018-03-01"]


@dataclass(frozen=True)
class Region:
    """Where the files of the region lie, and the commands that are run on them."""

    sites: Path
    parcels: Path
    crops: Path
    composites: Path
    grids: dict[str, Grid]

    def folds(self, folder: Path, settings: SampleSet, seasons: int = 1) -> Path:
        """The table of folds."""
        call(
            "folds", "--sites", self.sites, *["--parcels", self.parcels, "--crops", self.crops] * seasons,
            "--settings", json.dumps(dump(settings)),
            "--output", folder / "folds.parquet", "--summary", folder / "folds.json",
        )  # fmt: skip
        return folder / "folds.parquet"

    def build(self, folder: Path, settings: SampleSet, name: str = "samples", stores: Sequence[Path] = ()) -> Path:
        """The folder of samples, of the region's composites or of the stores of several sensors."""
        folds = self.folds(folder, settings)
        call(
            "build", *self._stores(stores), "--sites", self.sites, "--parcels", self.parcels, "--crops", self.crops,
            "--folds", folds, "--settings", json.dumps(dump(settings)), "--output", folder / name,
        )  # fmt: skip
        return folder / name

    def cut(self, samples: Path, verb: str, settings: SampleSet, *options: object, stores: Sequence[Path] = ()) -> Path:
        """The folder of patches, pixel-sets or chips of samples."""
        output = samples.with_name(f"{samples.name}-{verb}")
        call(
            verb, "--samples", samples, *self._stores(stores), "--sites", self.sites,
            "--settings", json.dumps(dump(settings)), "--output", output, *options,
        )  # fmt: skip
        return output

    def _stores(self, stores: Sequence[Path]) -> list[object]:
        return [word for store in stores or [self.composites] for word in ("--composites", store)]


def call(*arguments: object) -> None:
    """Run a command of the room, which must succeed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def make_table(geometries: list, cut: list[bool] | None = None, prefix: str = "p") -> geopandas.GeoDataFrame:
    """Parcels of a site as the regions room writes them."""
    area_ha = [geometry.area / 10_000 for geometry in geometries]
    return geopandas.GeoDataFrame(
        {
            "index": np.arange(1, len(geometries) + 1, dtype=np.uint32),
            "parcel_id": [f"{prefix}{number:03d}" for number in range(len(geometries))],
            "crop_code": "X",
            "area_ha": area_ha,
            "site_area_ha": area_ha,
            "cut": cut or [False] * len(geometries),
        },
        geometry=geometries,
        crs=32631,
    )


@pytest.fixture
def grid() -> Grid:
    return GRID


@pytest.fixture
def parcel_table() -> Callable[..., geopandas.GeoDataFrame]:
    return make_table


@pytest.fixture
def chequerboard() -> geopandas.GeoDataFrame:
    """8 x 8 parcels that hold 4 x 4 pixel centres each, 10 m apart, their edges off the pixel edges."""
    boxes = []
    for row in range(8):
        for column in range(8):
            x, y = 500000 + 50 * column + 6, 4900000 - 50 * row - 6
            boxes.append(shapely.box(x, y - 40, x + 40, y))
    return make_table(boxes)


@pytest.fixture
def region(tmp_path: Path, chequerboard: geopandas.GeoDataFrame) -> Region:
    """Files of the region; crops 1, 2 and 3 in turn, two parcels out of scope, one unknown."""
    grids = {"here": GRID}
    write_table(tmp_path / "sites.parquet", sites_table(grids))
    (tmp_path / "parcels").mkdir()
    write_table(tmp_path / "parcels" / "here.parquet", chequerboard)
    crop = np.array([1 + number % 3 for number in range(64)], dtype=np.uint16)
    crop[[5, 40]], crop[20] = 0, 65534
    # The register knows parcels elsewhere too, in another order.
    ids = [*chequerboard["parcel_id"], "elsewhere"][::-1]
    write_table(
        tmp_path / "crops.parquet",
        pandas.DataFrame({"parcel_id": ids, "crop": np.append(crop, 9)[::-1].astype(np.uint16)}),
    )
    rng = np.random.default_rng(0)
    reflectance = rng.integers(1, 10000, (3, 2, 40, 40), dtype=np.uint16)
    observations = np.full((3, 40, 40), 2, dtype=np.uint8)
    filled = np.zeros((3, 40, 40), dtype=bool)
    # One pixel filled in February, another left without a value.
    observations[1, 3, 3], filled[1, 3, 3] = 0, True
    observations[1, 8, 8], reflectance[1, :, 8, 8] = 0, 0
    with atomic_folder(tmp_path / "composites.zarr") as folder:
        group = add_site(create_store(folder), "here", GRID, {"bands": ["B04", "B08"], "periods": PERIODS})
        for name, values in (("reflectance", reflectance), ("observations", observations), ("filled", filled)):
            axes = ("period", "band", "y", "x") if values.ndim == 4 else ("period", "y", "x")
            array = add_array(group, name, axes, values.shape, values.dtype, chunks=(16,) * values.ndim)
            array[:] = values
    return Region(
        tmp_path / "sites.parquet",
        tmp_path / "parcels",
        tmp_path / "crops.parquet",
        tmp_path / "composites.zarr",
        grids,
    )
