"""Writers that are whole or absent, and manifests that notice every change."""

from __future__ import annotations

import json
import os
import subprocess

import geopandas
import numpy as np
import pytest
import rasterio
import xarray
from shapely import box

from cropflow.errors import CropflowError
from cropflow.files.arrays import map_array
from cropflow.files.atomic import atomic_file, atomic_folder, read_json, write_json
from cropflow.files.cubes import add_array, add_site, create_store, open_store, site_grid
from cropflow.files.manifest import content_hash, manifest_path, write_manifest
from cropflow.files.outputs import refuse_foreign
from cropflow.files.rasters import read_raster, write_cog
from cropflow.files.tables import read_geotable, read_table, write_table
from cropflow.files.verify import verify
from cropflow.regions.grid import Grid

GRID = Grid(32631, 500000.0, 4800000.0, 30, 40, 10.0)


def test_an_error_while_writing_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "store"
    for content in ("one", "two"):
        with atomic_folder(path) as temporary:
            (temporary / content).write_text(content)
    assert [file.name for file in path.iterdir()] == ["two"]
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_an_error_while_writing_a_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "store"
    with atomic_folder(path) as temporary:
        (temporary / "one").write_text("1")
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        raise RuntimeError
    assert [file.name for file in tmp_path.rglob("*")] == ["store", "one"]


def test_what_a_killed_process_left_is_swept_away_and_a_living_ones_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = tmp_path / f".store.{dead.pid}-0123abcd"
    left.mkdir()
    (tmp_path / f".other.{dead.pid}-0123abcd").mkdir()
    living = tmp_path / f".store.{os.getpid()}-0123abcd"
    living.mkdir()
    with atomic_folder(tmp_path / "store"):
        pass
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [living.name, f".other.{dead.pid}-0123abcd", "store"]
    )


def test_a_result_made_from_something_that_is_gone_is_named(tmp_path):
    (tmp_path / ".work").mkdir()
    write_json(tmp_path / "first.json", [1])
    write_manifest(tmp_path / "first.json")
    write_json(tmp_path / "second.json", [2])
    write_manifest(tmp_path / "second.json", {"first": tmp_path / "first.json"})
    assert verify(tmp_path)[1] == []
    write_json(tmp_path / "first.json", [3])
    write_manifest(tmp_path / "first.json")
    findings = verify(tmp_path)[1]
    assert [(finding.path.name, finding.problem.split(":")[0]) for finding in findings] == [("second.json", "stale")]


def test_a_damaged_manifest_is_named_and_the_others_are_still_checked(tmp_path):
    for name in ("a.json", "b.json"):
        write_json(tmp_path / name, {})
        write_manifest(tmp_path / name)
    manifest_path(tmp_path / "a.json").write_text("{")
    checked, findings = verify(tmp_path)
    assert checked == 2
    assert [(finding.path.name, finding.problem) for finding in findings] == [("a.json", "its manifest is damaged")]


@pytest.mark.parametrize("content", [None, "{"])
def test_missing_or_damaged_json_is_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(CropflowError, match=r"a\.json is (missing|damaged)"):
        read_json(tmp_path / "a.json")


def test_a_file_that_is_no_table_is_one_line(tmp_path):
    (tmp_path / "a.parquet").write_text("no table")
    for read in (read_table, read_geotable):
        with pytest.raises(CropflowError, match="no \\(Geo\\)Parquet file"):
            read(tmp_path / "a.parquet")


def test_json_with_a_number_that_json_has_not_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})


def test_a_manifest_notices_a_changed_byte_a_missing_file_and_a_stranger(tmp_path):
    for name in ("kept", "changed", "missing"):
        write_json(tmp_path / name, {"name": name})
        write_manifest(tmp_path / name, settings={"a": 1}, counts={"rows": 1})
    (tmp_path / "changed").write_text("{}")
    (tmp_path / "missing").unlink()
    (tmp_path / "stranger").write_text("")
    checked, findings = verify(tmp_path)
    assert checked == 3
    assert {finding.path.name: finding.problem.split(":")[0] for finding in findings} == {
        "changed": "changed",
        "missing": "missing",
        "stranger": "without a manifest",
    }


def test_statistics_that_a_viewer_writes_beside_a_raster_change_no_result(tmp_path):
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "crops.tif").write_bytes(b"raster")
    (tmp_path / "table.tif").write_bytes(b"raster")
    for name in ("map", "table.tif"):
        write_manifest(tmp_path / name)
    (tmp_path / "map" / "crops.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "table.tif.aux.xml").write_text("<PAMDataset/>")
    assert verify(tmp_path) == (2, [])


def test_a_folders_hash_sees_names_and_contents(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("1")
    first = content_hash(tmp_path / "x")
    (tmp_path / "x" / "a").rename(tmp_path / "x" / "b")
    assert content_hash(tmp_path / "x")[0] != first[0]
    assert first[1] == 1


def test_a_manifest_holds_neither_times_nor_paths(tmp_path):
    for folder in ("one", "two"):
        write_json(tmp_path / folder / "in.json", [1])
        write_json(tmp_path / folder / "out.json", [2])
        write_manifest(tmp_path / folder / "out.json", {"input": tmp_path / folder / "in.json"})
    texts = [manifest_path(tmp_path / folder / "out.json").read_text() for folder in ("one", "two")]
    assert texts[0] == texts[1]
    assert set(json.loads(texts[0])["inputs"]) == {"input"}


def test_a_cog_keeps_values_grid_nodata_and_colours_and_has_overviews(tmp_path):
    values = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40) % 50
    write_cog(tmp_path / "a.tif", values, GRID, 65535, colours={1: (255, 0, 0, 255)}, names=["crop"])
    read, grid = read_raster(tmp_path / "a.tif")
    assert np.array_equal(read[0], values)
    assert grid == GRID
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.nodata == 65535
        assert raster.descriptions == ("crop",)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.overviews(1)
        assert raster.colormap(1)[1] == (255, 0, 0, 255)


def test_equal_values_give_equal_bytes(tmp_path):
    values = np.random.default_rng(0).integers(0, 9, (3, 30, 40)).astype(np.uint8)
    for name in ("a.tif", "b.tif"):
        write_cog(tmp_path / name, values, GRID, 0)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_raster_without_a_crs_is_refused(tmp_path):
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", width=2, height=2, count=1, dtype="uint8") as raster:
        raster.write(np.zeros((1, 2, 2), dtype=np.uint8))
    with pytest.raises(CropflowError, match="no EPSG code"):
        read_raster(tmp_path / "a.tif")


def test_a_store_keeps_the_grid_of_each_site(tmp_path):
    store = create_store(tmp_path / "a.zarr")
    group = add_site(store, "a", GRID, {"bands": ["B02"]})
    array = add_array(group, "values", ("band", "y", "x"), (1, 30, 40), "uint16", chunks=(1, 16, 16), nodata=7)
    array[0, 0, 0] = 1
    read = open_store(tmp_path / "a.zarr")["a"]
    assert site_grid(read) == GRID
    assert read["values"][0, 0, 0] == 1
    assert read["values"][0, 1, 1] == 7


def test_a_store_opens_in_xarray_with_named_dimensions(tmp_path):
    group = add_site(create_store(tmp_path / "a.zarr"), "a", GRID)
    add_array(group, "values", ("band", "y", "x"), (1, 30, 40), "uint16", chunks=(1, 16, 16))[...] = 3
    opened = xarray.open_zarr(tmp_path / "a.zarr", group="a", consolidated=False)
    assert opened["values"].dims == ("band", "y", "x")
    assert int(opened["values"].max()) == 3


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CropflowError, match="expected a Zarr store"):
        open_store(tmp_path / "none.zarr")


def test_parcels_survive_as_geoparquet(tmp_path):
    table = geopandas.GeoDataFrame({"crop_code": ["NA"]}, geometry=[box(0, 0, 1, 1)], crs="EPSG:2154")
    write_table(tmp_path / "a.parquet", table)
    read = read_geotable(tmp_path / "a.parquet")
    assert list(read.columns) == ["crop_code", "geometry"]
    assert read.crop_code[0] == "NA"
    assert read.crs == table.crs


def test_only_results_and_empty_folders_are_replaced(tmp_path):
    own, empty, foreign = tmp_path / "own", tmp_path / "empty", tmp_path / "foreign"
    for folder in (own, empty, foreign):
        folder.mkdir()
    for folder in (own, foreign):
        (folder / "thesis.txt").write_text("years of work")
    write_manifest(own)
    (empty / ".snakemake_timestamp").touch()
    for output in (own, empty, tmp_path / "new"):
        refuse_foreign(output)
    with pytest.raises(CropflowError, match=r"foreign holds thesis\.txt and is no result"):
        refuse_foreign(foreign)
    with pytest.raises(CropflowError, match="is no result"):
        refuse_foreign(foreign, own=["model.json"])
    # A job that was killed before its manifest may go on.
    refuse_foreign(foreign, own=["model.json", "thesis.txt"])
    with pytest.raises(CropflowError, match=r"thesis\.txt exists and is no result"):
        refuse_foreign(foreign / "thesis.txt", folder=False)
    with pytest.raises(CropflowError, match="own is a folder that exists; expected a file"):
        refuse_foreign(own, folder=False)
    with pytest.raises(CropflowError, match="is a file that exists; expected a folder"):
        refuse_foreign(foreign / "thesis.txt")


@pytest.mark.parametrize(
    ("output", "how"), [("data", "is"), (".", "holds"), ("data/out", "lies inside"), ("data/../data", "is")]
)
def test_an_output_lies_apart_from_what_is_read(tmp_path, output, how):
    source = tmp_path / "data"
    source.mkdir()
    with pytest.raises(CropflowError, match=f"{how} .*data, which is read"):
        refuse_foreign(tmp_path / output, source)


@pytest.mark.parametrize("size", [0, 4, 60, 500])
def test_a_cut_array_is_one_line_with_its_size(tmp_path, size):
    path = tmp_path / "values.npy"
    np.save(path, np.zeros((10, 10)))
    assert map_array(path).shape == (10, 10)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CropflowError, match=rf"values\.npy holds {size} bytes, which are no whole array; expected b\."):
        map_array(path, "b")


def test_an_array_without_samples_is_opened(tmp_path):
    np.save(tmp_path / "values.npy", np.zeros((0, 10)))
    assert map_array(tmp_path / "values.npy").shape == (0, 10)
