"""The points of the Canadian Cropland Dataset as squares."""

from __future__ import annotations

import json

import pytest

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.labels.command import clean as clean_command
from cropflow.labels.legend import read_table
from cropflow.labels.mapping import map_codes
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register
from cropflow.labels.registers.canadian_cropland import CROPS

HEADER = (
    ",Point_ID,Region,Province Code,Crop Type,Month Start Date,Month End Date,ACI Crop ID,Longitude,Latitude,"
    "File Name,Available"
)
ENTRY = {
    "reader": "canadian_cropland",
    "files": {"2019": {"path": "points.csv"}},
    "points": {"side_m": 100},
}


def line(number, point, crop="barley", code="133", place=(-114.6, 52.3), month=6, province="AB"):
    start = f"2019-{month:02d}-01"
    return f"{number},{point},Alberta,{province},{crop},{start},{start},{code},{place[0]},{place[1]},POINT_{point},TRUE"


@pytest.fixture
def points(tmp_path):
    def write(*lines, header=HEADER):
        path = tmp_path / "points.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def read(path, **changes):
    return read_register(path, "2019", parse(Register, ENTRY | changes, "registers.canada"))


def test_the_months_of_a_point_are_one_square(points):
    found = read(points(line(0, 1, month=6), line(1, 1, month=7), line(2, 2, "corn", "147", (-114.353, 51.72757))))
    assert found["parcel_id"].tolist() == ["AB_1", "AB_2"]
    assert found["crop_code"].tolist() == ["barley", "corn"]
    assert found.crs.to_epsg() == 4326
    assert ellipsoidal_area_ha(found.geometry) == pytest.approx([1.0, 1.0], rel=1e-3)
    west, south, east, north = found.geometry.iloc[1].bounds
    assert ((west + east) / 2, (south + north) / 2) == pytest.approx((-114.353, 51.72757), abs=1e-6)


@pytest.mark.parametrize("place", [(-114.6, 52.3), (-63.1, 46.2), (-124.9, 69.9)])
def test_squares_of_the_smallest_parcels_side_are_not_dropped(points, place):
    config = parse(Register, ENTRY | {"points": {"side_m": 10}}, "registers.canada")
    _, counts = clean(read_register(points(line(0, 1, place=place)), "2019", config), config.cleaning)
    assert counts["dropped"] == {}


def test_a_crop_that_is_told_in_one_month_alone_counts(points):
    assert read(points(line(0, 1, "", ""), line(1, 1, month=7)))["crop_code"].tolist() == ["barley"]


def test_points_of_two_provinces_may_share_a_number(points):
    found = read(points(line(0, 1), line(1, 1, province="MB", place=(-97.5, 49.4))))
    assert found["parcel_id"].tolist() == ["AB_1", "MB_1"]


def test_names_become_codes_in_lower_case_with_underscores(points):
    lines = [
        line(n, n, crop, code) for n, (crop, code) in enumerate([("SPRING_WHEAT", "146"), ("Spring Wheat", "146")])
    ]
    assert read(points(*lines))["crop_code"].tolist() == ["spring_wheat", "spring_wheat"]


def test_crops_beyond_the_ten_keep_their_names(points):
    assert read(points(line(0, 1, "Winter_Wheat", "145")))["crop_code"].tolist() == ["winter_wheat"]


def test_an_edition_with_other_columns_is_read(points):
    header = HEADER.replace("Point_ID", "Point ID").replace("Crop Type", "Crop Type,Year")
    row = line(0, 1, code="None").replace("barley,", "barley,2019,")
    assert read(points(row, header=header))["crop_code"].tolist() == ["barley"]


def test_a_point_with_several_crops_has_none_and_is_counted(points, caplog):
    path = points(line(0, 1), line(1, 1, "corn", "147", month=7), line(2, 2, "", "", (-114.0, 52.0)), line(3, 3))
    config = parse(Register, ENTRY, "registers.canada")
    parcels, counts = clean(read_register(path, "2019", config), config.cleaning)
    assert "several crops, which therefore have none: AB_1" in caplog.text
    assert counts["dropped"]["no_code"]["parcels"] == 2
    assert parcels["parcel_id"].tolist() == ["AB_3"]


def test_the_ten_crops_and_their_codes_are_those_of_the_reference(shared):
    rows = (shared / "reference" / "classes" / "D_classes_and_results.csv").read_text().splitlines()[1:]
    assert {row.split(",")[1].lower(): row.split(",")[2] for row in rows} == CROPS


def test_the_ten_crops_are_those_of_the_legend(points):
    lines = [line(n, n, crop, code, (-114.6, 50 + n / 10)) for n, (crop, code) in enumerate(CROPS.items())]
    config = parse(Register, ENTRY, "registers.canada")
    parcels, _ = clean(read_register(points(*lines), "2019", config), config.cleaning)
    crops = map_codes(parcels, read_table("canadian_cropland_10", config.table))
    assert len(set(crops.tolist()) - {0}) == 10


def test_scores_against_these_points_are_agreement(points, tmp_path):
    path = points(line(0, 1))
    clean_command(str(path), "2019", json.dumps(ENTRY), tmp_path / "parcels.parquet", tmp_path / "summary.json", 1)
    assert read_json(tmp_path / "summary.json")["kind"] == "map"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "has 0 points"),
        ((line(0, 1, place=("here", 52.3)),), "has the longitude 'here'; expected degrees"),
        ((line(0, 1, place=("", 52.3)),), "has the longitude ''; expected degrees"),
        ((line(0, 1, place=("nan", 52.3)),), "has the longitude 'nan'; expected degrees"),
        ((line(0, 1, place=(52.3, -114.6)),), "has 1 of 1 rows outside Canada.*columns are not swapped"),
        ((line(0, 1, place=(-500000, 52.3)),), "outside Canada"),
        ((line(0, 1), line(1, 1, place=(-114.7, 52.3))), "has 1 points in several places: AB_1"),
        ((line(0, 1, "barley", "147"),), "crop and inventory code differ, such as 'barley' with ACI Crop ID 147"),
        (('0,"1',), "cannot be read as a UTF-8 CSV file"),
    ],
)
def test_a_file_that_is_wrong_is_refused(points, lines, message):
    with pytest.raises(CropflowError, match=message):
        read(points(*lines))


def test_a_missing_column_is_named(points):
    with pytest.raises(CropflowError, match=r"has no column 'Crop Type'; it has: .*Point_ID"):
        read(points(line(0, 1), header=HEADER.replace("Crop Type", "Crop")))


def test_a_file_in_another_encoding_is_refused(points):
    path = points(line(0, 1))
    path.write_bytes(path.read_bytes().replace(b"Alberta", "Québec".encode("cp1252")))
    with pytest.raises(CropflowError, match="cannot be read as a UTF-8 CSV file"):
        read(path)
