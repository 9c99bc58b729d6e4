from __future__ import annotations

import json
import zipfile

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import shapely
import yaml
from typer.testing import CliRunner

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.labels.command import app
from cropflow.labels.ingest import ingest
from cropflow.labels.legend import read_table
from cropflow.labels.registers import open_register, read_register
from cropflow.labels.registers.hcat_findings import Findings
from cropflow.labels.registers.national import read_national
from cropflow.labels.registers.stream import as_frame, as_stream

WHEAT, MAIZE = ("3301010101", "winter_common_soft_wheat"), ("3301010600", "grain_maize_corn_popcorn")


def settings(**more):
    return parse(Register, {"reader": "eurocrops", "files": {"2021": {"path": "x"}}, **more})


def found_in(path, register):
    """The parcels of a file, and what was found."""
    with open_register(path, "2021", register) as parcels:
        return as_frame(parcels), parcels.findings()


def found_among(parcels):
    """What is found among codes and names in memory."""
    findings, stream = Findings(), as_stream(parcels, piece=7)
    for piece in stream.pieces:
        findings.noted(piece, stream.crs)
    return findings.result()


@pytest.fixture
def written(tmp_path):
    def write(file="SK_2021_EC21.shp", crs="EPSG:5514", **columns):
        path = tmp_path / file
        number = len(next(iter(columns.values())))
        boxes = [shapely.box(1000 * row, 0, 1000 * row + 100, 100) for row in range(number)]
        table = geopandas.GeoDataFrame(columns, geometry=boxes, crs=crs)
        if path.suffix == ".parquet":
            table.to_parquet(path)
        else:
            pyogrio.write_dataframe(table, path)
        return path

    return write


@pytest.mark.parametrize(
    ("file", "code", "name"),
    [
        ("SK_2021_EC21.shp", "EC_hcat_c", "EC_hcat_n"),
        ("sk.parquet", "EC_hcat_c", "EC_hcat_n"),
        ("sk.parquet", "hcat:code", "hcat:name"),
        ("sk.gpkg", "ec:hcat_code", "ec:hcat_name"),
    ],
)
def test_the_code_is_taken_under_every_name_it_has_been_published_under(written, file, code, name):
    path = written(file, **{code: [WHEAT[0], MAIZE[0]], name: [WHEAT[1], MAIZE[1]], "EC_trans_n": ["wheat", "maize"]})
    parcels = read_register(path, "2021", settings())
    assert parcels.columns.tolist() == ["parcel_id", "crop_code", "hcat_name", "geometry"]
    assert parcels["parcel_id"].tolist() == ["1", "2"]
    assert parcels["crop_code"].tolist() == [WHEAT[0], MAIZE[0]]
    assert parcels["hcat_name"].tolist() == [WHEAT[1], MAIZE[1]]
    assert parcels.crs == "EPSG:5514"


def test_codes_as_numbers_are_text(written):
    path = written("sk.parquet", **{"hcat:code": np.array([3301010101, 3301010600], dtype=np.uint32)})
    parcels = read_register(path, "2021", settings())
    assert parcels["crop_code"].tolist() == [WHEAT[0], MAIZE[0]]
    assert parcels["hcat_name"].isna().all()


def test_the_name_stands_in_where_a_row_or_the_file_has_no_code(written):
    codes = [WHEAT[0], None, " ", "0", None]
    names = [WHEAT[1], MAIZE[1], WHEAT[1], MAIZE[1], None]
    parcels, found = found_in(written(EC_hcat_c=codes, EC_hcat_n=names), settings())
    assert parcels["crop_code"].fillna("").tolist() == [WHEAT[0], MAIZE[1], WHEAT[1], MAIZE[1], ""]
    assert found["named_only"] == 3
    alone = read_register(written("names.gpkg", EC_hcat_n=names[:2]), "2021", settings())
    assert alone["crop_code"].tolist() == names[:2]


def test_ids_come_from_the_column_that_the_settings_name(written):
    columns = {"crop_code": "EC_hcat_c", "parcel_id": "fid_1"}
    for file in ("a.gpkg", "a.parquet"):
        path = written(file, EC_hcat_c=[WHEAT[0], MAIZE[0]], fid_1=["x", None])
        assert read_register(path, "2021", settings(columns=columns))["parcel_id"].tolist() == ["x", "row2"]
    with pytest.raises(CropflowError, match=r"a.parquet has no column 'no'; it has: EC_hcat_c, fid_1"):
        read_register(path, "2021", settings(columns=columns | {"parcel_id": "no"}))


@pytest.mark.parametrize("file", ["a.gpkg", "a.parquet"])
def test_a_file_without_hcat_names_its_columns(written, file):
    with pytest.raises(CropflowError, match=r"has no column of HCAT codes \(EC_hcat_c, .*\) or names .*; it has: crop"):
        read_register(written(file, crop=["a"]), "2021", settings())


def test_a_table_that_is_no_geoparquet_is_one_line(tmp_path, written):
    pandas.DataFrame({"EC_hcat_c": [WHEAT[0]]}).to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(CropflowError, match=r"plain.parquet is no GeoParquet"):
        read_register(tmp_path / "plain.parquet", "2021", settings())
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" * 9)
    with pytest.raises(CropflowError, match=r"broken.parquet is damaged or no GeoParquet"):
        read_register(tmp_path / "broken.parquet", "2021", settings())
    with pytest.raises(CropflowError, match=r"a.parquet has no CRS"):
        read_register(written("a.parquet", crs=None, EC_hcat_c=[WHEAT[0]]), "2021", settings())


def test_codes_with_blanks_are_counted_and_kept_for_mapping_to_strip(written):
    path = written("a.parquet", crs="EPSG:3035", EC_hcat_c=[f" {WHEAT[0]}", MAIZE[0], f" {WHEAT[0]}"])
    found = found_in(path, settings())[1]["codes_with_blanks"]
    assert list(found) == ["' 3301010101'"]
    assert found["' 3301010101'"]["parcels"] == 2
    assert found["' 3301010101'"]["hectares"] == pytest.approx(2.0, rel=0.01)


def test_a_code_beside_the_name_of_another_crop_is_reported_with_its_hectares(written, caplog):
    codes = [WHEAT[0], WHEAT[0], f"{WHEAT[0]}\u00a0", MAIZE[0]]
    names = [WHEAT[1], MAIZE[1], MAIZE[1], "no_such_name"]
    path = written("a.parquet", crs="EPSG:3035", EC_hcat_c=codes, EC_hcat_n=names)
    found = found_in(path, settings())[1]
    (pair,) = found["contradictions"]
    assert {key: pair[key] for key in ("code", "name", "crop_of_code", "crop_of_name", "parcels")} == {
        "code": WHEAT[0],
        "name": MAIZE[1],
        "crop_of_code": WHEAT[1],
        "crop_of_name": MAIZE[1],
        "parcels": 2,
    }
    assert pair["hectares"] == pytest.approx(2.0, rel=0.01)
    assert found["names_of_one_code"] == {WHEAT[0]: [MAIZE[1], WHEAT[1]]}
    assert "3301010101 beside grain_maize_corn_popcorn" in caplog.text


def test_pieces_find_what_the_whole_finds(written):
    codes, names = [WHEAT[0], f" {WHEAT[0]}", None] * 9, [MAIZE[1], WHEAT[1], MAIZE[1]] * 9
    parcels, found = found_in(written("a.parquet", crs="EPSG:3035", EC_hcat_c=codes, EC_hcat_n=names), settings())
    assert found_among(parcels) == found
    assert (found["named_only"], found["contradictions"][0]["parcels"]) == (9, 9)


def test_a_geoparquet_file_in_an_archive_is_read(written, tmp_path):
    path = written("sk.parquet", EC_hcat_c=[WHEAT[0]])
    with zipfile.ZipFile(tmp_path / "sk.zip", "w") as archive:
        archive.write(path, "SK/sk.parquet")
    assert read_register(tmp_path / "sk.zip", "2021", settings())["crop_code"].tolist() == [WHEAT[0]]


def test_a_geoparquet_file_with_geometries_of_geoarrow_is_read_alike(written, tmp_path):
    path = written("wkb.parquet", EC_hcat_c=[WHEAT[0], MAIZE[0]])
    geopandas.read_parquet(path).to_parquet(tmp_path / "arrow.parquet", geometry_encoding="geoarrow")
    first, second = (read_register(tmp_path / name, "2021", settings()) for name in ("wkb.parquet", "arrow.parquet"))
    assert first.equals(second)


def test_an_empty_geoparquet_file_is_one_line(written, tmp_path):
    path = written("a.parquet", EC_hcat_c=[WHEAT[0]])
    geopandas.read_parquet(path).iloc[:0].to_parquet(path)
    with open_register(path, "2021", settings()) as parcels, pytest.raises(CropflowError, match="has 0 parcels"):
        ingest(parcels, tmp_path / "out.parquet")


def test_the_encoding_of_the_settings_is_the_one_that_is_read(written):
    path = written("a.shp", EC_hcat_n=["ma\u00efs"])
    path.with_suffix(".cpg").write_text("ISO-8859-1")
    register = settings(files={"2021": {"path": "x", "encoding": "UTF-8"}})
    assert read_register(path, "2021", register)["crop_code"].tolist() == ["ma\u00efs"]


def test_the_table_is_eurocrops_where_none_is_named():
    assert settings().table == "eurocrops"


def write_national(path, *rows):
    path.write_text("\n".join(["original_code,original_name,HCAT3_name,HCAT3_code", *rows]) + "\n", encoding="utf-8")
    return path


def test_national_crops_become_hcat_by_the_countrys_table(written, tmp_path):
    table = write_national(
        tmp_path / "be.csv", f"201,Silomais,{MAIZE[1]},{MAIZE[0]}", f"311,Wintertarwe,{WHEAT[1]},{WHEAT[0]}"
    )
    path = written("be.gpkg", GWSCOD=["201", " 311", "999", None])
    register = settings(columns={"crop_code": "GWSCOD"}, national={"path": str(table)})
    parcels = read_register(path, "2021", register)
    assert parcels["crop_code"].fillna("").tolist() == [MAIZE[0], WHEAT[0], "999", ""]
    assert parcels["hcat_name"].fillna("").tolist() == [MAIZE[1], WHEAT[1], "", ""]
    assert parcels["national"].fillna("").tolist() == ["201", " 311", "999", ""]


def test_a_national_code_with_several_hcat_codes_is_refused(tmp_path):
    rows = (
        f"1,a,{MAIZE[1]},{MAIZE[0]}",
        f"1,b,{WHEAT[1]},{WHEAT[0]}",
        f"2,c,{WHEAT[1]},{WHEAT[0]}",
        f",d,x,{MAIZE[0]}",
    )
    path = write_national(tmp_path / "de.csv", *rows)
    with pytest.raises(CropflowError, match=r"de.csv gives 1 of 2 crops of 'original_code' several HCAT codes: '1'"):
        read_national(path, "original_code")
    assert len(read_national(path, "original_name")) == 4


def test_a_national_table_needs_the_column_it_reads():
    with pytest.raises(CropflowError, match=r"national needs reader eurocrops and columns.crop_code"):
        settings(national={"path": "x"})


@pytest.mark.parametrize(
    ("source", "table", "column", "key", "missing"),
    [
        ("be_vlg/*.zip", "be_vlg/*.csv", "GWSCOD_H", "original_code", {}),
        # The parcels are of 2025, the table of 2021: three codes came later, and mapping would name them.
        ("at/*.zip", "at/*.csv", "SNAR_CODE", "original_code", {"360": 16, "361": 2, "359": 2}),
    ],
)
def test_real_national_files_are_read_by_their_countrys_table(shared, source, table, column, key, missing):
    folder = shared / "data/rpg_2022_sample/other_lpis"
    (file,), (national,) = folder.glob(source), folder.glob(table)
    register = settings(columns={"crop_code": column}, national={"path": str(national), "key": key})
    parcels, found = found_in(file, register)
    known = parcels["crop_code"].isin(read_table("hcat", "eurocrops"))
    assert len(parcels) == 100
    assert parcels["crop_code"][~known].value_counts().to_dict() == missing
    assert found["contradictions"] == []


@pytest.mark.parametrize("table", ["fr_2018.csv", "other_lpis/at/at_2021.csv", "other_lpis/be_vlg/be_vlg_2021.csv"])
def test_published_tables_do_not_contradict_themselves_and_a_swapped_name_does(shared, table):
    rows = pandas.read_csv(shared / "data/rpg_2022_sample" / table, dtype=str, keep_default_na=False)
    names = rows["HCAT3_name"].astype("str")
    boxes = [shapely.box(4e6 + 1000 * row, 3e6, 4e6 + 1000 * row + 100, 3e6 + 100) for row in range(len(rows))]
    columns = {"parcel_id": rows.index.astype("str"), "crop_code": rows["HCAT3_code"].astype("str"), "hcat_name": names}
    parcels = geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:3035")
    found = found_among(parcels)
    assert found["contradictions"] == []
    assert found["names_of_one_code"] == {}
    vines = names.str.startswith("vineyards")
    swapped = parcels.assign(hcat_name=names.mask(vines, "olive_plantations"))
    pairs = found_among(swapped)["contradictions"]
    assert sum(pair["parcels"] for pair in pairs) == vines.sum() > 0
    assert {pair["name"] for pair in pairs} == {"olive_plantations"}


def test_herault_has_the_same_classes_as_by_its_named_column(root, shared, tmp_path):
    text = (root / "experiments" / "herault_2018.yaml").read_text().replace("../shared", str(shared))
    vector = yaml.safe_load(text)["registers"]["herault"]
    eurocrops = {**vector, "reader": "eurocrops"}
    del eurocrops["columns"]
    crops, summaries = [], []
    for number, register in enumerate((vector, eurocrops)):
        register["files"]["2018"]["layer"] = None
        parcels, summary = tmp_path / f"{number}.parquet", tmp_path / f"{number}.json"
        words = ("--season", "2018", "--settings", json.dumps(register))
        clean = (
            "clean",
            "--source",
            vector["files"]["2018"]["path"],
            *words,
            "--output",
            parcels,
            "--summary",
            summary,
        )
        mapped, counts = tmp_path / f"crops_{number}.parquet", tmp_path / f"crops_{number}.json"
        map_ = (
            "map",
            "--parcels",
            parcels,
            *words[2:],
            "--legend",
            "turkoglu",
            "--output",
            mapped,
            "--summary",
            counts,
        )
        for command in (clean, map_):
            done = CliRunner().invoke(app, [str(word) for word in command], catch_exceptions=False)
            assert done.exit_code == 0
        crops.append(pandas.read_parquet(mapped))
        summaries.append(read_json(counts))
    pandas.testing.assert_frame_equal(*crops)
    assert summaries[0] == summaries[1]
    assert len(crops[0]) == 120
    assert read_json(tmp_path / "1.json")["findings"]["named_only"] == 120
