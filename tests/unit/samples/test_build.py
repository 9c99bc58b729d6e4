from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
import zarr

from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table, write_table
from cropflow.samples import block_fold
from cropflow.samples.labels import IGNORE, NO_FOLD, UNKNOWN

SET = SampleSet(series="monthly", patch_size=16, inner_buffer_m=10, folds=Folds(count=3, block_m=130, ring_m=15))


def make_folds(region, folder: Path, settings: SampleSet = SET, seasons: int = 1) -> Path:
    return region.folds(folder, settings, seasons)


def make_samples(region, folder: Path, settings: SampleSet = SET, name: str = "samples") -> Path:
    return region.build(folder, settings, name)


def layers(samples: Path) -> dict[str, np.ndarray]:
    return {name: read_raster(samples / "here" / f"{name}.tif")[0][0] for name in ("crops", "parcels", "folds")}


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Labels by name; series as ``<sensor>/<name>``."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): np.load(path, mmap_mode="r")
        for path in folder.rglob("*.npy")
    }


def usable_of(crops: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return (crops > 0) & (crops < UNKNOWN) & (folds != NO_FOLD)


def test_a_pixel_is_in_a_fold_where_its_block_and_its_parcel_agree(region, tmp_path: Path):
    samples = make_samples(region, tmp_path)
    found = layers(samples)
    table = read_table(samples / "parcels.parquet").set_index("index")
    folds = read_table(tmp_path / "folds.parquet")
    block = block_fold(region.grids["here"], folds)
    used = found["folds"] != NO_FOLD
    assert used.any()
    assert (found["parcels"][used] > 0).all()
    np.testing.assert_array_equal(found["folds"][used], block[used])
    np.testing.assert_array_equal(found["folds"][used], table["fold"].loc[found["parcels"][used]])


def test_pixels_of_different_folds_lie_two_rings_apart(region, tmp_path: Path):
    folds = layers(make_samples(region, tmp_path))["folds"]
    row, column = np.nonzero(folds != NO_FOLD)
    fold = folds[row, column]
    distance = 10 * np.hypot(row[:, None] - row, column[:, None] - column)
    assert distance[fold[:, None] != fold].min() >= 2 * SET.folds.ring_m
    assert len(np.unique(fold)) == 3


def test_the_label_is_the_crop_of_the_parcel_and_the_rim_is_ignored(region, tmp_path: Path):
    samples = make_samples(region, tmp_path)
    found = layers(samples)
    table = read_table(samples / "parcels.parquet")
    crops = read_table(region.crops).set_index("parcel_id")["crop"]
    assert (table["crop"].to_numpy() == crops.loc[table["parcel_id"]].to_numpy()).all()
    crop = np.append(UNKNOWN, table["crop"])[found["parcels"]]
    rim = found["crops"] == IGNORE
    np.testing.assert_array_equal(found["crops"][~rim], crop[~rim])
    assert (found["parcels"][rim] > 0).all()
    assert (found["crops"][found["parcels"] == 0] == UNKNOWN).all()
    np.testing.assert_array_equal(table["pixels"], np.bincount(found["parcels"].ravel())[1:])
    np.testing.assert_array_equal(
        table["interior_pixels"], np.bincount(found["parcels"][~rim], minlength=len(table) + 1)[1:]
    )
    assert table["fold"].dtype == np.uint8
    assert list(table.columns) == [
        "site", "index", "parcel_id", "crop", "fold", "area_ha", "site_area_ha", "cut", "pixels", "interior_pixels",
        "usable_pixels", "unseen_pixels", "perimeter_m", "row", "column",
    ]  # fmt: skip
    assert (table["perimeter_m"] == 160).all()
    assert (found["parcels"][table["row"], table["column"]] == table["index"]).all()


def test_the_reasons_of_all_pixels_add_up(region, tmp_path: Path):
    samples = make_samples(region, tmp_path)
    summary = read_json(samples / "summary.json")
    found = layers(samples)
    reasons = summary["pixels"]["reasons"]
    assert sum(reasons.values()) == summary["pixels"]["total"] == 1600
    assert reasons["outside"] == (found["parcels"] == 0).sum()
    assert reasons["rim"] == (found["crops"] == IGNORE).sum()
    assert summary["pixels"]["in_parcels"] == 1600 - reasons["outside"]
    assert reasons["out_of_scope"] == (found["crops"] == 0).sum()
    assert reasons["no_value"] == 1
    assert reasons["usable"] == usable_of(found["crops"], found["folds"]).sum() - 1
    assert reasons["usable"] == sum(summary["folds"].values())
    table = read_table(samples / "parcels.parquet")
    assert table["usable_pixels"].sum() == reasons["usable"]
    assert table["unseen_pixels"].sum() == reasons["no_value"]
    for name, crop in summary["classes"].items():
        if int(name) < UNKNOWN:
            assert sum(crop["reasons"].values()) == crop["pixels_in_parcels"]
            assert sum(crop["usable_by_fold"].values()) == crop["reasons"]["usable"]
    assert summary["budget_exceeded"] == []


def test_patches_are_cut_from_the_origin_and_padded_with_nodata(region, tmp_path: Path):
    samples = make_samples(region, tmp_path)
    patches = region.cut(samples, "patches", SET)
    found, held = layers(samples), arrays(patches)
    index = read_table(patches / "index.parquet")
    here = zarr.open_group(str(region.composites), mode="r")["here"]
    assert held["sentinel2/values"].shape == (len(index), 3, 2, 16, 16)
    assert {name: array.dtype.name for name, array in held.items()} == {
        "sentinel2/values": "uint16", "sentinel2/observations": "uint8", "sentinel2/filled": "bool",
        "sentinel2/dates": "int16", "crops": "uint16", "folds": "uint8", "parcels": "uint32",
    }  # fmt: skip
    # The middles of January, February and March, counted from the start of the season.
    assert (held["sentinel2/dates"] == [15, 45, 73]).all()
    assert index["row"].max() == 32  # the last row of patches reaches over the site
    for number, patch in enumerate(index.itertuples()):
        rows, columns = slice(patch.row, patch.row + 16), slice(patch.column, patch.column + 16)
        down, right = min(16, 40 - patch.row), min(16, 40 - patch.column)
        for name, stored in (("values", "reflectance"), ("observations", "observations"), ("filled", "filled")):
            own = held[f"sentinel2/{name}"][number]
            np.testing.assert_array_equal(own[..., :down, :right], here[stored][..., rows, columns])
            assert not own[..., down:, :].any()
            assert not own[..., right:].any()
        np.testing.assert_array_equal(held["parcels"][number, :down, :right], found["parcels"][rows, columns])
        np.testing.assert_array_equal(held["folds"][number, :down, :right], found["folds"][rows, columns])
        for name, nodata in (("crops", IGNORE), ("folds", NO_FOLD), ("parcels", 0)):
            assert (held[name][number, down:] == nodata).all()
            assert (held[name][number, :, right:] == nodata).all()
        usable = usable_of(held["crops"][number], held["folds"][number])
        assert patch.labelled_share == usable.sum() / 256
        for crop in (1, 2, 3):
            assert getattr(patch, f"count_{crop}") == (held["crops"][number][usable] == crop).sum()
    assert (index["labelled_share"] > 0).all()


def test_a_pixel_without_a_whole_series_is_ignored_in_training_only(region, tmp_path: Path):
    settings = SET.model_copy(update={"inner_buffer_m": 0.0})
    samples = make_samples(region, tmp_path, settings)
    patches = region.cut(samples, "patches", settings)
    found, held = layers(samples), arrays(patches)
    index = read_table(patches / "index.parquet")
    assert found["crops"][8, 8] != IGNORE
    first = index[(index["row"] == 0) & (index["column"] == 0)].index[0]
    assert held["crops"][first, 8, 8] == IGNORE
    assert held["crops"][first, 3, 3] == found["crops"][3, 3]  # filled, so it has a value


def test_patches_without_a_usable_pixel_are_left_out(region, tmp_path: Path):
    table = read_table(region.crops)
    table.loc[~table["parcel_id"].isin([f"p{number:03d}" for number in (0, 1, 4, 7, 32, 36, 60, 63)]), "crop"] = 0
    write_table(region.crops, table)
    samples = make_samples(region, tmp_path)
    patches = region.cut(samples, "patches", SET)
    index = read_table(patches / "index.parquet")
    assert 0 < len(index) < 9
    usable = read_json(samples / "summary.json")["pixels"]["reasons"]["usable"]
    assert read_json(patches / "patches.json") == {
        "sensors": [{
            "sensor": "sentinel2", "bands": ["B04", "B08"], "indices": [],
            "periods": ["2018-01-01", "2018-02-01", "2018-03-01"],
            "dtype": "uint16", "nodata": 0, "unit": "reflectance x 10000", "shifts": [0, 0],
        }],
        "legend": "cropflow",
        "patch_size": 16, "background": False, "shuffled_crops": False, "minimum_dates": None,
        "patches": len(index), "pixels": usable, "sites": {"here": len(index)},
        "dates": {"sentinel2": {"lacking": 0, "minimum_dates": 3, "median_dates": 3}},
    }  # fmt: skip


def test_background_counts_where_the_set_says_so(region, tmp_path: Path):
    settings = SET.model_copy(update={"background": True, "outside": "background"})
    samples = make_samples(region, tmp_path, settings)
    found = layers(samples)
    reasons = read_json(samples / "summary.json")["pixels"]["reasons"]
    assert (found["crops"][found["parcels"] == 0] == 0).all()
    assert reasons["outside"] == reasons["out_of_scope"] == 0
    assert (found["folds"][found["parcels"] == 0] != NO_FOLD).any()
    target = (found["crops"] < UNKNOWN) & (found["folds"] != NO_FOLD)
    assert reasons["usable"] == target.sum() - 1


def test_shuffled_crops_are_dealt_out_and_said(region, tmp_path: Path):
    plain = read_table(make_samples(region, tmp_path) / "parcels.parquet")
    samples = make_samples(region, tmp_path, SET.model_copy(update={"shuffle_crops": True}), "shuffled")
    dealt = read_table(samples / "parcels.parquet")
    assert sorted(dealt["crop"]) == sorted(plain["crop"])
    assert (dealt["crop"] != plain["crop"]).any()
    assert (dealt["fold"] == plain["fold"]).all()
    assert read_json(samples / "summary.json")["shuffled_crops"]


def test_the_same_inputs_give_the_same_bytes(region, tmp_path: Path):
    make_samples(region, tmp_path, name="one")
    make_samples(region, tmp_path, name="other")
    assert read_json(tmp_path / "one.manifest.json") == read_json(tmp_path / "other.manifest.json")
    for verb in ("patches", "pixel-sets", "chips"):
        one, other = (region.cut(tmp_path / name, verb, SET) for name in ("one", "other"))
        told = [read_json(folder.with_name(f"{folder.name}.manifest.json")) for folder in (one, other)]
        assert told[0] == told[1]


def test_a_second_season_with_the_same_parcels_changes_no_fold(region, tmp_path: Path):
    (tmp_path / "both").mkdir()
    one = read_table(make_folds(region, tmp_path))
    both = read_table(make_folds(region, tmp_path / "both", seasons=2))
    pandas.testing.assert_series_equal(one["fold"], both["fold"])
    assert (both["parcels"] == 2 * one["parcels"]).all()
    assert read_json(tmp_path / "both" / "folds.json")["seasons"] == 2


def test_nothing_left_to_learn_from_is_an_error_with_the_reasons(region, tmp_path: Path):
    here = zarr.open_group(str(region.composites), mode="r+")["here"]
    here["observations"][0], here["filled"][0] = 0, False
    with pytest.raises(CropflowError, match=r"No pixel of 1 sites is left to learn from.*no_value"):
        make_samples(region, tmp_path)
    assert not (tmp_path / "samples").exists()


def test_folds_of_another_block_size_are_refused(region, tmp_path: Path, monkeypatch):
    folds = make_folds(region, tmp_path)
    settings = SET.model_copy(update={"folds": Folds(count=3, block_m=100)})
    monkeypatch.setattr(type(region), "folds", lambda *_: folds)
    with pytest.raises(CropflowError, match=r"blocks of 130 m; expected folds.block_m = 100 m"):
        make_samples(region, tmp_path, settings)


def test_composites_on_another_grid_are_refused(region, tmp_path: Path):
    group = zarr.open_group(str(region.composites), mode="r+")["here"]
    group.attrs["transform"] = [10.0, 0.0, 500010.0, 0.0, -10.0, 4900000.0]
    with pytest.raises(CropflowError, match=r"Site here of .* lies on .*500010"):
        make_samples(region, tmp_path)


def test_a_parcel_that_the_crops_name_twice_is_refused(region, tmp_path: Path):
    table = read_table(region.crops)
    write_table(region.crops, pandas.concat([table, table.iloc[:1]], ignore_index=True))
    with pytest.raises(CropflowError, match="names 1 parcels twice, such as elsewhere"):
        make_folds(region, tmp_path)


def test_parcels_in_another_zone_or_missing_are_refused(region, tmp_path: Path):
    from cropflow.files.tables import read_geotable

    path = region.parcels / "here.parquet"
    table = read_geotable(path)
    write_table(path, table.set_crs(32632, allow_override=True))
    with pytest.raises(CropflowError, match="EPSG:32632; expected the site's EPSG:32631"):
        make_folds(region, tmp_path)
    table["index"] += 1
    write_table(path, table)
    with pytest.raises(CropflowError, match="index is not 1 to 64"):
        make_folds(region, tmp_path)
    path.unlink()
    with pytest.raises(CropflowError, match=r"here\.parquet is missing"):
        make_folds(region, tmp_path)


def test_a_class_that_lost_its_pixels_stops_the_run(region, chequerboard):
    from cropflow.samples.accounts import Accounts

    accounts = Accounts()
    accounts.expected = {7: 1500.0}
    with pytest.raises(RuntimeError, match="crop 7 has no pixel; its polygons cover 1500"):
        accounts.check_budget()


def test_a_class_beyond_its_budget_is_warned_about(caplog):
    from cropflow.samples.accounts import Accounts

    accounts = Accounts()
    accounts.expected = {1: 2000.0, 2: 2000.0, 3: 100.0, 4: 100.0}
    accounts.in_parcels.update({1: 2015, 2: 1970, 3: 112, 4: 84})
    assert [found["crop"] for found in accounts.check_budget()] == [2, 4]
    assert "crop 2 has 1970 pixels, its polygons cover 2000.0: -1.5 %, more than 1 %" in caplog.text
