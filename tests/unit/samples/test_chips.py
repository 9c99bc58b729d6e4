"""Chips: the square around a parcel, one label, the same parcels as in all other kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from cropflow.config.sections import Folds, SampleSet
from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table
from cropflow.samples.chips import choose_chips

SET = SampleSet(series="monthly", inner_buffer_m=0, chip_size=9, folds=Folds(count=3, block_m=130, ring_m=15))


@pytest.fixture
def built(region, tmp_path: Path) -> Path:
    return region.build(tmp_path, SET)


def test_a_chip_is_what_lies_around_its_parcel_and_nodata_beyond_the_site(region, built):
    folder = region.cut(built, "chips", SET)
    chips, values = read_table(folder / "chips.parquet"), np.load(folder / "sentinel2" / "values.npy", mmap_mode="r")
    seen = np.load(folder / "sentinel2" / "observations.npy")
    here = zarr.open_group(str(region.composites), mode="r")["here"]
    around = np.pad(here["reflectance"][:], [(0, 0), (0, 0), (9, 9), (9, 9)])
    counts = np.pad(here["observations"][:], [(0, 0), (9, 9), (9, 9)])
    parcels = read_raster(built / "here" / "parcels.tif")[0][0]
    assert values.shape == (len(chips), 3, 2, 9, 9)
    assert seen.shape == (len(chips), 3, 9, 9)
    assert (chips["row"].min(), chips["column"].max() + 9 > 40) == (-2, True)
    for number, chip in enumerate(chips.itertuples()):
        window = slice(chip.row + 9, chip.row + 18), slice(chip.column + 9, chip.column + 18)
        np.testing.assert_array_equal(values[number], around[..., *window])
        np.testing.assert_array_equal(seen[number], counts[..., *window])
        assert parcels[chip.row + 4, chip.column + 4] == chip.index
    assert (np.load(folder / "sentinel2" / "dates.npy") == [15, 45, 73]).all()


def test_chips_and_pixel_sets_are_of_the_same_parcels(region, built):
    chips = read_table(region.cut(built, "chips", SET) / "chips.parquet")
    sets = read_table(region.cut(built, "pixel-sets", SET) / "parcels.parquet")
    for column in ("site", "index", "parcel_id", "crop", "fold"):
        assert chips[column].tolist() == sets[column].tolist()
    # Crops out of scope and unknown ones are no chips: no label stands in for them.
    assert set(chips["crop"]) == {1, 2, 3}


def test_a_limit_takes_the_same_chips_whatever_the_order_and_counts_the_others(region, built):
    table = read_table(built / "parcels.parquet")
    chosen = choose_chips(table, False, 9, 2)
    assert (chosen.groupby(["crop", "fold"]).size() <= 2).all()
    again = choose_chips(table.sample(frac=1, random_state=1), False, 9, 2)
    assert sorted(again["parcel_id"]) == sorted(chosen["parcel_id"])
    # By a hash, not by the first rows: neither names nor places in the site decide.
    assert chosen["parcel_id"].tolist() != table.loc[table["usable_pixels"] > 0, "parcel_id"].tolist()[: len(chosen)]
    settings = SET.model_copy(update={"chips_per_crop": 2})
    about = read_json(region.cut(built, "chips", settings) / "chips.json")
    assert about["chips"] == about["parcels"]["usable"] == len(chosen)
    assert sum(about["parcels"].values()) == len(table)
    assert about["parcels"]["beyond_chips_per_crop"] > 0


def test_the_size_of_chips_is_said_before_they_are_written(region, built, caplog):
    with caplog.at_level("INFO", "cropflow.samples"):
        folder = region.cut(built, "chips", SET)
    said = next(record.message for record in caplog.records if "take" in record.message)
    count = read_json(folder / "chips.json")["chips"]
    # 3 periods of 2 bands of 2 bytes and a count: 15 bytes a pixel.
    assert said == f"{count} chips (all) of {count} parcels take {count * 81 * 15 / 1e6:.1f} MB"
