from __future__ import annotations

import pyproj
import pytest
from typer.testing import CliRunner

from cropflow.config.base import dump
from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.config.rpg_vintages import find_vintage, vintages
from cropflow.errors import CropflowError
from cropflow.labels.command import app


def register(file, reader="rpg"):
    columns = {"columns": {"crop_code": "c"}} if reader == "vector" else {}
    return parse(Register, {"reader": reader, "files": {"2023": file}, **columns})


def test_every_vintage_since_2015_is_there_for_every_region():
    regions = {each.area for each in vintages()} - {"FXX"}
    assert len(regions) == 18
    for year in range(2015, 2024):
        assert {each.area for each in vintages() if each.year == year} >= regions
    assert find_vintage(2024, "FXX").layer == "RPG_Parcelles"


def test_no_year_and_area_occurs_twice_and_no_address_either():
    assert len({(each.year, each.area) for each in vintages()}) == len(vintages())
    assert len({each.url for each in vintages()}) == len(vintages())


def test_a_delivery_says_the_same_in_its_name_as_in_its_columns():
    for each in vintages():
        assert str(each.year) in each.name
        assert f"RPG_{each.version.replace('.', '-')}_" in each.name
        assert f"_{each.form}_" in each.name
        assert ("LAMB93" in each.name) == (each.epsg == 2154)
        assert each.evidence in {"verified", "derived"}
        assert {"id_parcel", "code_cultu"} <= {name.lower() for name in each.columns}


def test_the_crs_of_a_region_is_used_where_the_region_lies():
    places = {"FXX": (3, 47), "R84": (4, 45), "R01": (-61.5, 16.2), "R02": (-61, 14.6), "R03": (-53, 4)}
    for area, (longitude, latitude) in (places | {"R04": (55.5, -21.1), "R06": (45.1, -12.8)}).items():
        use = pyproj.CRS.from_epsg(find_vintage(2023, area).epsg).area_of_use
        assert use.west <= longitude <= use.east and use.south <= latitude <= use.north, area


def test_a_vintage_stands_for_its_address():
    file = register({"vintage": 2023}).files["2023"]
    name = "RPG_2-2__GPKG_LAMB93_FXX_2023-01-01"
    assert file.url == f"https://data.geopf.fr/telechargement/download/RPG/{name}/{name}.7z"
    assert file.area == "FXX"
    assert register({"vintage": 2022, "area": "FXX"}).files["2023"].url.endswith(".7z.001")
    again = parse(Register, dump(register({"vintage": 2023, "area": "R84"})))
    assert again == register({"vintage": 2023, "area": "R84"})


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ({"vintage": 2014}, r"vintage is 2014; the register's catalogue has 2015 to 2024"),
        ({"vintage": 2023, "area": "R99"}, r"area is 'R99'; of 2023 the register's catalogue has: FXX, R01"),
        ({"vintage": 2023, "path": "x"}, "exactly one of path, url, earth_engine and vintage"),
        ({"vintage": 2023, "url": "https://other.example/a.7z"}, "exactly one of path, url, earth_engine and vintage"),
        ({"area": "R84", "path": "x"}, "area goes with vintage"),
        ({}, "exactly one of path, url, earth_engine and vintage"),
        ({"vintage": "new"}, "vintage"),
    ],
)
def test_a_file_that_is_named_badly_is_one_line(file, words):
    with pytest.raises(CropflowError, match=words):
        register(file)


def test_a_vintage_is_for_the_reader_of_its_register():
    with pytest.raises(CropflowError, match=r"files.2023.vintage is for reader rpg"):
        register({"vintage": 2023}, "vector")


def test_the_command_lists_what_there_is():
    result = CliRunner().invoke(app, ["vintages", "--year", "2023", "--area", "R84"])
    (line,) = result.stdout.splitlines()
    assert line.split()[:6] == ["2023", "R84", "2.2", "SHP", "EPSG:2154", "verified"]
    assert isinstance(CliRunner().invoke(app, ["vintages", "--year", "1999"]).exception, CropflowError)
