import json

import geopandas
import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.manifest import manifest_path
from cropflow.files.rasters import write_cog
from cropflow.files.tables import write_table
from cropflow.files.verify import verify
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.command import _without_places, app
from cropflow.regions.grid import Grid
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


def two_groups(path, shift=0.0, name="p"):
    """Two long groups of fields, a hook around a bar, whose rectangles overlap; ids and outlines differ by season."""
    hook = [(x, 0) for x in range(0, 6000, 500)] + [(0, y) for y in range(500, 6000, 500)]
    bar = [(3000 + x, 3000) for x in range(0, 1500, 500)]
    shapes = [
        shapely.box(500_000 + x + shift, 4_900_000 + y, 500_200 + x + shift, 4_900_150 + y) for x, y in [*hook, *bar]
    ]
    table = geopandas.GeoDataFrame(
        {"parcel_id": [f"{name}{n}" for n in range(len(shapes))], "crop_code": ["BTH"] * len(shapes)},
        geometry=shapes,
        crs=32631,
    ).to_crs(2154)
    table["area_ha"] = ellipsoidal_area_ha(table.geometry)
    write_table(path, table)
    return path


def test_where_clusters_overlap_every_parcel_is_in_exactly_one_site_in_every_season(tmp_path, caplog):
    choose = {"method": "clusters", "season": "2023", "eps_m": 600}
    settings = json.dumps({"imagery": "demo", "register": "rpg", "choose": choose})
    parcels = two_groups(tmp_path / "2023.parquet")
    call("sites", "--settings", settings, "--parcels", parcels, "--output", tmp_path / "sites.parquet")
    assert "share" in caplog.text
    grids = read_sites(tmp_path / "sites.parquet")
    assert len(grids) == 2
    counts = json.loads(manifest_path(tmp_path / "sites.parquet").read_text())["counts"]
    assert (counts["parcels"], counts["clustered"], counts["noise"], counts["clusters"]) == (26, 26, 0, 2)
    # Next year the fields have moved by half a width, and one more lies far away.
    for season, shift in (("2023", 0.0), ("2024", 100.0)):
        parcels = two_groups(tmp_path / f"{season}.parquet", shift, season)
        output, summary = tmp_path / season / "parcels", tmp_path / season / "parcels.json"
        call("parcels", "--sites", tmp_path / "sites.parquet", "--parcels", parcels, "--output", output, "--summary",
             summary)  # fmt: skip
        tables = {name: geopandas.read_parquet(output / f"{name}.parquet") for name in grids}
        ids = [parcel for table in tables.values() for parcel in table["parcel_id"]]
        assert sorted(ids) == sorted(geopandas.read_parquet(parcels)["parcel_id"])
        assert sorted(len(table) for table in tables.values()) == [3, 23]
        assert all(table["index"].tolist() == list(range(1, len(table) + 1)) for table in tables.values())
        if season == "2023":
            assert not any(table["cut"].any() for table in tables.values())
        total = json.loads(summary.read_text())["total"]
        assert (total["parcels"], total["elsewhere"], total["register"], total["outside"]) == (26, 3, 26, 0)


def test_clusters_without_parcels_are_refused(tmp_path):
    choose = {"method": "clusters", "season": "2023"}
    settings = json.dumps({"imagery": "demo", "register": "rpg", "choose": choose})
    with pytest.raises(CropflowError, match="--parcels is missing"):
        call("sites", "--settings", settings, "--output", tmp_path / "sites.parquet")


@pytest.fixture
def land_cover(tmp_path):
    """A map of 20 x 20 km whose cropland, 40, thins out from west to east."""
    grid = Grid(32631, 490_000, 4_993_000, 1000, 1000, 20.0)
    rng = np.random.default_rng(0)
    values = np.where(rng.random(grid.shape) < np.linspace(1, 0, 1000), 40, 10).astype(np.uint8)
    write_cog(tmp_path / "map.tif", values, grid, 0)
    return tmp_path / "map.tif"


def test_squares_are_chosen_by_cropland_and_their_share_is_kept(tmp_path, land_cover):
    choose = {
        "method": "cropland", "raster": str(land_cover), "towns": {"clermont": [3.0, 45.0]}, "per_town": 2,
        "radius_km": 5, "side_km": 2, "step_km": 1,
    }  # fmt: skip
    settings = json.dumps({"imagery": "demo", "choose": choose})
    call("sites", "--settings", settings, "--output", tmp_path / "sites.parquet")
    table = geopandas.read_parquet(tmp_path / "sites.parquet").set_index("site")
    assert list(table.index) == ["clermont_1", "clermont_2"]
    assert table["cropland_share"].iloc[0] >= table["cropland_share"].iloc[1] > 0.6
    manifest = json.loads(manifest_path(tmp_path / "sites.parquet").read_text())
    assert set(manifest["inputs"]) == {"choose.raster"}
    assert str(land_cover) not in json.dumps(manifest)


def test_the_manifest_keeps_the_address_of_a_map_but_not_its_secrets():
    address = "https://host/tiles/map.tif"
    choose = {"raster": f"{address}?token=se-cret", "frame": {"path": "a.gpkg", "layer": None}, "strata": None}
    assert _without_places({**choose, "values": [40]}) == {
        "raster": address, "frame": {"layer": None}, "strata": None, "values": [40],
    }  # fmt: skip


@pytest.mark.parametrize("strata", [None, {"raster": "map.tif", "breaks": [0.25, 0.5, 0.75]}, {"column": "part"}])
def test_a_sample_keeps_its_design_beside_its_sites(tmp_path, land_cover, strata, monkeypatch):
    monkeypatch.chdir(tmp_path)
    halves = [shapely.box(2.9, 44.93, 3.0, 45.06), shapely.box(3.0, 44.93, 3.1, 45.06)]
    geopandas.GeoDataFrame({"part": ["west", "east"]}, geometry=halves, crs=4326).to_file("parts.gpkg")
    frame = {"path": "parts.gpkg"} if strata == {"column": "part"} else {"bounds": [2.9, 44.93, 3.1, 45.06]}
    choose = {"method": "sample", "frame": frame, "size": 20, "side_km": 1, "strata": strata, "seed": 3}
    settings = json.dumps({"imagery": "demo", "choose": choose})
    call("sites", "--settings", settings, "--output", "sites.parquet")
    table = geopandas.read_parquet("sites.parquet")
    assert len(table) == 20
    expected = {None: {"all"}, "raster": {"0-0.25", "0.25-0.5", "0.5-0.75", "0.75-1"}, "column": {"west", "east"}}
    assert set(table["stratum"]) == expected[None if strata is None else next(iter(strata))]
    counts = json.loads(manifest_path(tmp_path / "sites.parquet").read_text())["counts"]
    assert (1 / table["inclusion_probability"]).sum() == pytest.approx(counts["frame_squares"])
    assert sum(stratum["sample_squares"] for stratum in counts["design"].values()) == 20
    assert read_sites("sites.parquet").keys() == set(table["site"])
    call("sites", "--settings", settings, "--output", "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "sites.parquet").read_bytes()
