from __future__ import annotations

import geopandas
import pandas
import py7zr
import pyogrio
import pytest

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
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
    from cropflow.labels.parcels import clean

    parcels, summary = clean(read_register(tmp_path / "parcelles.gpkg", "2022", SETTINGS))
    assert parcels["crop_code"].tolist() == ["NA"]
    assert summary["dropped"]["no_code"]["parcels"] == 2
