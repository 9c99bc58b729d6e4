import json

import geopandas
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.manifest import manifest_path
from cropflow.files.tables import write_table
from cropflow.files.verify import verify
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.command import app
from cropflow.regions.sites import read_sites


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception


@pytest.fixture
def sites(tmp_path):
    settings = {
        "imagery": "demo",
        "sites": {
            "west": {"bounds": [523560, 4829250, 525880, 4832780], "crs": "EPSG:32631"},
            "north": {"centre": [3.3, 44.0], "side_km": 1},
        },
    }
    call("sites", "--settings", json.dumps(settings), "--output", tmp_path / "sites.parquet")
    return tmp_path / "sites.parquet"


def parcels_at(path, x, y):
    table = geopandas.GeoDataFrame(
        {"parcel_id": ["1", "2"], "crop_code": ["BTH", "NA"]},
        geometry=[shapely.box(x, y, x + 200, y + 100), shapely.box(x + 300, y, x + 400, y + 100)],
        crs=32631,
    ).to_crs(2154)
    table["area_ha"] = ellipsoidal_area_ha(table.geometry)
    write_table(path, table)
    return path


def test_both_commands_write_what_they_promise(tmp_path, sites, caplog):
    assert list(read_sites(sites)) == ["north", "west"]
    parcels = parcels_at(tmp_path / "parcels.parquet", 525_700, 4_830_000)
    output, summary = tmp_path / "region" / "parcels", tmp_path / "region" / "parcels.json"
    call("parcels", "--sites", sites, "--parcels", parcels, "--output", output, "--summary", summary)
    west = geopandas.read_parquet(output / "west.parquet")
    assert west["crop_code"].tolist() == ["BTH"]
    assert west["cut"].tolist() == [True]
    assert len(geopandas.read_parquet(output / "north.parquet")) == 0
    assert "site north holds no parcel" in caplog.text
    content = json.loads(summary.read_text(encoding="utf-8"))
    assert content["sites"]["west"] == {
        "parcels": 1, "hectares": content["total"]["hectares"], "cut": 1, "dropped": 0, "elsewhere": 0,
    }  # fmt: skip
    assert {key: content["total"][key] for key in ("register", "inside", "outside")} == {
        "register": 2, "inside": 1, "outside": 1,
    }  # fmt: skip
    assert content["total"]["hectares"] == pytest.approx(1.8, rel=2e-3)
    assert content["total"]["parcels"] == 1
    assert manifest_path(output).is_file()
    assert manifest_path(summary).is_file()
    assert verify(tmp_path / "region") == (2, [])


def test_the_same_input_gives_the_same_bytes(tmp_path, sites):
    parcels = parcels_at(tmp_path / "parcels.parquet", 524_000, 4_830_000)
    for name in ("one", "two"):
        call("parcels", "--sites", sites, "--parcels", parcels, "--output", tmp_path / name, "--summary",
             tmp_path / f"{name}.json")  # fmt: skip
    assert manifest_path(tmp_path / "one").read_bytes() == manifest_path(tmp_path / "two").read_bytes()


def test_a_region_without_any_parcel_is_refused_and_nothing_is_written(tmp_path, sites):
    parcels = parcels_at(tmp_path / "parcels.parquet", 600_000, 4_900_000)
    with pytest.raises(CropflowError, match=r"None of the 2 sites .* holds a parcel"):
        call("parcels", "--sites", sites, "--parcels", parcels, "--output", tmp_path / "out", "--summary",
             tmp_path / "out.json")  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_parcels_that_are_no_geoparquet_are_refused(tmp_path, sites):
    import pandas

    write_table(tmp_path / "plain.parquet", pandas.DataFrame({"parcel_id": ["a"]}))
    with pytest.raises(CropflowError, match="is no GeoParquet"):
        call("parcels", "--sites", sites, "--parcels", tmp_path / "plain.parquet", "--output", tmp_path / "out",
             "--summary", tmp_path / "out.json")  # fmt: skip


def test_the_parcels_of_herault_keep_their_area_and_their_number(tmp_path, sites, shared):
    source = geopandas.read_file(shared / "data" / "herault_2018" / "reference_data" / "france_data_2018.shp")
    table = geopandas.GeoDataFrame(
        {
            "parcel_id": [f"{row:04d}" for row in range(len(source))],
            "crop_code": source["EC_hcat_n"].fillna("none"),
            "area_ha": ellipsoidal_area_ha(source.geometry),
        },
        geometry=source.geometry,
        crs=source.crs,
    )
    write_table(tmp_path / "parcels.parquet", table)
    call("parcels", "--sites", sites, "--parcels", tmp_path / "parcels.parquet", "--output", tmp_path / "out",
         "--summary", tmp_path / "out.json")  # fmt: skip
    west = geopandas.read_parquet(tmp_path / "out" / "west.parquet")
    assert len(west) == 120
    assert (west["site_area_ha"] <= west["area_ha"] * 1.0001).all()
    # 16,017 pixels of 100 m2 by the centre rule.
    assert west["site_area_ha"].sum() == pytest.approx(160.17, rel=0.01)
    assert west.geometry.is_valid.all()
