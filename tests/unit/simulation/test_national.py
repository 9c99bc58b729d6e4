from __future__ import annotations

import numpy as np
import pyogrio
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.simulation.crops import CROPS
from cropflow.simulation.national import _cells, _stride, write_national_register
from cropflow.simulation.national_command import app
from cropflow.simulation.register import COLUMNS, LAMBERT_93
from cropflow.simulation.rpg_file import LAYER

MANY = 20_000


@pytest.fixture(scope="module")
def parcels(tmp_path_factory):
    path = tmp_path_factory.mktemp("national") / "register.gpkg"
    write_national_register(path, MANY, seed=3)
    return pyogrio.read_dataframe(path, layer=LAYER)


def test_it_has_the_schema_of_the_french_register(parcels):
    assert tuple(parcels.columns) == (*COLUMNS, "geometry")
    assert len(parcels) == MANY
    assert parcels["ID_PARCEL"].is_unique
    assert parcels["ID_PARCEL"].is_monotonic_increasing
    assert set(parcels["CODE_CULTU"]) == {crop.rpg_code for crop in CROPS.values()}
    assert parcels.crs == "EPSG:2154"
    assert (parcels.geom_type == "MultiPolygon").all()


def test_it_covers_the_country(parcels):
    west, south, east, north = parcels.to_crs(4326).total_bounds
    assert LAMBERT_93[0] < west < -4 and 8 < east < LAMBERT_93[2]
    assert LAMBERT_93[1] < south < 43 and 50.5 < north < LAMBERT_93[3]
    # As many parcels in the north half of the country as in the south, whatever their order in the file.
    first = parcels.geometry.iloc[: MANY // 10].centroid
    assert abs((first.y > parcels.geometry.centroid.y.median()).mean() - 0.5) < 0.03


def test_areas_are_log_normal_around_those_of_their_crops(parcels):
    hectares = parcels.geometry.area / 10_000
    assert 2 < hectares.mean() < 3.5
    assert hectares.quantile(0.99) > 15
    assert hectares.median() < hectares.mean()
    by_code = hectares.groupby(parcels["CODE_CULTU"]).mean()
    assert by_code["BTN"] > 3 * by_code["VRC"]


def test_it_has_the_faults_of_registers_in_their_shares(parcels):
    shapes = parcels.geometry.to_numpy()
    assert 0.0005 < (~shapely.is_valid(shapes)).mean() < 0.004
    repeated = parcels.geometry.to_wkb().duplicated()
    assert 0.0004 < repeated.mean() < 0.002
    tiny = shapely.area(shapes) < 100
    assert 0.0001 < tiny.mean() < 0.002
    width = 2 * shapely.area(shapes) / shapely.length(shapes)
    assert ((width < 2) & ~tiny).any()


def test_second_crops_are_declared_on_ploughed_fields_alone(parcels):
    ploughed = {crop.rpg_code for crop in CROPS.values() if crop.kind in ("winter", "summer")}
    held = parcels["CULTURE_D1"].notna()
    assert 0.01 < held.mean() < 0.1
    assert set(parcels.loc[held, "CODE_CULTU"]) <= ploughed
    assert held[parcels["CULTURE_D2"].notna()].all()


def test_the_same_seed_gives_the_same_bytes_over_several_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("cropflow.simulation.national.BATCH", 300)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_national_register(tmp_path / f"{name}.gpkg", 1000, seed)
    one, same, other = ((tmp_path / f"{name}.gpkg").read_bytes() for name in "abc")
    assert one == same
    assert one != other
    assert len(pyogrio.read_dataframe(tmp_path / "a.gpkg")) == 1000


@pytest.mark.parametrize("parcels", [1, 7, 5_000])
def test_every_parcel_has_a_cell_of_its_own(parcels):
    cells = _cells(parcels)
    total = int(cells.first[-1])
    assert total >= parcels
    numbers = np.arange(total) * _stride(total) % total
    assert len(np.unique(numbers)) == total
    assert len(np.unique(cells.centres(numbers), axis=0)) == total


def test_the_command_writes_a_manifest_and_refuses_another_format(tmp_path):
    words = ["--parcels", "50", "--output", str(tmp_path / "register.gpkg")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "register.gpkg.manifest.json").is_file()
    wrong = CliRunner().invoke(app, ["--parcels", "50", "--output", str(tmp_path / "register.shp")])
    assert isinstance(wrong.exception, CropflowError)
    assert "ends in .gpkg" in str(wrong.exception)
