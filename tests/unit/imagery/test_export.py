import hashlib
import json

import numpy as np
import pyproj
import pytest

from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid


def field(level, spread=300, shape=(40, 40), seed=0):
    """Pixels of a field: ``level`` to ``level + spread``."""
    return np.random.default_rng(seed).integers(level, level + spread, shape).astype(np.uint16)


def row(table, scene):
    return table.set_index("scene").loc[scene]


def test_scenes_on_both_sides_of_baseline_04_00_come_out_alike(collection, grid, export):
    plain = field(200)
    collection.add("old", plain, baseline="03.01", time="2023-06-01T10:40:21Z")
    collection.add("new", plain + 1000, baseline="04.00", time="2023-06-06T10:40:21Z")
    table, store = export(collection.write(), grid)
    np.testing.assert_array_equal(store["one/reflectance"][0], store["one/reflectance"][1])
    np.testing.assert_array_equal(store["one/reflectance"][0, 0], plain)
    assert table["offset"].tolist() == [0, -1000]
    assert table["offset_reason"].str.contains("confirmed by the pixels").all()
    assert table["sha256"].nunique() == 1


def test_the_offset_leaves_0_alone_and_counts_what_it_raises_to_1(collection, grid, export):
    stored = field(1200)
    stored[0, :4] = [0, 1000, 1001, 999]
    collection.add("new", stored, rededge=np.full((20, 20), 2000), scl=np.full((20, 20), 4, dtype=np.uint8))
    table, store = export(collection.write(), grid)
    assert store["one/reflectance"][0, 0, 0, :4].tolist() == [0, 1, 1, 1]
    assert row(table, "new")["clipped"] == 2
    assert row(table, "new")["valid_share"] == 1 - 1 / 1600


def test_an_archive_whose_offset_was_taken_off_before_is_not_darkened_again(collection, grid, export):
    plain = field(200)
    for day in (1, 6, 11):
        collection.add(f"clear{day:02}", plain, time=f"2023-06-{day:02}T10:40:21Z")
    overcast = np.full((20, 20), 9, dtype=np.uint8)
    overcast[:5, :5] = 4
    collection.add("cloudy", field(3000), scl=overcast, time="2023-06-16T10:40:21Z")
    table, store = export(collection.write(), grid)
    assert (table["offset"] == 0).all()
    assert "pixels against baseline 05.09" in row(table, "clear01")["offset_reason"]
    assert "3 scenes against baseline 05.09" in row(table, "cloudy")["offset_reason"]
    np.testing.assert_array_equal(store["one/reflectance"][0, 0], plain)


@pytest.mark.parametrize(("stated", "offset"), [("02.07", 0), (None, -1000)])
def test_bright_scenes_overrule_an_old_baseline_only_where_it_is_assumed(
    stated, offset, collection, grid, export, caplog
):
    # A desert: reflectance of 0.135 in the blue, 0.28 in the red.
    for day in (1, 6, 11, 16):
        collection.add(f"desert{day:02}", field(1350), baseline=stated, time=f"2023-06-{day:02}T10:40:21Z")
    table, store = export(collection.write(), grid, assume_baseline="02.07")
    assert table["offset"].tolist() == [offset] * 4
    np.testing.assert_array_equal(store["one/reflectance"][0, 0], field(1350 + offset))
    assert ("4 of 4 scenes state a baseline before 04.00" in caplog.text) is (stated is not None)


def test_every_drop_is_recorded_with_its_reason_and_the_rest_is_in_order_of_time(collection, grid, export):
    plain = field(1200)
    collection.add("kept2", plain, time="2023-06-20T10:40:21Z")
    collection.add("kept1", plain, time="2023-06-02T10:40:21Z")
    collection.add("early", plain, time="2023-05-31T10:40:21Z")
    collection.add("cloudy", plain, time="2023-06-03T10:40:21Z", cloud=80.0)
    collection.add("elsewhere", plain, time="2023-06-04T10:40:21Z", outline=(9.0, 43.0, 9.1, 43.1))
    collection.add("kept1_old", plain, time="2023-06-02T10:40:21Z", baseline="04.00")
    collection.add("swath", np.zeros((40, 40)), time="2023-06-05T10:40:21Z")
    table, store = export(collection.write(), grid, season=("2023-06-10", "2023-06-20"), maximum_cloud_percent=50)
    assert table["scene"].tolist() == ["early", "kept1", "kept1_old", "cloudy", "elsewhere", "swath", "kept2"]
    assert table["reason"].str.partition(":")[0].tolist() == [
        "season", "", "duplicate", "cloud", "place", "empty", "",
    ]  # fmt: skip
    assert row(table, "swath")["reason"] == "empty: no valid pixel inside the site"
    assert table["kept"].tolist() == [not reason for reason in table["reason"]]
    attributes = store["one"].attrs.asdict()
    assert attributes["scenes"] == ["kept1", "kept2"]
    assert attributes["times"] == ["2023-06-02T10:40:21Z", "2023-06-20T10:40:21Z"]
    assert attributes["bands"] == ["B02", "B05"]
    assert store["one/reflectance"].shape == (2, 2, 40, 40)
    assert store["one/scl"].shape == (2, 40, 40)


@pytest.mark.parametrize("workers", [1, 3])
def test_where_the_best_of_a_group_of_duplicates_is_empty_the_next_takes_its_place(collection, grid, export, workers):
    collection.add("old", field(200), baseline="02.07")
    collection.add("middle", field(1200), baseline="04.00")
    collection.add("lacking", field(1200), baseline="05.09", only=("B05", "SCL"))
    collection.add("empty", np.zeros((40, 40)), baseline="05.10")
    collection.add("best", np.zeros((40, 40)), baseline="05.11")
    table, store = export(collection.write(), grid, workers=workers)
    kinds = table.set_index("scene")["reason"].str.partition(":")[0].to_dict()
    assert kinds == {"best": "empty", "empty": "empty", "lacking": "duplicate", "middle": "", "old": "duplicate"}
    assert store["one"].attrs["scenes"] == ["middle"]
    np.testing.assert_array_equal(store["one/reflectance"][0, 0], field(200))


def test_a_swath_edge_leaves_nodata_and_a_share_of_valid_pixels(collection, grid, export):
    plain = field(1200)
    plain[:, 30:] = 0
    collection.add("edge", plain)
    table, store = export(collection.write(), grid)
    assert row(table, "edge")["valid_share"] == 0.75
    assert not np.asarray(store["one/reflectance"][0, :, :, 30:]).any()
    assert not np.asarray(store["one/scl"][0, :, 30:]).any()


def test_the_hash_is_that_of_the_harmonised_pixels(collection, grid, export):
    collection.add("new", field(1200))
    table, store = export(collection.write(), grid)
    stored = np.asarray(store["one/reflectance"][0]).astype("<u2").tobytes() + np.asarray(store["one/scl"][0]).tobytes()
    assert row(table, "new")["sha256"] == hashlib.sha256(stored).hexdigest()


def test_20_m_layers_that_begin_at_an_odd_multiple_of_10_m_fall_into_place(collection, grid, export):
    rededge = np.arange(2000, 2400, dtype=np.uint16).reshape(20, 20)
    collection.add("odd", field(1200), rededge=rededge, corner=(grid.xmin - 10, grid.ymax + 10))
    _, store = export(collection.write(), grid)
    expected = np.pad(np.kron(rededge, np.ones((2, 2), dtype=int)) - 1000, ((0, 1), (0, 1)))[1:, 1:]
    np.testing.assert_array_equal(store["one/reflectance"][0, 1], expected)


def test_a_scene_of_the_neighbouring_zone_is_written_on_the_grid_of_the_site(collection, export, caplog):
    grid = Grid(32631, 739_000, 4_900_000, 20, 20, 10.0)
    to_zone_32 = pyproj.Transformer.from_crs(32631, 32632, always_xy=True)
    x, y = to_zone_32.transform(739_100, 4_899_900)
    corner = (round(x / 10) * 10 - 500, round(y / 10) * 10 + 500)
    collection.add("east", np.full((100, 100), 1300), epsg=32632, corner=corner, tile="32TKP")
    table, store = export(collection.write(), grid)
    assert (np.asarray(store["one/reflectance"]) == 300).all()
    assert row(table, "east")["valid_share"] == 1
    assert "1 of 1 scenes lie in another zone" in caplog.text


def test_the_pixels_of_one_site_decide_for_all_sites_of_a_scene(collection, grid, export):
    overcast = np.full((20, 20), 4, dtype=np.uint8)
    overcast[:, 10:] = 9
    collection.add("harmonised", field(300), scl=overcast)
    sites = {name: grid.window(0, column, 40, 20) for name, column in (("clear", 0), ("cloudy", 20))}
    table, store = export(collection.write(), sites)
    assert table["site"].tolist() == ["clear", "cloudy"]
    assert table["offset"].tolist() == [0, 0]
    assert np.asarray(store["cloudy/reflectance"]).min() >= 300


def test_a_class_above_11_is_refused_with_scene_and_value(collection, grid, export):
    collection.add("bad", field(1200), scl=np.full((20, 20), 37, dtype=np.uint16))
    with pytest.raises(CropflowError, match="Scene bad has SCL value 37"):
        export(collection.write(), grid)


def test_classes_stored_in_16_bits_are_accepted(collection, grid, export):
    collection.add("wide", field(1200), scl=np.full((20, 20), 5, dtype=np.uint16))
    _, store = export(collection.write(), grid)
    assert store["one/scl"].dtype == np.uint8
    assert (np.asarray(store["one/scl"]) == 5).all()


def test_values_beyond_reflectance_2_are_warned_about(collection, grid, export, caplog):
    collection.add("bright", np.full((40, 40), 30_000))
    export(collection.write(), grid)
    assert "above 20000 (first: bright)" in caplog.text


def test_a_missing_band_is_refused_before_anything_is_written(collection, grid, export, tmp_path):
    collection.add("whole", field(1200))
    collection.add("part", field(1200), time="2023-06-09T10:40:21Z", only=("B05", "SCL"))
    with pytest.raises(CropflowError, match=r"Scene part has no band B02 .*it offers B05, SCL"):
        export(collection.write(), grid)
    assert not (tmp_path / "run" / "sentinel2.zarr").exists()


def test_a_record_without_a_baseline_is_refused_unless_one_is_assumed(collection, grid, export):
    collection.add("bare", field(1200), baseline=None)
    source = collection.write()
    with pytest.raises(CropflowError, match="assume_baseline"):
        export(source, grid)
    table, _ = export(source, grid, assume_baseline="05.00")
    assert row(table, "bare")["baseline"] == "05.00"
    assert row(table, "bare")["offset"] == -1000
    assert "assumed baseline 05.00" in row(table, "bare")["offset_reason"]


def test_when_no_scene_is_left_the_reasons_are_counted(collection, grid, export, tmp_path):
    collection.add("cloudy", field(1200), cloud=90.0)
    collection.add("empty", np.zeros((40, 40)), time="2023-06-09T10:40:21Z")
    with pytest.raises(CropflowError, match=r"No scene is left of 2 found .*cloud 1, empty 1"):
        export(collection.write(), grid, maximum_cloud_percent=50)
    assert not (tmp_path / "run" / "sentinel2.zarr").exists()


def test_a_lost_file_is_named_and_nothing_is_left_behind(collection, grid, export, tmp_path):
    collection.add("torn", field(1200))
    (collection.folder / "torn" / "B05.tif").unlink()
    with pytest.raises(CropflowError, match=r"torn/B05\.tif is missing"):
        export(collection.write(), grid, workers=2)
    assert not [path.name for path in (tmp_path / "run").iterdir() if "zarr" in path.name]


def test_workers_and_a_second_run_give_the_same_bytes(collection, grid, export, tmp_path):
    for day in range(1, 8):
        collection.add(f"scene{day}", field(1200, seed=day), time=f"2023-06-{day:02}T10:40:21Z")
    source = collection.write()
    export(source, grid, name="one")
    export(source, grid, name="two", workers=3)
    for file in ("sentinel2.zarr", "sentinel2.parquet"):
        one, two = (
            json.loads((tmp_path / name / f"{file}.manifest.json").read_text(encoding="utf-8"))
            for name in ("one", "two")
        )
        assert one == two
    assert one["counts"]["kept"] == 7
