from __future__ import annotations

import geopandas
import pandas
import py7zr
import pyogrio
import pytest
import shapely

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register

SETTINGS = parse(Register, {"reader": "rpg", "files": {"2022": {"path": "x"}}})
SIMULATED = parse(Register, {"reader": "rpg", "simulation": "demo"})


@pytest.fixture
def delivery(tmp_path, register, square):
    """An archive as IGN ships it: parcels in upper-case columns, beside blocks that are no parcels."""

    def write(path, columns=("ID_PARCEL", "CODE_CULTU")):
        parcels = register(("1", "BTH", square(0)), ("2", "NA", square(1)))
        parcels = parcels.rename(columns=dict(zip(("parcel_id", "crop_code"), columns, strict=True)))
        with py7zr.SevenZipFile(path, "w") as archive:
            for name, table in (("PARCELLES_GRAPHIQUES", parcels), ("ILOTS_ANONYMES", parcels[["geometry"]])):
                pyogrio.write_dataframe(table, tmp_path / f"{name}.gpkg")
                archive.write(tmp_path / f"{name}.gpkg", f"RPG/1_DONNEES/{name}.gpkg")
        return path

    return write


def test_the_archive_and_its_geopackage_give_the_same_100_parcels(shared):
    folder = shared / "data/rpg_2022_sample"
    archive = read_register(folder / "RPG_2-0__GPKG_LAMB93_FXX_2022-01-01.7z.001", "2022", SETTINGS)
    plain = read_register(folder / "PARCELLES_GRAPHIQUES_2022_sample.gpkg", "2022", SETTINGS)
    pandas.testing.assert_frame_equal(archive, plain)
    assert len(archive) == 100
    assert archive["crop_code"].nunique() == 29
    assert archive["parcel_id"].iloc[0] == "19"
    assert archive.crs == "EPSG:2154"


def test_upper_case_columns_and_the_parcels_among_other_files(tmp_path, delivery):
    parcels = read_register(delivery(tmp_path / "RPG.7z"), "2022", SETTINGS)
    assert parcels["parcel_id"].tolist() == ["1", "2"]
    assert parcels["crop_code"].tolist() == ["BTH", "NA"]


def test_lower_case_columns(tmp_path, delivery):
    parcels = read_register(delivery(tmp_path / "RPG.7z", ("id_parcel", "code_cultu")), "2022", SETTINGS)
    assert parcels["crop_code"].tolist() == ["BTH", "NA"]


def test_a_simulated_register_is_a_folder_of_seasons(tmp_path, delivery):
    (tmp_path / "register").mkdir()
    delivery(tmp_path / "register" / "RPG_2020.7z")
    assert len(read_register(tmp_path / "register", "2020", SIMULATED)) == 2
    with pytest.raises(CropflowError, match=r"holds RPG_2020.7z; expected RPG_2021.7z"):
        read_register(tmp_path / "register", "2021", SIMULATED)


def test_another_column_of_codes_is_refused_by_name(tmp_path, delivery):
    with pytest.raises(CropflowError, match=r"no column 'CODE_CULTU'; it has: ID_PARCEL, CODE"):
        read_register(delivery(tmp_path / "RPG.7z", ("ID_PARCEL", "CODE")), "2022", SETTINGS)


def test_an_empty_text_is_no_code_and_na_is_one(tmp_path, register, square):
    table = register(("1", "", square(0)), ("2", "NA", square(1)), ("3", None, square(2)))
    table = geopandas.GeoDataFrame(table.rename(columns={"parcel_id": "ID_PARCEL", "crop_code": "CODE_CULTU"}))
    pyogrio.write_dataframe(table, tmp_path / "parcelles.gpkg")
    parcels, summary = clean(read_register(tmp_path / "parcelles.gpkg", "2022", SETTINGS))
    assert parcels["crop_code"].tolist() == ["NA"]
    assert summary["dropped"]["no_code"]["parcels"] == 2


# Version 3.0 names its file otherwise; regions overseas have shapefiles in CRSs of their own.
DELIVERIES = [
    ("PARCELLES_GRAPHIQUES", ".gpkg", 2154, (700_000, 6_600_000), str.upper),
    ("PARCELLES_GRAPHIQUES", ".gpkg", 2154, (700_000, 6_600_000), str.lower),
    ("RPG_Parcelles", ".gpkg", 2154, (700_000, 6_600_000), str.lower),
    ("PARCELLES_GRAPHIQUES", ".shp", 2154, (700_000, 6_600_000), str.upper),
    ("PARCELLES_GRAPHIQUES", ".shp", 5490, (650_000, 1_800_000), str.upper),
    ("PARCELLES_GRAPHIQUES", ".shp", 2972, (350_000, 500_000), str.upper),
    ("PARCELLES_GRAPHIQUES", ".shp", 2975, (340_000, 7_650_000), str.lower),
    ("PARCELLES_GRAPHIQUES", ".shp", 4471, (520_000, 8_580_000), str.upper),
]


@pytest.mark.parametrize(("name", "suffix", "epsg", "place", "case"), DELIVERIES)
@pytest.mark.parametrize("parts", [1, 3])
def test_deliveries_of_all_vintages_are_read_and_cleaned(tmp_path, name, suffix, epsg, place, case, parts):
    columns = {
        "ID_PARCEL": ["7", "8"], "SURF_PARC": [1.0, 1.0], "CODE_CULTU": ["NA", "BTH"], "CODE_GROUP": ["28", "1"],
        "CULTURE_D1": ["DRG", None], "CULTURE_D2": [None, ""],
    }  # fmt: skip
    boxes = [shapely.box(x, place[1], x + 100, place[1] + 100) for x in (place[0], place[0] + 200)]
    table = geopandas.GeoDataFrame({case(key): values for key, values in columns.items()}, geometry=boxes, crs=epsg)
    for stem in (name, "ILOTS_ANONYMES"):
        pyogrio.write_dataframe(table, tmp_path / f"{stem}{suffix}")
    with py7zr.SevenZipFile(tmp_path / "RPG.7z", "w") as archive:
        for file in sorted(tmp_path.glob(f"{name}.*")) + sorted(tmp_path.glob("ILOTS_ANONYMES.*")):
            archive.write(file, f"RPG/1_DONNEES_LIVRAISON/{file.name}")
    content = (tmp_path / "RPG.7z").read_bytes()
    size = -(-len(content) // parts)
    for number in range(parts):
        (tmp_path / f"RPG.7z.{number + 1:03d}").write_bytes(content[number * size : (number + 1) * size])
    parcels, summary = clean(read_register(tmp_path / "RPG.7z.001", "2022", SETTINGS))
    assert summary["kept"]["parcels"] == 2
    assert parcels.crs.to_epsg() == epsg
    by_id = parcels.set_index("parcel_id")
    assert by_id["crop_code"].to_dict() == {"7": "NA", "8": "BTH"}
    assert by_id["crop_code_2"].isna().to_dict() == {"7": False, "8": True}
    assert by_id.loc["7", "crop_code_2"] == "DRG"
    assert by_id["crop_code_3"].isna().all()
    assert by_id["area_ha"].between(0.99, 1.01).all()


def test_the_real_sample_has_second_crops_where_they_are_declared(shared):
    file = shared / "data/rpg_2022_sample/PARCELLES_GRAPHIQUES_2022_sample.gpkg"
    parcels = read_register(file, "2022", SETTINGS)
    raw = pyogrio.read_dataframe(file)
    for name, column in (("crop_code_2", "culture_d1"), ("crop_code_3", "culture_d2")):
        assert parcels[name].fillna("").tolist() == raw[column].fillna("").tolist()
        assert (parcels[name] != "").all()
