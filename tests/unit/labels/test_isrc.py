from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas
import openpyxl
import pandas
import pyogrio
import pytest
import shapely
import yaml
from typer.testing import CliRunner

from cropflow.config import Config
from cropflow.config.load import merge, read_config
from cropflow.config.registers import Register
from cropflow.config.root import missing_paths, parse
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.manifest import manifest_path
from cropflow.labels.command import app
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register, register_findings, register_groups, register_sources
from cropflow.labels.registers.isrc_products import CROPS, OTHER, PRODUCTS, may_hold, product_of

# Polygons per crop in the files of 1400-1401, and points per file of 1401-1402.
POLYGONS = {
    "canola": 1187, "cotton": 685, "lentils": 1038, "maize": 541, "onion": 594, "pea": 2141, "sugar_beet": 2302,
    "tomato": 582,
}  # fmt: skip
POINTS = {"Canola": 29, "Cotton": 247, "Lentils": 19, "Maize": 85, "Other": 3351, "Pea": 430, "SugerBeet": 137}
DUPLICATES = {"canola": 11, "cotton": 11, "lentils": 1, "maize": 2, "sugar_beet": 13, "tomato": 1}


def settings(**more):
    return parse(Register, {"reader": "isrc", "files": {"1400-1401": {"path": "x"}, "2022": {"path": "x"}}, **more})


def square(longitude, latitude=35.0):
    return shapely.box(longitude, latitude, longitude + 0.001, latitude + 0.001)


@pytest.fixture
def folder(tmp_path):
    """Write shapefiles of a small register."""

    def write(file, geometries, crs="EPSG:4326", **columns):
        path = tmp_path / "register" / f"{file}.shp"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = geopandas.GeoDataFrame(
            columns or {"check": [1] * len(geometries)}, geometry=geometries, crs="EPSG:4326"
        )
        pyogrio.write_dataframe(table.to_crs(crs), path, encoding="UTF-8")
        return tmp_path / "register"

    return write


@pytest.fixture
def provinces(tmp_path):
    table = geopandas.GeoDataFrame({"province": ["Fars"]}, geometry=[shapely.box(50, 30, 52, 40)], crs="EPSG:4326")
    pyogrio.write_dataframe(table, tmp_path / "provinces.gpkg")
    return {"path": str(tmp_path / "provinces.gpkg")}


def test_files_of_one_year_are_read_whatever_their_columns_and_crs(folder):
    folder("Canola/GCP/1400-1401/a", [square(50)], Product=["کلزا دیم"])
    folder("Lentils/GCP/1400-1401/b", [square(51)])
    folder("Maize/GCP/1400-1401/c", [square(52)], crs="EPSG:32639", Name=["Mize"])
    source = folder("Maize/GCP/1401-1402/d", [square(53)], Product=["Mize"])
    parcels = read_register(source, "1400-1401", settings())
    assert parcels.columns.tolist() == ["parcel_id", "crop_code", "product", "variant", "geometry"]
    assert parcels["parcel_id"].tolist() == ["Canola-1", "Lentils-1", "Maize-1"]
    assert parcels["crop_code"].tolist() == ["canola", "lentils", "maize"]
    assert parcels["variant"].tolist() == ["rainfed", "", ""]
    assert parcels.crs == "EPSG:4326"
    assert parcels.geometry.iloc[2].equals_exact(square(52), 1e-9, normalize=True)


def test_file_names_in_capitals_are_found(folder):
    source = folder("PEA/GCP/1400-1401/a", [square(50)], Product=["نخود"])
    for file in list(source.rglob("a.*")):
        file.rename(file.with_name(file.name.upper()))
    assert read_register(source, "1400-1401", settings())["parcel_id"].tolist() == ["PEA-1"]
    assert len(register_sources(source, "1400-1401", settings())) == 5


def test_the_year_is_the_layer_where_the_season_is_named_otherwise(folder):
    source = folder("Pea/1401-1402/a", [square(50)], Product=["Pea"])
    found = {"2022": {"path": "x", "layer": "1401-1402"}}
    assert len(read_register(source, "2022", settings(files=found))) == 1
    with pytest.raises(CropflowError, match=r"files.2022 is of the agricultural year '2022'; expected two years in a"):
        read_register(source, "2022", settings())
    with pytest.raises(CropflowError, match=r"no shapefiles in folders 1400-1401; it has the years 1401-1402"):
        read_register(source, "1400-1401", settings())


@pytest.mark.parametrize("year", ["1400-1402", "2021-2022", "1400", "1401-1400"])
def test_an_agricultural_year_is_two_solar_hijri_years_in_a_row(folder, year):
    source = folder("Pea/1401-1402/a", [square(50)])
    with pytest.raises(CropflowError, match=r"two years in a row"):
        read_register(source, "2022", settings(files={"2022": {"path": "x", "layer": year}}))


def test_a_file_in_a_folder_of_no_known_crop_is_refused(folder):
    source = folder("Rice/GCP/1400-1401/a", [square(50)])
    with pytest.raises(CropflowError, match=r"Rice/GCP/1400-1401/a.shp lies in no folder of a known crop; .* canola"):
        read_register(source, "1400-1401", settings())


def test_a_source_that_is_no_folder_is_one_line(tmp_path):
    with pytest.raises(CropflowError, match=r"none does not exist; .* Check registers.<name>.files.1400-1401.path"):
        read_register(tmp_path / "none", "1400-1401", settings())
    (tmp_path / "file").touch()
    with pytest.raises(CropflowError, match=r"file is a file; expected a folder, or a .zip or .7z of it"):
        read_register(tmp_path / "file", "1400-1401", settings())


def test_an_archive_of_the_folder_is_read_like_the_folder(folder, tmp_path):
    folder("Canola/GCP/1400-1401/Canola", [square(51)], product=["\u06a9\u0644\u0632\u0627"])
    source = folder("Maize/GCP/1400-1401/Maize", [square(52)], product=["maize"])
    (source / "big.tif").write_bytes(b"what is no shapefile stays packed")
    packed = Path(shutil.make_archive(str(tmp_path / "ISRC"), "zip", tmp_path, "register"))
    plain, unpacked = (read_register(place, "1400-1401", settings()) for place in (source, packed))
    assert unpacked.equals(plain)
    assert unpacked["crop_code"].tolist() == ["canola", "maize"]
    assert register_sources(packed, "1400-1401", settings()) == [packed]
    with pytest.raises(CropflowError, match=r"archive .*ISRC.zip has no shapefiles in folders 1401-1402; .* 1400-1401"):
        read_register(packed, "2022", settings(files={"2022": {"path": "x", "layer": "1401-1402"}}))


def test_a_product_that_names_another_crop_than_its_folder_wins_and_is_told(folder):
    source = folder(
        "Other/1400-1401/a", [square(50), square(51), square(52)], Product=["کلزا", "گندم آبی", "صیفی جاتنخود"]
    )
    parcels = read_register(source, "1400-1401", settings())
    assert parcels["crop_code"].fillna("").tolist() == ["canola", "other", ""]
    assert parcels["product"].tolist() == ["canola", "wheat", "summer_vegetables_or_pea"]
    assert register_findings(parcels, settings())["named_otherwise"] == {"Other": {"": 1, "canola": 1}}


def test_an_unknown_product_is_its_own_code_for_mapping_to_name_it(folder):
    source = folder("Other/1400-1401/a", [square(50), square(51)], Product=[" برنج", None])
    parcels = read_register(source, "1400-1401", settings())
    assert parcels["crop_code"].tolist()[0] == "برنج"
    assert parcels["crop_code"].isna().tolist() == [False, True]


def test_arabic_letters_and_stray_commas_name_the_same_product():
    assert product_of("،گندم ديم ") == product_of("گندم دیم") == (OTHER, "rainfed", "wheat")
    assert product_of("Sugerbeet") == product_of("چغندرقند") == ("sugar_beet", "", "sugar_beet")


def test_two_joined_products_have_a_code_only_where_neither_is_one_of_the_crops():
    assert product_of("صیفی جاتگندم آبی") == (OTHER, "", "summer_vegetables_or_wheat")
    assert product_of("صیفی جاتنخود") == (None, "", "summer_vegetables_or_pea")
    assert may_hold("summer_vegetables_or_wheat", "tomato")
    assert not may_hold("summer_vegetables_or_wheat", "canola")


def test_every_product_has_a_code_of_the_register():
    assert {code for code, _, _ in PRODUCTS.values()} == {*CROPS, OTHER}


def test_parcels_in_and_out_are_counted_by_crop_province_and_reason(folder, provinces):
    outlines = [square(50), square(50), square(60), shapely.box(51, 35, 51.00001, 35.00001)]
    source = folder("Canola/1400-1401/a", outlines, Product=["کلزا"] * 4)
    register = settings(provinces=provinces)
    read = read_register(source, "1400-1401", register)
    parcels, summary = clean(read, register.cleaning, register_groups(read, register))
    assert parcels["province"].fillna("").tolist() == ["Fars", ""]
    counted = {(row["crop_code"], row["province"], row["reason"]): row["parcels"] for row in summary["groups"]}
    assert counted == {
        ("canola", "", "kept"): 1,
        ("canola", "Fars", "duplicate"): 1,
        ("canola", "Fars", "kept"): 1,
        ("canola", "Fars", "too_small"): 1,
    }
    hectares = sum(row["hectares"] for row in summary["groups"])
    assert hectares == pytest.approx(summary["read"]["hectares"], abs=1e-9)


def test_without_a_layer_of_provinces_nothing_is_counted_by_them(folder):
    source = folder("Canola/1400-1401/a", [square(50)], Product=["کلزا"])
    parcels = read_register(source, "1400-1401", settings())
    assert register_groups(parcels, settings()) == ()
    cleaned, summary = clean(parcels, settings().cleaning, register_groups(parcels, settings()))
    assert "groups" not in summary
    assert cleaned.columns.tolist() == ["parcel_id", "crop_code", "area_ha", "product", "variant", "geometry"]


def test_calendars_attach_as_alternatives_and_what_has_none_is_told(folder, provinces, tmp_path):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, row in {
        "Winter": ("Fars", "07-01", "08-20", "11-01", "01-20"),
        "Autumn": ("Fars", "02-01", "-", "06-01", "-"),
    }.items():
        sheet = book.create_sheet(name)
        sheet.append(("Province", "Planting Start Date", "Planting End Date", "Harvest Start Date", "Harvest End Date"))
        sheet.append(row)
    book.save(tmp_path / "calendar.xlsx")
    source = folder("Onion/1400-1401/a", [square(50), square(60)], Product=["پیاز"] * 2)
    sheets = {"Winter": "onion/winter", "Autumn": "onion/autumn"}
    register = settings(provinces=provinces, calendar={"path": str(tmp_path / "calendar.xlsx"), "sheets": sheets})
    parcels = read_register(source, "1400-1401", register)
    assert parcels["calendar"].map(list).tolist() == [["Winter", "Autumn"], []]
    assert parcels["harvest_start"].map(list).tolist() == [["2022-01-21", "2021-08-23"], []]
    found = register_findings(parcels, register)
    assert found["without_province"] == found["without_calendar"] == {"onion": 1}
    assert found["alternatives"] == {"onion": {"0": 1, "2": 1}}
    with pytest.raises(CropflowError, match=r"unknown Autumn, Winter|unknown Winter, Autumn"):
        read_register(
            source, "1400-1401", settings(provinces=provinces, calendar={"path": str(tmp_path / "calendar.xlsx")})
        )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"calendar": {"path": "x"}}, "calendar needs provinces"),
        ({"columns": {"crop_code": "x"}}, "reader isrc knows its columns"),
        ({"files": {"a": {"url": "https://x.org/y.zip"}}}, "reader isrc reads a folder"),
        ({"reader": "rpg", "provinces": {"path": "x"}}, "belong to reader isrc"),
    ],
)
def test_settings_that_do_not_fit_are_refused(more, told):
    with pytest.raises(CropflowError, match=told):
        settings(**more)


def test_missing_files_beside_the_register_are_named_by_their_keys(root, tmp_path):
    isrc = {
        "reader": "isrc",
        "files": {"2018": {"path": "crops", "layer": "1400-1401"}},
        "provinces": {"path": "provinces.shp"},
        "calendar": {"path": "calendar.xlsx"},
    }
    overlay = {"registers": {"isrc": isrc}, "regions": {"herault": {"register": "isrc"}}}
    content = read_config([root / "config.yaml", root / "experiments" / "herault_2018.yaml"])
    missing = missing_paths(parse(Config, merge(content, overlay)), tmp_path)
    assert [line.split(":")[0] for line in missing if line.startswith("registers")] == [
        "registers.isrc.files.2018.path", "registers.isrc.provinces.path", "registers.isrc.calendar.path",
    ]  # fmt: skip


def test_a_sheet_of_no_crop_is_refused_by_its_key():
    calendar = {"path": "x", "sheets": {"Onion_Winter": "Onion (winter)"}}
    with pytest.raises(CropflowError, match=r"^calendar.sheets.Onion_Winter is 'Onion \(winter\)'; expected a crop of"):
        settings(provinces={"path": "x"}, calendar=calendar)


def test_the_table_is_the_readers_own_where_none_is_named():
    assert settings().table == "isrc"
    assert settings(table="rpg").table == "rpg"


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0


@pytest.fixture(scope="session")
def overlay(root: Path, shared: Path) -> dict:
    """The register of the overlay, with paths that do not depend on the working directory."""
    text = (root / "experiments" / "isrc_1401.yaml").read_text()
    return yaml.safe_load(text.replace("../shared", str(shared)))["registers"]["isrc"]


@pytest.fixture(scope="session")
def cleaned(overlay: dict, tmp_path_factory):
    """Both seasons through `labels clean`, as the overlay says."""
    folder = tmp_path_factory.mktemp("isrc")
    for season in overlay["files"]:
        words = ("--source", overlay["files"][season]["path"], "--season", season, "--settings", json.dumps(overlay))
        output = folder / season
        run("clean", *words, "--output", output / "parcels.parquet", "--summary", output / "summary.json")
    return folder


def test_all_9070_real_polygons_are_accounted_for_by_crop_province_and_reason(cleaned):
    summary = read_json(cleaned / "1400-1401" / "summary.json")
    groups = pandas.DataFrame(summary["groups"])
    assert summary["read"]["parcels"] == groups["parcels"].sum() == 9070
    assert groups.groupby("crop_code")["parcels"].sum().to_dict() == POLYGONS
    reasons = groups.groupby("reason")["parcels"].sum().to_dict()
    assert reasons == {"kept": 9025, "duplicate": 39, "conflicting": 1, "too_small": 5}
    duplicates = groups[groups["reason"] == "duplicate"].groupby("crop_code")["parcels"].sum().to_dict()
    assert duplicates == DUPLICATES
    assert summary["repaired"] == 61
    assert summary["findings"]["without_province"] == {"cotton": 1}
    assert groups[groups["province"] == ""]["parcels"].sum() == 1


def test_all_4298_real_points_are_accounted_for(cleaned):
    summary = read_json(cleaned / "1401-1402" / "summary.json")
    assert summary["read"]["parcels"] == sum(POINTS.values()) == 4298
    assert {name: number["parcels"] for name, number in summary["dropped"].items()} == {
        "no_code": 2,
        "duplicate": 20,
        "conflicting": 2,
    }
    # The folder Other names 21 points of the eight crops, and two that are one of them or not.
    assert summary["findings"]["named_otherwise"] == {
        "Other": {"": 2, "canola": 7, "lentils": 11, "sugar_beet": 2, "tomato": 1}
    }
    parcels = geopandas.read_parquet(cleaned / "1401-1402" / "parcels.parquet")
    assert parcels["area_ha"].between(0.009999, 0.010001).all()
    assert parcels["province"].notna().all()
    maize = parcels[parcels["parcel_id"].str.startswith("Maize-")]
    assert len(maize) == 85
    assert maize.total_bounds == pytest.approx([51.47, 35.31, 51.76, 35.52], abs=0.01)


def test_real_parcels_are_one_row_each_with_their_alternatives(cleaned):
    parcels = geopandas.read_parquet(cleaned / "1400-1401" / "parcels.parquet")
    assert parcels["parcel_id"].is_unique
    assert not parcels.geometry.to_wkb().duplicated().any()
    number = parcels["calendar"].map(len)
    assert number[parcels["crop_code"] == "pea"].eq(2).all()
    fars = parcels[(parcels["crop_code"] == "onion") & (parcels["province"] == "Fars")]
    assert set(map(tuple, fars["calendar"])) == {("Onion_Spring", "Onion_Summer", "Onion_Autumn", "Onion_Winter")}
    assert set(map(tuple, fars["harvest_start"])) == {(None, "2022-06-22", "2021-08-23", "2022-01-21")}
    beets = parcels[parcels["crop_code"] == "sugar_beet"]
    assert set(beets["variant"]) == {"spring", "autumn"}
    sheets = {sheet for sheets in beets[beets["variant"] == "spring"]["calendar"] for sheet in sheets}
    assert sheets == {"SugarBeet_Spring"}


def test_real_codes_map_to_the_eight_crops_and_none_is_lost(cleaned, overlay):
    folder = cleaned / "1400-1401"
    run(
        "map", "--parcels", folder / "parcels.parquet", "--settings", json.dumps(overlay), "--legend", "isrc_8",
        "--output", folder / "isrc_8.parquet", "--summary", folder / "isrc_8.json",
    )  # fmt: skip
    counts = read_json(folder / "isrc_8.json")
    summary = read_json(folder / "summary.json")
    groups = pandas.DataFrame(summary["groups"])
    lost = groups[groups["reason"] != "kept"].groupby("crop_code")["parcels"].sum()
    mapped = {crop["name"]: crop["parcels"] for crop in counts["crops"].values()}
    assert {crop: mapped[crop] + int(lost.get(crop, 0)) for crop in mapped} == POLYGONS
    assert counts["unknown"] == counts["out_of_scope"] == {}


def test_real_windows_are_written_per_province_and_queried_crop(cleaned, overlay):
    folder = cleaned / "1400-1401"
    run(
        "windows", "--parcels", folder / "parcels.parquet", "--season", "1400-1401", "--settings", json.dumps(overlay),
        "--output", folder / "windows.parquet", "--summary", folder / "windows.json",
        "--queries", folder / "queries.parquet",
    )  # fmt: skip
    windows = pandas.read_parquet(folder / "windows.parquet").set_index(["province", "calendar"])
    assert len(windows) == 74
    assert windows.loc[("Ilam", "Canola"), ["window_start", "window_end"]].tolist() == ["2021-11-01", "2022-04-30"]
    summary = read_json(folder / "windows.json")
    assert summary["without_harvest"] == ["Canola, Ardabil", "Onion_Spring, Fars"]
    for query in summary["queries"]:
        assert sum(part["parcels"] for part in query.values() if isinstance(part, dict)) == 9025
    (pea,) = [query for query in summary["queries"] if query["calendar"] == "Pea_Autumn"]
    assert pea["positive"]["parcels"] == 2137
    queries = pandas.read_parquet(folder / "queries.parquet")
    asked = queries[queries["calendar"] == "Pea_Autumn"].set_index("parcel_id")["label"]
    for label, name in ((1, "positive"), (0, "negative"), (254, "unknown")):
        assert (asked == label).sum() == pea[name]["parcels"]
    manifest = read_json(manifest_path(folder / "windows.parquet"))
    assert sorted(manifest["inputs"]) == ["calendar", "parcels"]
    assert "shared" not in manifest_path(folder / "windows.parquet").read_text()


def test_the_manifest_names_every_file_that_was_read_and_no_path(cleaned, overlay):
    manifest = read_json(manifest_path(cleaned / "1400-1401" / "parcels.parquet"))
    files = register_sources(overlay["files"]["1400-1401"]["path"], "1400-1401", parse(Register, overlay))
    assert len(files) == len([name for name in manifest["inputs"] if name.startswith("source_")]) == 8 * 5
    assert {"provinces", "calendar"} <= set(manifest["inputs"])
    assert "shared" not in json.dumps(manifest)
    assert manifest["settings"]["calendar"] == {"second_year": [], "sheets": {}}
