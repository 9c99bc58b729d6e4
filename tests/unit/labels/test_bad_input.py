"""Files as they should not be: each is one clear line, exit code 2, and nothing is written."""

from __future__ import annotations

import json
import sqlite3
import struct
import sys
import zlib

import geopandas
import numpy as np
import pandas
import py7zr
import pyarrow
import pyogrio
import pytest
import shapely

from cropflow.cli import main
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_geotable

RPG = {"reader": "rpg", "files": {"2022": {"path": "x"}}}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run ``cropflow``; the exit code and the line on stderr that begins with Error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["cropflow", "--quiet", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error")]
        return done.value.code or 0, "\n".join(lines)

    return run


@pytest.fixture
def clean(command, tmp_path):
    """Clean a file; the line of the error, once it is sure that it ended well or left nothing."""

    def run(source, settings=RPG):
        output, summary = tmp_path / "out" / "parcels.parquet", tmp_path / "out" / "summary.json"
        words = ("--source", source, "--season", "2022", "--settings", json.dumps(settings))
        code, line = command("labels", "clean", *words, "--output", output, "--summary", summary)
        if code:
            assert code == 2
            assert len(line.splitlines()) == 1
            assert not output.parent.exists() or list(output.parent.iterdir()) == []
            return line
        return read_geotable(output), read_json(summary)

    return run


@pytest.fixture
def written(tmp_path, register, square):
    """Write a small register; further columns and geometries as given."""

    def write(name="parcelles.gpkg", geometry=None, crs="EPSG:2154", layer=None, **columns):
        shapes = [square(0), square(1)] if geometry is None else geometry
        columns = columns or {"ID_PARCEL": ["1", "2"][: len(shapes)], "CODE_CULTU": ["BTH", "MIS"][: len(shapes)]}
        path = tmp_path / name
        pyogrio.write_dataframe(geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs), path, layer=layer)
        return path

    return write


def packed(path, archive, name="RPG/PARCELLES_GRAPHIQUES.gpkg"):
    with py7zr.SevenZipFile(archive, "w") as target:
        target.set_encoded_header_mode(False)
        target.write(path, name)
    return archive


def test_a_sound_file_is_cleaned(clean, written):
    parcels, summary = clean(written())
    assert len(parcels) == summary["read"]["parcels"] == 2


def test_a_truncated_archive(clean, written, tmp_path):
    archive = packed(written(), tmp_path / "RPG.7z")
    archive.write_bytes(archive.read_bytes()[:-40])
    assert "RPG.7z (1 file(s)) is damaged or incomplete" in clean(archive)


@pytest.mark.parametrize("names_too", [False, True])
def test_an_archive_with_a_password(clean, written, tmp_path, names_too):
    with py7zr.SevenZipFile(tmp_path / "RPG.7z", "w", password="secret", header_encryption=names_too) as archive:
        archive.write(written(), "RPG/PARCELLES_GRAPHIQUES.gpkg")
    assert "is encrypted; expected one without a password" in clean(tmp_path / "RPG.7z")


def test_an_archive_that_leads_out_of_its_folder(clean, written, tmp_path):
    archive = packed(written(), tmp_path / "RPG.7z", "aaaevil.gpkg")
    # The library writes no such name: it is put into the header, and both checksums are made to fit.
    content = archive.read_bytes().replace("aaaevil".encode("utf-16-le"), "../evil".encode("utf-16-le"))
    offset, size = struct.unpack("<QQ", content[12:28])
    place = content[12:28] + struct.pack("<I", zlib.crc32(content[32 + offset :][:size]))
    archive.write_bytes(content[:8] + struct.pack("<I", zlib.crc32(place)) + place + content[32:])
    assert "leads out of its folder" in clean(archive)
    assert not (tmp_path / "evil.gpkg").exists()


def test_a_wrong_checksum(command, server, tmp_path):
    server.files["/RPG.7z"] = b"7z\xbc\xaf\x27\x1c and so on"
    output = tmp_path / "download" / "RPG.7z"
    words = ("--url", f"{server.url}/RPG.7z", "--sha256", "0" * 64, "--output", output, "--work", tmp_path / "work")
    code, line = command("labels", "download", *words)
    assert code == 2
    assert "has sha256" in line
    assert list(output.parent.iterdir()) == []


def test_a_geopackage_without_the_layer(clean, written):
    settings = {"reader": "rpg", "files": {"2022": {"path": "x", "layer": "ilots"}}}
    assert "has no layer 'ilots'; it has: parcelles" in clean(written(), settings)


def test_a_missing_column_of_codes(clean, written):
    assert "has no column 'CODE_CULTU'; it has: ID_PARCEL, CODE" in clean(
        written(ID_PARCEL=["1", "2"], CODE=["a", "b"])
    )


def test_a_missing_crs(clean, written):
    line = clean(written("parcelles.shp", crs=None))
    assert "has no CRS" in line
    assert "-a_srs" in line


@pytest.mark.parametrize(
    ("crs", "geometry"),
    [
        ("EPSG:2154", shapely.box(2.0, 47.0, 2.01, 47.01)),  # degrees called metres
        ("EPSG:2154", shapely.box(340_000, 7_650_000, 340_100, 7_650_100)),  # Reunion called mainland
        ("EPSG:2975", shapely.box(700_000, 6_600_000, 700_100, 6_600_100)),  # and the other way round
    ],
)
def test_coordinates_outside_the_area_of_the_crs(clean, written, crs, geometry):
    line = clean(written(geometry=[geometry, shapely.affinity.translate(geometry, 0, 500)], crs=crs))
    assert "where that CRS is used" in line or "No parcel of 2 is left" in line
    assert "CRS" in line


def test_a_wrong_crs_is_named_with_the_place_that_it_gives(clean, written):
    line = clean(written(geometry=[shapely.box(340_000, 7_650_000, 340_100, 7_650_100)]))
    assert "declares 'RGF93 v1 / Lambert-93'" in line
    assert "expected -9.86 to 10.38 and 41.15 to 51.56" in line


def test_metres_called_degrees(clean, written):
    assert "No parcel of 2 is left (not_finite: 2)" in clean(written(crs="EPSG:4326"))


def test_an_empty_layer(clean, written):
    assert "The register has 0 parcels; expected at least 1" in clean(written(geometry=[]))


def test_heights_are_cut_off(clean, written, square):
    parcels, summary = clean(written(geometry=[shapely.force_3d(square(0), 9.0), square(1)]))
    assert not parcels.geometry.has_z.any()
    assert summary["repaired"] == 0


def curved(path):
    """A GeoPackage with one outline of arcs."""
    corners = [(700_000, 6_600_000), (700_400, 6_600_000), (700_400, 6_600_400), (700_000, 6_600_400)]
    arcs = struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<dd", *each) for each in [*corners, corners[0]])
    wkb = struct.pack("<BII", 1, 10, 1) + arcs
    table = pyarrow.table(
        {"CODE_CULTU": ["BTH"], "ID_PARCEL": ["1"], "geometry": pyarrow.array([wkb], pyarrow.binary())}
    )
    pyogrio.write_arrow(
        table,
        path,
        layer="parcelles",
        driver="GPKG",
        geometry_name="geometry",
        geometry_type="Unknown",
        crs="EPSG:2154",
    )
    return path


def test_curves(clean, tmp_path):
    assert "outlines with curves; expected polygons with straight edges" in clean(curved(tmp_path / "a.gpkg"))


def test_a_layer_that_is_declared_as_curved(clean, tmp_path):
    with sqlite3.connect(curved(tmp_path / "a.gpkg")) as database:
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'CURVEPOLYGON'")
    assert "outlines with curves" in clean(tmp_path / "a.gpkg")


def test_coordinates_that_are_no_numbers_are_dropped_and_counted(clean, written, square):
    with np.errstate(invalid="ignore"):
        nan = shapely.Polygon([(700_000, 6_600_000), (700_100, np.nan), (700_100, 6_600_100)])
        alone, beside = written("alone.gpkg", geometry=[nan]), written(geometry=[nan, square(1)])
    assert "No parcel of 1 is left (not_finite: 1)" in clean(alone)
    assert clean(beside)[1]["dropped"]["not_finite"]["parcels"] == 1


def shapefile(path, texts, square, encoding, cpg):
    table = geopandas.GeoDataFrame(
        {"ID_PARCEL": [str(number) for number in range(len(texts))], "CODE_CULTU": texts},
        geometry=[square(number) for number in range(len(texts))], crs=2154,
    )  # fmt: skip
    pyogrio.write_dataframe(table, path, encoding=encoding)
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)
    return path


TEXTS = ["Œillet", "Blé d’hiver"]


@pytest.mark.parametrize(("encoding", "cpg"), [("CP1252", None), ("CP1252", "1252"), ("UTF-8", "UTF-8")])
def test_text_is_read_in_the_encoding_of_the_file(clean, tmp_path, square, encoding, cpg):
    parcels, _ = clean(shapefile(tmp_path / "parcelles.shp", TEXTS, square, encoding, cpg))
    assert sorted(parcels["crop_code"]) == sorted(TEXTS)


@pytest.mark.parametrize(
    ("encoding", "cpg", "words"),
    [
        ("CP1252", "UTF-8", "which is no UTF-8, as the file declares"),
        ("UTF-8", "1252", "which is UTF-8 read in the encoding that the file declares"),
        ("UTF-8", None, "which is UTF-8 read in the encoding that the file declares"),
    ],
)
def test_a_file_that_lies_about_its_encoding(clean, tmp_path, square, encoding, cpg, words):
    path = shapefile(tmp_path / "parcelles.shp", TEXTS, square, encoding, cpg)
    line = clean(path)
    assert words in line
    assert "`encoding`" in line
    settings = {"reader": "rpg", "files": {"2022": {"path": "x", "encoding": encoding}}}
    parcels, _ = clean(path, settings)
    assert sorted(parcels["crop_code"]) == sorted(TEXTS)


def test_an_encoding_that_does_not_exist(clean, tmp_path, square):
    settings = {"reader": "rpg", "files": {"2022": {"path": "x", "encoding": "klingon"}}}
    line = clean(shapefile(tmp_path / "parcelles.shp", TEXTS, square, "CP1252", None), settings)
    assert "klingon" in line


def test_a_disk_that_fills_up_leaves_nothing(clean, written, monkeypatch):
    monkeypatch.setattr("cropflow.labels.ingest.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    assert "Free some space" in clean(written())


def test_a_code_that_is_literally_na_stays_a_code(clean, written):
    parcels, _ = clean(written(ID_PARCEL=["1", "2"], CODE_CULTU=["NA", "BTH"], CULTURE_D1=["", "DRG"]))
    assert sorted(parcels["crop_code"]) == ["BTH", "NA"]
    by_id = parcels.set_index("parcel_id")
    assert by_id.loc["2", "crop_code_2"] == "DRG"
    assert pandas.isna(by_id.loc["1", "crop_code_2"])
    assert by_id["crop_code_3"].isna().all()
