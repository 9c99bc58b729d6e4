"""From a map of classes to samples: the same rooms as a survey's parcels go through."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from affine import Affine
from rasterio.warp import transform as move
from typer.testing import CliRunner

from cropflow.config.base import dump
from cropflow.config.registers import Register
from cropflow.config.root import parse_json
from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_folder, read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.manifest import manifest_path
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table, write_table
from cropflow.labels.command import app as labels
from cropflow.labels.legend import read_legend
from cropflow.labels.legend import read_table as read_codes
from cropflow.labels.registers.raster import files
from cropflow.regions.command import app as regions
from cropflow.regions.grid import Grid
from cropflow.regions.sites import sites_table
from cropflow.samples.command import app as samples

# 48 x 48 pixels of 10 m in UTM; the map lies in the projection of EUCROPMAP and covers more.
GRID = Grid(32631, 450_000.0, 5_360_000.0, 48, 48, 10.0)
SET = SampleSet(series="monthly", patch_size=16, inner_buffer_m=0, folds=Folds(count=3, block_m=80, ring_m=0))


def call(app, *words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


def crop_names():
    """Two crops of the finest level of the legend."""
    legend = read_legend("turkoglu")
    return [legend.name(id) for id in legend.ids[:2]]


@pytest.fixture
def simulated(tmp_path, class_map):
    """A map of fields of 60 m, one forest, some water and nodata; its table; and a site in the middle."""
    rng = np.random.default_rng(0)
    values = rng.choice([211, 216], (20, 20)).repeat(6, axis=0).repeat(6, axis=1)
    values[:, 55:64] = 300
    values[50:54, :] = 600
    values[70:73, 70:73] = 0
    (x,), (y,) = move("EPSG:32631", "EPSG:3035", [450_240.0], [5_359_760.0])
    transform = Affine(10.0, 0.0, round(x / 10) * 10 - 600.0, 0.0, -10.0, round(y / 10) * 10 + 600.0)
    path = class_map(values, transform=transform)
    table = tmp_path / "table.csv"
    wheat, maize = crop_names()
    table.write_text(f"code,crop\n211,{wheat}\n216,{maize}\n300,-\n600,-\n")
    return SimpleNamespace(path=path, table=table, values=values, transform=transform)


def entry(simulated, **changes):
    found = {"reader": "raster", "files": {"2018": {"path": "-"}}, "table": str(simulated.table)}
    return json.dumps(found | changes)


def clean(simulated, folder, settings):
    call(
        labels, "clean", "--source", simulated.path, "--season", "2018", "--settings", settings,
        "--output", folder / "parcels.parquet", "--summary", folder / "summary.json",
    )  # fmt: skip


def build(simulated, folder, settings):
    """Run the rooms from the map to the samples."""
    clean(simulated, folder, settings)
    call(
        labels, "map", "--parcels", folder / "parcels.parquet", "--settings", settings, "--legend", "turkoglu",
        "--output", folder / "crops.parquet", "--summary", folder / "crops.json",
    )  # fmt: skip
    write_table(folder / "sites.parquet", sites_table({"here": GRID}))
    call(
        regions, "parcels", "--sites", folder / "sites.parquet", "--parcels", folder / "parcels.parquet",
        "--output", folder / "parcels", "--summary", folder / "parcels.json",
    )  # fmt: skip
    with atomic_folder(folder / "composites.zarr") as temporary:
        group = add_site(create_store(temporary), "here", GRID, {"bands": ["B04"], "periods": ["2018-01-01"]})
        layers = {
            "reflectance": np.full((1, 1, 48, 48), 500, dtype=np.uint16),
            "observations": np.full((1, 48, 48), 2, dtype=np.uint8),
            "filled": np.zeros((1, 48, 48), dtype=bool),
        }
        for name, array in layers.items():
            axes = ("period", "band", "y", "x") if array.ndim == 4 else ("period", "y", "x")
            add_array(group, name, axes, array.shape, array.dtype, chunks=(16,) * array.ndim)[:] = array
    places = ("--sites", folder / "sites.parquet", "--parcels", folder / "parcels", "--crops", folder / "crops.parquet")
    chosen = ("--settings", json.dumps(dump(SET)))
    call(samples, "folds", *places, *chosen, "--output", folder / "folds.parquet", "--summary", folder / "folds.json")
    call(
        samples, "build", "--composites", folder / "composites.zarr", *places, "--folds", folder / "folds.parquet",
        *chosen, "--output", folder / "samples",
    )  # fmt: skip


def nearest(simulated):
    """The value under the centre of every pixel of the site."""
    columns, rows = np.meshgrid(np.arange(48) + 0.5, np.arange(48) + 0.5)
    x, y = GRID.transform @ (columns.ravel(), rows.ravel())
    x, y = move("EPSG:32631", "EPSG:3035", x, y)
    across, down = ~simulated.transform @ (np.array(x), np.array(y))
    return simulated.values[np.floor(down).astype(int), np.floor(across).astype(int)].reshape(48, 48)


def test_a_map_becomes_samples_that_are_its_nearest_neighbours(simulated, tmp_path):
    build(simulated, tmp_path, entry(simulated))
    summary = read_json(tmp_path / "summary.json")
    assert summary["kind"] == "map"
    assert summary["dropped"] == {}
    assert set(summary["codes"]) == {"211", "216", "300", "600"}
    assert summary["kept"]["hectares"] == pytest.approx((simulated.values > 0).sum() / 100, rel=1e-5)
    mapped = read_json(tmp_path / "crops.json")
    assert set(mapped["out_of_scope"]) == {"300", "600"}
    assert sum(part["parcels"] for part in mapped["crops"].values()) > 50
    wheat, maize = (read_codes("turkoglu", simulated.table)[code] for code in ("211", "216"))
    found = read_raster(tmp_path / "samples" / "here" / "crops.tif")[0][0]
    expected = nearest(simulated)
    fold = read_raster(tmp_path / "samples" / "here" / "folds.tif")[0][0]
    used = fold != 255
    assert used.mean() > 0.3
    crops = np.select([expected == 211, expected == 216], [wheat, maize], 0)
    in_parcel = read_raster(tmp_path / "samples" / "here" / "parcels.tif")[0][0] > 0
    assert np.array_equal(in_parcel, expected > 0)
    assert np.array_equal(found[used], crops[used])
    pixels = read_json(tmp_path / "samples" / "summary.json")["pixels"]
    assert pixels["total"] == 48 * 48 == sum(pixels["reasons"].values())


def test_cut_parts_lose_fewer_pixels_to_other_folds(simulated, tmp_path):
    lost = {}
    for name, raster in (("whole", {}), ("cut", {"cut_pixels": 8})):
        (tmp_path / name).mkdir()
        build(simulated, tmp_path / name, entry(simulated, raster=raster))
        lost[name] = read_json(tmp_path / name / "samples" / "summary.json")["pixels"]["reasons"].get("other_fold", 0)
    assert lost["cut"] < lost["whole"]


def test_a_value_that_the_table_does_not_know_stops_with_the_list(simulated, tmp_path):
    wheat = crop_names()[0]
    simulated.table.write_text(f"code,crop\n211,{wheat}\n216,{wheat}\n")
    clean(simulated, tmp_path, entry(simulated))
    with pytest.raises(CropflowError, match=r"does not know 2 of the register's 4 codes.*'300' \(.*'600' \("):
        call(
            labels, "map", "--parcels", tmp_path / "parcels.parquet", "--settings", entry(simulated),
            "--legend", "turkoglu", "--output", tmp_path / "crops.parquet", "--summary", tmp_path / "crops.json",
        )  # fmt: skip
    assert not (tmp_path / "crops.parquet").exists()


def test_the_manifest_names_the_map_and_how_it_was_cut(simulated, tmp_path):
    clean(simulated, tmp_path, entry(simulated, raster={"cut_pixels": 16}))
    manifest = read_json(manifest_path(tmp_path / "parcels.parquet"))
    assert list(manifest["inputs"]) == ["source_001"]
    assert manifest["settings"]["kind"] == "map"
    assert manifest["settings"]["raster"]["cut_pixels"] == 16
    assert manifest["settings"]["cleaning"] == {"minimum_area_m2": 0.0, "minimum_width_m": 0.0}


def test_the_tiles_of_a_collection_are_inputs_too(simulated, tmp_path):
    items = tmp_path / "items.json"
    assets = {"map": {"href": simulated.path.name}}
    items.write_text(json.dumps({"type": "Feature", "id": "tile", "assets": assets}))
    assert files(items, "2018", parse_json(Register, entry(simulated))) == [items, simulated.path]
    simulated.path = items
    clean(simulated, tmp_path, entry(simulated))
    assert len(read_json(manifest_path(tmp_path / "parcels.parquet"))["inputs"]) == 2
    assert len(read_table(tmp_path / "parcels.parquet")) > 50


def test_a_map_behind_an_address_is_read_by_ranges_and_named_without_its_query(simulated, tmp_path, ranges):
    clean(simulated, tmp_path, entry(simulated))
    local = (tmp_path / "parcels.parquet").read_bytes()
    ranges.files["/map.tif"] = simulated.path.read_bytes()
    simulated.path = f"{ranges.url}/map.tif?token=hush"
    clean(simulated, tmp_path, entry(simulated))
    assert (tmp_path / "parcels.parquet").read_bytes() == local
    manifest = read_json(manifest_path(tmp_path / "parcels.parquet"))
    assert manifest["inputs"] == {}
    assert manifest["settings"]["address"] == f"{ranges.url}/map.tif"
    assert "hush" not in json.dumps(manifest)


def test_an_asset_of_earth_engine_gives_the_same_parcels_as_a_file(simulated, tmp_path, earth_engine):
    (xmin, ymax), size = (simulated.transform.c, simulated.transform.f), len(simulated.values) * 10
    inner = {"bounds": [xmin + 205, ymax - size + 305, xmin + size - 105, ymax - 95], "crs": "EPSG:3035"}
    settings = {"raster": {"windows": {"inner": inner}, "nodata": [600]}}
    clean(simulated, tmp_path, entry(simulated, **settings))
    local = (tmp_path / "parcels.parquet").read_bytes()
    earth_engine.add("JRC/D5/EUCROPMAP/V1/2018", simulated.values.astype(np.uint16), simulated.transform)
    simulated.path = "ee://JRC/D5/EUCROPMAP/V1/2018"
    files = {"2018": {"earth_engine": "JRC/D5/EUCROPMAP/V1/2018", "layer": "classification"}}
    clean(simulated, tmp_path, entry(simulated, files=files, **settings))
    assert (tmp_path / "parcels.parquet").read_bytes() == local
    manifest = read_json(manifest_path(tmp_path / "parcels.parquet"))
    assert manifest["inputs"] == {}
    assert manifest["settings"]["address"] == "ee://JRC/D5/EUCROPMAP/V1/2018"
    assert manifest["settings"]["layer"] == "classification"


def test_an_asset_that_is_refused_leaves_nothing_behind(simulated, tmp_path, earth_engine):
    earth_engine.add("JRC/map", simulated.values.astype(np.uint16), simulated.transform)
    earth_engine.statuses = [200, 403]
    simulated.path = "ee://JRC/map"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CropflowError, match=r"ee://JRC/map cannot be read without an account"):
        clean(simulated, tmp_path, entry(simulated))
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_map_leaves_nothing_behind(simulated, tmp_path, class_map):
    simulated.path = class_map([[1.5]], "float32", "bad.tif")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CropflowError, match="stores float32"):
        clean(simulated, tmp_path, entry(simulated))
    assert sorted(tmp_path.iterdir()) == before
