from __future__ import annotations

import geopandas
import numpy as np
import py7zr
import pyogrio
import pytest
import shapely

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.simulation.crops import CROPS, SIBLINGS
from cropflow.simulation.faults import add_faults, as_multipolygons
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.register import COLUMNS, declare
from cropflow.simulation.rpg_file import archive_member, write_geopackage, write_register

SEASONS = ("2020", "2021")
SQUARES = {
    "north": Landscape(centre=(2.5, 48.5), side_km=2.5, style="cereal"),
    "south": Landscape(centre=(0.5, 43.8), side_km=2.5, style="southern"),
}
OFF = dict.fromkeys(("wrong_codes", "missing_parcels", "outline_errors", "catch_crops"), 0.0)
KEY_OF = {crop.rpg_code: key for key, crop in CROPS.items()}


def settings(squares=SQUARES, **knobs):
    return Simulation(landscapes=squares, seasons=SEASONS, imagery_seasons=("2021",), difficulty=Difficulty(**knobs))


def landscapes(simulation):
    return [make_landscape(name, square, simulation) for name, square in simulation.landscapes.items()]


@pytest.fixture(scope="module")
def lands():
    return landscapes(settings())


@pytest.fixture(scope="module")
def register(lands):
    return declare(lands, "2020", settings())


@pytest.fixture(scope="module")
def truth(lands):
    return {land.name: land.seasons["2020"].table for land in lands}


def joined(register, truth):
    fields = register.fields.copy()
    fields["crop"] = [
        truth[name]["crop"][field] for name, field in zip(fields["landscape"], fields["field"], strict=True)
    ]
    fields["area"] = [truth[name].area[field] for name, field in zip(fields["landscape"], fields["field"], strict=True)]
    return fields


def test_the_table_looks_like_the_french_register(register, shared):
    real = geopandas.read_file(shared / "data" / "rpg_2022_sample" / "PARCELLES_GRAPHIQUES_2022_sample.gpkg")
    assert {name.lower() for name in COLUMNS} | {"geometry"} == set(real.columns)
    parcels = register.parcels
    assert list(parcels.columns) == [*COLUMNS, "geometry"]
    assert parcels.crs.to_epsg() == real.crs.to_epsg() == 2154
    assert set(parcels.geometry.geom_type) == set(real.geometry.geom_type) == {"MultiPolygon"}
    assert parcels["ID_PARCEL"].is_unique
    assert parcels["ID_PARCEL"].str.len().max() <= 10
    for column in COLUMNS[2:]:
        assert parcels[column].notna().all()
    assert (parcels["CODE_GROUP"] == [CROPS[KEY_OF[code]].rpg_group for code in parcels["CODE_CULTU"]]).all()


def test_areas_are_hectares_with_two_decimals(register):
    sure = register.parcels[register.parcels.is_valid]
    hectares = sure.area / 1e4
    assert np.abs(sure["SURF_PARC"] - hectares).max() <= 0.01
    assert (register.parcels["SURF_PARC"] * 100).round().sub(register.parcels["SURF_PARC"] * 100).abs().max() < 1e-6


def test_every_field_has_one_fate(register, truth):
    assert len(register.fields) == sum(len(table) for table in truth.values()) == register.counts["fields"]
    there = register.fields["in_register"]
    assert (register.fields.loc[~there, ["code", "parcel_id"]] == "").all(axis=None)
    by_id = register.parcels.set_index("ID_PARCEL")["CODE_CULTU"]
    declared = register.fields[there]
    assert declared["parcel_id"].is_unique
    assert (by_id[declared["parcel_id"]].to_numpy() == declared["code"].to_numpy()).all()
    assert register.counts["missing"] == (~there).sum()


def test_five_to_fifteen_percent_of_farmland_are_missing_vines_more(register, truth):
    fields = joined(register, truth)
    missing = ~fields["in_register"]
    assert 0.03 < fields.loc[missing, "area"].sum() / fields["area"].sum() < 0.18
    often = fields["crop"].isin(["vines", "orchard"])
    assert missing[often].mean() > missing[~often].mean()


def test_other_fields_are_missing_in_another_season(lands, register):
    later = declare(lands, "2021", settings())
    north = [
        table.loc[lambda t: t["landscape"] == "north"].set_index("field") for table in (register.fields, later.fields)
    ]
    same = north[0].index.intersection(north[1].index)
    assert (north[0].loc[same, "in_register"] != north[1].loc[same, "in_register"]).sum() > 5
    assert not set(register.parcels["ID_PARCEL"]) >= set(later.parcels["ID_PARCEL"])


def test_the_campaign_changes_the_codes_alone(lands, register):
    later = declare(lands, "2020", settings(), 2023)
    codes = register.fields["code"]
    assert (codes == "J6S").any() and later.fields["code"].equals(codes.replace("J6S", "JAC"))
    assert later.parcels.drop(columns="CODE_CULTU").equals(register.parcels.drop(columns="CODE_CULTU"))


def test_a_few_codes_are_wrong_and_most_of_them_are_siblings():
    knobs = {**OFF, "wrong_codes": 3.0}
    simulation = settings(**knobs)
    found = landscapes(simulation)
    register = declare(found, "2020", simulation)
    fields = joined(register, {land.name: land.seasons["2020"].table for land in found})
    declared = fields["code"].map(KEY_OF)
    wrong = fields["crop"] != declared
    assert 0.02 < wrong.mean() < 0.10
    assert register.counts["wrong_code"] == wrong.sum()
    with_siblings = wrong & fields["crop"].isin(list(SIBLINGS))
    sibling = [declared[row] in SIBLINGS[fields["crop"][row]] for row in fields.index[with_siblings]]
    assert np.mean(sibling) > 0.6


def test_outlines_are_shifted_by_metres(register, lands):
    table = lands[0].seasons["2020"].table.to_crs(2154)
    fields = register.fields[register.fields["in_register"] & (register.fields["landscape"] == "north")]
    parcels = register.parcels.set_index("ID_PARCEL").loc[fields["parcel_id"]]
    true = shapely.get_coordinates(shapely.centroid(table.geometry.loc[fields["field"]].to_numpy()))
    found = shapely.get_coordinates(shapely.centroid(parcels.geometry.to_numpy()))
    shift = found - true
    assert 0.8 < np.median(np.abs(shift)) / 0.6745 < 3.3
    assert np.abs(shift.mean(axis=0)).max() < 0.6


def test_catch_crops_are_official_codes_on_about_two_percent(register, shared):
    official = (shared / "data" / "rpg_codes" / "REF_CULTURES_DEROBEES_2020.csv").read_text(encoding="utf-8")
    first, second = register.parcels["CULTURE_D1"], register.parcels["CULTURE_D2"]
    assert 0.005 < (first != "").mean() < 0.045
    assert all(f"\n{code};" in official for code in {*first, *second} - {""})
    assert (first[second != ""] != "").all()


def test_faults_are_there_and_counted(register):
    parcels, counts = register.parcels, register.counts
    outlines = parcels.geometry.to_numpy()
    invalid = ~shapely.is_valid(outlines)
    assert invalid.sum() >= counts["bow_ties"] >= 1
    two_parts = shapely.get_num_geometries(outlines) == 2
    assert two_parts.sum() >= counts["two_parts"] >= 1
    twins = parcels.assign(wkb=parcels.geometry.to_wkb()).duplicated(["wkb", "CODE_CULTU"])
    assert twins.sum() == counts["duplicates"] >= 1
    width = 2 * parcels.area / parcels.length
    assert (width < 1).sum() == counts["slivers"] >= 1
    there = counts["fields"] - counts["missing"]
    assert len(parcels) == there + counts["duplicates"] + counts["slivers"] == counts["parcels"]


def test_with_the_knobs_off_the_register_is_the_truth():
    simulation = settings(**OFF)
    found = landscapes(simulation)
    register = declare(found, "2020", simulation)
    table = found[1].seasons["2020"].table
    fields = register.fields[register.fields["landscape"] == "south"].set_index("field")
    assert fields["in_register"].all()
    assert (fields["code"] == [CROPS[key].rpg_code for key in table["crop"]]).all()
    parcels = register.parcels.set_index("ID_PARCEL").loc[fields["parcel_id"]]
    assert shapely.equals_exact(
        shapely.get_geometry(parcels.geometry.to_numpy(), 0), table.to_crs(2154).geometry.to_numpy(), 0.0
    ).all()
    assert len(register.parcels) == len(register.fields)
    assert register.parcels.is_valid.all()
    assert (register.parcels["CULTURE_D1"] == "").all()
    zero = ("missing", "wrong_code", "catch_crop", "two_parts", "bow_ties", "duplicates", "slivers")
    assert [register.counts[name] for name in zero] == [0] * len(zero)


def test_one_knob_leaves_the_other_errors_as_they_were(lands, register):
    fewer = declare(lands, "2020", settings(wrong_codes=0.0))
    assert fewer.fields["in_register"].tolist() == register.fields["in_register"].tolist()
    assert fewer.counts["catch_crop"] == register.counts["catch_crop"]
    assert fewer.parcels.geometry.to_wkb().tolist() == register.parcels.geometry.to_wkb().tolist()


def test_landscapes_on_the_same_ground_are_refused():
    squares = {
        "one": Landscape(centre=(2.5, 48.5), side_km=0.64),
        "two": Landscape(centre=(2.513, 48.5), side_km=0.64),
    }
    simulation = settings(squares)
    with pytest.raises(CropflowError, match=r"'one' and 'two' are 3\d\d m apart; expected at least 580 m"):
        declare(landscapes(simulation), "2020", simulation)


def test_faults_of_strength_zero_are_none():
    parcels = geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 300, 100)], crs=2154)
    same, counts = add_faults(parcels, 0.0, 0, "2020")
    assert set(counts.values()) == {0}
    assert not same["extra"].any()
    assert same.geometry.to_wkb().tolist() == parcels.geometry.to_wkb().tolist()


def test_polygons_become_multipolygons():
    outlines = np.array([shapely.box(0, 0, 1, 1), shapely.MultiPolygon([shapely.box(2, 2, 3, 3)])], dtype=object)
    assert [outline.geom_type for outline in as_multipolygons(outlines)] == ["MultiPolygon"] * 2


SEASON = Season(start="2019-10-01", end="2020-09-30")


def test_the_archive_holds_the_folders_of_the_french_delivery(register, tmp_path):
    path = write_register(tmp_path, "2020", SEASON, register.parcels)
    assert path.name == "RPG_2020.7z"
    with py7zr.SevenZipFile(path) as archive:
        assert archive.getnames() == [archive_member(SEASON, 2154)]
        archive.extractall(tmp_path / "out")
    geopackage = tmp_path / "out" / archive_member(SEASON, 2154)
    assert archive_member(SEASON, 2154).startswith("RPG/1_DONNEES_LIVRAISON_2020/RPG_2-0__GPKG_LAMB93_")
    assert pyogrio.list_layers(geopackage).tolist() == [["PARCELLES_GRAPHIQUES", "MultiPolygon"]]
    back = geopandas.read_file(geopackage)
    assert list(back.columns) == [*COLUMNS, "geometry"]
    assert back["CODE_CULTU"].tolist() == register.parcels["CODE_CULTU"].tolist()
    assert back.geometry.to_wkb().tolist() == register.parcels.geometry.to_wkb().tolist()


def test_writing_twice_gives_the_same_bytes_and_leaves_the_clock_of_gdal_alone(register, tmp_path, monkeypatch):
    import time

    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2011-11-11T11:11:11.000Z"})
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            write_geopackage(tmp_path / name / "a.gpkg", register.parcels)
            write_register(tmp_path / name, "2020", SEASON, register.parcels)
            time.sleep(1.1)
        assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") == "2011-11-11T11:11:11.000Z"
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    for file in ("a.gpkg", "RPG_2020.7z"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
