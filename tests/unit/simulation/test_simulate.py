from __future__ import annotations

import json
import sys
import types

import geopandas
import numpy as np
import pytest
import rasterio

from cropflow.config.simulation import Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.files.manifest import content_hash, manifest_path
from cropflow.simulation.command import read_seasons, simulate
from cropflow.simulation.crops import CROPS, crop_index
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.register import declare
from cropflow.simulation.truth import crop_pixels, majority, true_crops, true_fields

DATES = {
    "2020": {"start": "2019-10-01", "end": "2020-09-30"},
    "2021": {"start": "2020-10-01", "end": "2021-09-30"},
}
SETTINGS = {
    "landscapes": {"north": {"centre": [2.5, 48.5], "side_km": 0.64}},
    "seasons": ["2020", "2021"],
    "imagery_seasons": ["2021"],
}


@pytest.fixture(scope="module")
def simulation():
    square = Landscape(centre=(2.5, 48.5), side_km=0.64)
    return Simulation(landscapes={"north": square}, seasons=("2020", "2021"), imagery_seasons=("2021",))


@pytest.fixture(scope="module")
def land(simulation):
    return make_landscape("north", simulation.landscapes["north"], simulation)


@pytest.fixture
def without_scenes(monkeypatch):
    """Put a folder of one file in the place of the archive: scenes have tests of their own."""

    def write_archive(folder, landscapes, simulation, seasons):
        (folder / "catalog.json").write_text("{}\n", encoding="utf-8")
        return {"scenes": 0}

    def ceiling(folder, landscapes, simulation, seasons):
        assert (folder / "catalog.json").is_file()
        return {"landscapes": [land.name for land in landscapes]}

    def radar_truth(landscapes, simulation, seasons):
        return {"north/2021": {"missing_passes": []}}

    for name, members in (("archive", (write_archive, radar_truth)), ("oracle", (ceiling,))):
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, f"cropflow.simulation.{name}", module)


def run(folder):
    simulate(json.dumps(SETTINGS), json.dumps(DATES), folder / "register", folder / "archive", folder / "truth")


def test_the_command_writes_three_folders_with_manifests(without_scenes, tmp_path):
    run(tmp_path)
    assert sorted(path.name for path in (tmp_path / "register").iterdir()) == ["RPG_2020.7z", "RPG_2021.7z"]
    assert sorted(path.name for path in (tmp_path / "truth").iterdir()) == [
        "crops_north_2020.tif",
        "crops_north_2021.tif",
        "fields_north_2020.parquet",
        "fields_north_2021.parquet",
        "oracle.json",
        "parameters.json",
        "radar_faults.json",
    ]
    for name in ("register", "archive", "truth"):
        manifest = json.loads(manifest_path(tmp_path / name).read_text(encoding="utf-8"))
        assert manifest["sha256"] == content_hash(tmp_path / name)[0]
        assert manifest["settings"]["simulation"]["landscapes"]["north"]["style"] == "cereal"
    counts = json.loads(manifest_path(tmp_path / "register").read_text(encoding="utf-8"))["counts"]
    assert counts["2020"]["fields"] > counts["2020"]["missing"] >= 0


def test_running_the_command_twice_gives_the_same_bytes(without_scenes, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(tmp_path / name)
    for name in ("register", "truth"):
        assert content_hash(tmp_path / "one" / name) == content_hash(tmp_path / "two" / name)


def test_the_truth_holds_crops_fields_and_parameters(without_scenes, tmp_path):
    run(tmp_path)
    with rasterio.open(tmp_path / "truth" / "crops_north_2020.tif") as raster:
        crops = raster.read(1)
        assert raster.tags()["crops"].split(",") == list(CROPS)
        assert raster.nodata == 0
    assert crops.dtype == np.uint8
    assert crops.max() <= len(CROPS)
    fields = geopandas.read_parquet(tmp_path / "truth" / "fields_north_2020.parquet")
    expected = {"field", "crop", "second_crop", "parent", "in_register", "code", "parcel_id", "geometry"}
    assert expected <= set(fields.columns)
    parameters = json.loads((tmp_path / "truth" / "parameters.json").read_text(encoding="utf-8"))
    assert [crop["key"] for crop in parameters["crops"]] == list(CROPS)
    assert parameters["parameters"]["register.missing"]["mark"] == "U"
    assert parameters["settings"]["seasons"] == ["2020", "2021"]


def test_the_true_crops_agree_with_the_fields(land):
    pixels = crop_pixels(land.seasons["2020"])
    season = land.seasons["2020"]
    keys = [None, *CROPS]
    for field, row in season.table.iterrows():
        found = {keys[value] for value in np.unique(pixels[(season.raster == field) & ~season.second])}
        assert found <= {row["crop"]}
    assert np.array_equal(pixels > 0, season.raster > 0)


def test_a_second_crop_shows_in_the_truth(land):
    season = land.seasons["2020"]
    held = season.table[season.table["second_crop"] != ""]
    assert len(held)
    pixels = crop_pixels(season)
    for field, row in held.iterrows():
        part = pixels[season.second & (season.raster == field)]
        assert set(part) <= {crop_index()[row["second_crop"]]}


def test_the_majority_of_four_pixels_wins_and_the_first_of_a_tie():
    pixels = np.array([[1, 2, 3, 3], [2, 2, 4, 4], [0, 0, 5, 6], [0, 7, 7, 8]], dtype=np.uint8)
    assert majority(pixels).tolist() == [[2, 3], [0, 5]]


def test_the_majority_equals_a_plain_count():
    pixels = np.random.default_rng(0).integers(0, 4, (20, 30)).astype(np.uint8)
    found = majority(pixels)
    for row in range(10):
        for column in range(15):
            four = pixels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
            assert found[row, column] == max(four, key=lambda value: (four.count(value), -four.index(value)))


def test_the_truth_raster_is_the_square_without_its_margin(land):
    assert true_crops(land, "2020").shape == land.core.shape


def test_true_fields_carry_what_the_register_says(land, simulation):
    register = declare([land], "2020", simulation)
    fields = true_fields(land, "2020", register)
    assert len(fields) == len(land.seasons["2020"].table)
    assert fields["in_register"].sum() == len(fields) - register.counts["missing"]
    assert fields.crs.to_epsg() == land.grid.epsg


def test_seasons_without_dates_are_named():
    with pytest.raises(CropflowError, match="no dates for 2022; found 2020, 2021"):
        read_seasons(json.dumps(DATES), ("2020", "2022"))


def test_seasons_out_of_order_are_refused():
    with pytest.raises(CropflowError, match="2021, 2020; expected them in order of time"):
        read_seasons(json.dumps(DATES), ("2021", "2020"))


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_seasons_that_are_no_object_are_refused(text):
    with pytest.raises(CropflowError, match="--seasons"):
        read_seasons(text, ("2020",))


def test_importing_the_room_stays_light():
    import subprocess

    code = "import sys, cropflow.simulation.command, cropflow.simulation; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
