"""Pixel sets: every pixel that may be learnt from once, parcel by parcel, with what is known of the parcel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table, write_table
from cropflow.labels.legend import read_legend
from cropflow.samples.kernels.gather import gather
from cropflow.samples.labels import NO_FOLD, UNKNOWN
from cropflow.samples.pixel_sets import describe_samples, order_pixels

SET = SampleSet(series="monthly", inner_buffer_m=0, folds=Folds(count=3, block_m=130, ring_m=15))


def usable_parcels(samples: Path, composites: Path) -> np.ndarray:
    """Index of the parcel of each usable pixel, 0 elsewhere, plainly."""
    crops, folds, parcels = (
        read_raster(samples / "here" / f"{name}.tif")[0][0] for name in ("crops", "folds", "parcels")
    )
    here = zarr.open_group(str(composites), mode="r")["here"]
    seen = ((here["observations"][:] > 0) | here["filled"][:]).all(axis=0)
    return np.where((crops > 0) & (crops < UNKNOWN) & (folds != NO_FOLD) & seen, parcels, 0)


def test_a_parcel_holds_all_its_usable_pixels_once_in_the_order_of_rows(region, tmp_path: Path):
    samples = region.build(tmp_path, SET)
    folder = region.cut(samples, "pixel-sets", SET)
    table, values = read_table(folder / "parcels.parquet"), np.load(folder / "sentinel2" / "values.npy", mmap_mode="r")
    whole = read_table(samples / "parcels.parquet").set_index("index")
    assert values.dtype == np.uint16
    assert list(table.columns) == [
        "site", "index", "parcel_id", "crop", "fold", "start", "pixels",
        "perimeter_m", "fill_ratio", "perimeter_area_ratio",
    ]  # fmt: skip
    observed = np.load(folder / "sentinel2" / "observations.npy")
    parcels = usable_parcels(samples, region.composites)
    here = zarr.open_group(str(region.composites), mode="r")["here"]
    stored = [np.moveaxis(here[name][:], (-2, -1), (0, 1)) for name in ("reflectance", "observations")]
    for row in table.itertuples():
        own = slice(row.start, row.start + row.pixels)
        for array, whole_site in zip((values, observed), stored, strict=True):
            np.testing.assert_array_equal(array[own], whole_site[parcels == row.index])
        assert (row.parcel_id, row.crop, row.fold) == tuple(whole.loc[row.index, ["parcel_id", "crop", "fold"]])
    assert table["pixels"].sum() == len(values) == read_json(samples / "summary.json")["pixels"]["reasons"]["usable"]
    assert (np.load(folder / "sentinel2" / "dates.npy") == [15, 45, 73]).all()


def test_parcels_are_counted_by_what_became_of_them(region, tmp_path: Path):
    samples = region.build(tmp_path, SET)
    folder = region.cut(samples, "pixel-sets", SET)
    about, table = read_json(folder / "pixel_sets.json"), read_table(folder / "parcels.parquet")
    parcels = about["parcels"]
    assert sum(parcels.values()) == 64
    assert (parcels["out_of_scope"], parcels["unknown"], parcels["without_pixels"]) == (2, 1, 0)
    assert parcels["usable"] == about["samples"] == len(table)
    assert (table["crop"] > 0).all()
    assert about["dates"] == {"sentinel2": {"lacking": 0, "minimum_dates": 3, "median_dates": 3}}
    assert (about["lags"], about["history_crops"]) == (0, [])


def test_a_parcel_without_a_pixel_of_enough_dates_is_dropped_and_counted_never_zero(region, tmp_path: Path):
    here = zarr.open_group(str(region.composites), mode="r+")["here"]
    plain = read_table(region.build(tmp_path, SET, "plain") / "parcels.parquet")
    first = plain[plain["usable_pixels"] > 0].iloc[0]
    parcels = read_raster(tmp_path / "plain" / "here" / "parcels.tif")[0][0]
    observations, filled = here["observations"][:], here["filled"][:]
    observations[1, parcels == first["index"]] = 0
    filled[1, parcels == first["index"]] = False
    here["observations"][:], here["filled"][:] = observations, filled
    folder = region.cut(region.build(tmp_path, SET), "pixel-sets", SET)
    assert first["parcel_id"] not in set(read_table(folder / "parcels.parquet")["parcel_id"])
    assert read_json(folder / "pixel_sets.json")["parcels"]["too_few_dates"] == 1
    assert (np.load(folder / "sentinel2" / "values.npy") > 0).all()


def test_one_pixel_without_a_value_costs_no_more_than_itself(region, tmp_path: Path):
    samples = region.build(tmp_path, SET)
    assert read_raster(samples / "here" / "parcels.tif")[0][0][8, 8] > 0
    assert read_json(samples / "summary.json")["pixels"]["reasons"]["no_value"] == 1
    table = read_table(samples / "parcels.parquet")
    assert table["unseen_pixels"].sum() == 1
    hurt = table[table["unseen_pixels"] == 1].iloc[0]
    folder = region.cut(samples, "pixel-sets", SET)
    found = read_table(folder / "parcels.parquet").set_index("parcel_id").loc[hurt["parcel_id"]]
    assert found["pixels"] == hurt["usable_pixels"] > 0


def test_features_are_metres_and_shares_of_the_parcel(region, tmp_path: Path):
    folder = region.cut(region.build(tmp_path, SET), "pixel-sets", SET)
    table = read_table(folder / "parcels.parquet")
    # Squares of 40 m, and sets of 4 x 4 pixels but for those that the ring or the gap takes.
    assert (table["perimeter_m"] == 160).all()
    np.testing.assert_allclose(table["perimeter_area_ratio"], 160 / 1600, rtol=1e-6)
    assert (table.loc[table["pixels"] == 16, "fill_ratio"] == 1).all()
    assert table["fill_ratio"].between(0, 1, inclusive="right").all()


def test_features_beyond_what_an_outline_can_be_stop_the_run(region, tmp_path: Path):
    table = read_table(region.build(tmp_path, SET) / "parcels.parquet")
    order = order_pixels(np.array([[1, 1], [0, 2]], dtype=np.uint32))
    assert len(describe_samples(table, [("here", order)])) == 2
    # Degrees where metres are due.
    with pytest.raises(RuntimeError, match="times as large as a circle"):
        describe_samples(table.assign(perimeter_m=table["perimeter_m"] / 111_000), [("here", order)])


@given(arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_pixels_are_ordered_by_parcel_then_row_then_column(parcels):
    order = order_pixels(parcels)
    rows, columns = np.nonzero(parcels)
    plain = sorted(zip(parcels[rows, columns].tolist(), rows.tolist(), columns.tolist(), strict=True))
    assert (order.position[parcels == 0] == -1).all()
    assert [order.position[row, column] for _, row, column in plain] == list(range(len(plain)))
    for number, index in enumerate(order.index):
        own = [(row, column) for parcel, row, column in plain if parcel == index]
        high, wide = (max(axis) - min(axis) + 1 for axis in zip(*own, strict=True))
        assert order.pixels[number] == len(own)
        assert order.fill_ratio[number] == len(own) / (high * wide)
        assert plain[order.start[number]][0] == index


@given(st.data(), st.sampled_from([("uint16", (3, 2)), ("int16", (1, 4)), ("uint8", (5,)), ("bool", (2,))]))
def test_gathered_series_are_those_of_the_pixels_and_padding_is_left_alone(data, kind):
    dtype, series = kind
    values = data.draw(arrays(dtype, (*series, 3, 4)))
    pixels = np.array(data.draw(st.lists(st.integers(0, 11), unique=True)), dtype=np.int64)
    rows = np.random.default_rng(0).permutation(14)[: len(pixels)]
    out = np.ones((14, series[0] + 2, *series[1:]), dtype=dtype)
    plain = out.copy()
    plain[rows, : series[0]] = np.moveaxis(values.reshape(*series, -1)[..., pixels], -1, 0)
    gather(values, pixels, out, rows)
    np.testing.assert_array_equal(out, plain)
    with pytest.raises(ValueError, match="the array"):
        gather(values, pixels, out[:, :1].astype("float32"), rows)


def test_shuffled_crops_are_dealt_to_parcels_of_all_kinds_alike(region, tmp_path: Path):
    shuffled = SET.model_copy(update={"shuffle_crops": True, "patch_size": 16})
    samples = region.build(tmp_path, shuffled)
    dealt = read_table(samples / "parcels.parquet").set_index("index")["crop"]
    true = read_table(region.crops).set_index("parcel_id")["crop"]
    sets = read_table(region.cut(samples, "pixel-sets", shuffled) / "parcels.parquet")
    chips = read_table(region.cut(samples, "chips", shuffled) / "chips.parquet")
    for table in (sets, chips):
        assert (table["crop"] == dealt.loc[table["index"]].to_numpy()).all()
        assert (table["crop"].to_numpy() != true.loc[table["parcel_id"]].to_numpy()).any()
    patches = region.cut(samples, "patches", shuffled)
    crops, parcels = np.load(patches / "crops.npy"), np.load(patches / "parcels.npy")
    target = (crops > 0) & (crops < UNKNOWN)
    assert (crops[target] == dealt.loc[parcels[target]].to_numpy()).all()
    assert read_json(patches / "patches.json")["shuffled_crops"]


def test_samples_of_other_settings_are_refused(region, tmp_path: Path):
    samples = region.build(tmp_path, SET)
    other = SET.model_copy(update={"minimum_dates": 2})
    with pytest.raises(CropflowError, match=r"built with minimum_dates None; expected 2\. Build the samples again"):
        region.cut(samples, "pixel-sets", other)
    assert not (tmp_path / "samples-pixel-sets").exists()


def test_a_set_of_background_outside_parcels_says_what_pixel_sets_leave_out(region, tmp_path: Path):
    settings = SET.model_copy(update={"background": True, "outside": "background"})
    samples = region.build(tmp_path, settings)
    about = read_json(region.cut(samples, "pixel-sets", settings) / "pixel_sets.json")
    usable = read_json(samples / "summary.json")["pixels"]["reasons"]["usable"]
    assert about["pixels"] + about["usable_pixels_outside_parcels"] == usable
    assert about["usable_pixels_outside_parcels"] > 0
    assert about["parcels"]["out_of_scope"] == 0


def history_of(parcel_ids: list[str], years: int) -> pandas.DataFrame:
    """Crop 1 of the legend last year on all of a parcel; two years ago 2 on half of it, 65534 on the rest."""
    rows = []
    for lag in range(1, years + 1):
        for parcel in parcel_ids:
            grown = {1: 1.0} if lag == 1 else {2: 0.5, 65534: 0.5}
            rows += [(parcel, lag, crop, False, share, 1.0) for crop, share in grown.items()]
    table = pandas.DataFrame(rows, columns=["parcel_id", "lag", "crop", "second", "share", "known_share"])
    return table.astype({"lag": "uint8", "crop": "uint16"})


def test_the_history_of_a_parcel_is_found_by_its_name_year_by_year(region, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("cropflow.samples.histories._PARCELS", 7)  # some of them at a time
    settings = SET.model_copy(update={"history": 2})
    samples = region.build(tmp_path, settings)
    names = read_table(samples / "parcels.parquet")["parcel_id"].tolist()
    table = history_of(names, 2)
    # One parcel bore something else: order tells nothing, names do.
    table.loc[(table["parcel_id"] == names[9]) & (table["lag"] == 1), "crop"] = 3
    write_table(tmp_path / "history.parquet", table.sample(frac=1, random_state=0, ignore_index=True))
    folder = region.cut(samples, "pixel-sets", settings, "--history", tmp_path / "history.parquet")
    about, rows = read_json(folder / "pixel_sets.json"), read_table(folder / "parcels.parquet")
    found = np.load(folder / "history.npy")
    crops = about["history_crops"]
    assert crops == list(read_legend("cropflow").ids)
    assert found.shape == (len(rows), 2, len(crops) + 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=2), 1)
    last = np.where(rows["parcel_id"] == names[9], crops.index(3), crops.index(1))
    assert (found[np.arange(len(rows)), 0, last] == 1).all()
    assert (found[:, 1, crops.index(2)] == 0.5).all()
    # A crop that nobody knows is no crop of the legend, and no absence of one.
    assert (found[:, 1, -1] == 0.5).all()


def test_a_history_that_is_missing_too_short_or_of_other_parcels_is_one_line(region, tmp_path: Path):
    settings = SET.model_copy(update={"history": 2})
    samples = region.build(tmp_path, settings)
    names = read_table(samples / "parcels.parquet")["parcel_id"].tolist()
    file = tmp_path / "history.parquet"
    with pytest.raises(CropflowError, match="history is 2 and --history is missing"):
        region.cut(samples, "pixel-sets", settings)
    with pytest.raises(CropflowError, match=r"history\.parquet is missing; expected the history"):
        region.cut(samples, "pixel-sets", settings, "--history", file)
    write_table(file, history_of(names, 1))
    with pytest.raises(CropflowError, match=r"looks back 1 years; sets\.<name>\.history asks for 2"):
        region.cut(samples, "pixel-sets", settings, "--history", file)
    write_table(file, history_of(names[1:30], 2))
    with pytest.raises(CropflowError, match=r"lacks \d+ of \d+ parcels, such as p"):
        region.cut(samples, "pixel-sets", settings, "--history", file)
    assert not (tmp_path / "samples-pixel-sets").exists()
