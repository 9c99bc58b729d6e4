"""Samples of acquisitions: sites of other dates, sensors that see a pixel too seldom, and one origin of all days."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
import shapely
import zarr

from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import read_table, write_table
from cropflow.regions.grid import Grid
from cropflow.regions.sites import sites_table
from cropflow.samples.sensors import NO_DATE, layout_of
from cropflow.samples.sources import read_composites

RADAR = "sentinel1_ascending"
BANDS = {"sentinel2": ("reflectance", ["B04", "B08"]), RADAR: ("backscatter", ["VV", "VH"])}
# Optics see the west on four days and the east on two; radar began a week before both, and sees each on three.
DAYS = {
    "sentinel2": {
        "west": ["2018-01-08", "2018-01-18", "2018-02-01", "2018-03-01"],
        "east": ["2018-01-11", "2018-02-05"],
    },
    RADAR: {"west": ["2018-01-01", "2018-01-07", "2018-01-13"], "east": ["2018-01-03", "2018-01-09", "2018-01-15"]},
}
SET = SampleSet(
    series="dates", sensors=("sentinel2", RADAR), patch_size=16, chip_size=5, minimum_dates=2, inner_buffer_m=0,
    folds=Folds(count=3, block_m=80, ring_m=0),
)  # fmt: skip


def write_store(folder: Path, sensor: str, grids: dict[str, Grid], start: str = "2018-01-01") -> Path:
    """A store of acquisitions; pixels of the first two columns of a site are seen on its first date alone."""
    store, (name, bands) = create_store(folder / f"{sensor}.zarr"), BANDS[sensor]
    nodata = 0 if sensor == "sentinel2" else -32768
    for number, (site, grid) in enumerate(grids.items()):
        days = DAYS[sensor][site]
        told = {"bands": bands, "periods": days, "season_start": start}
        group = add_site(store, site, grid, told | ({"radiometry": "sigma0"} if nodata else {}))
        values = np.random.default_rng(number).integers(1, 900, (len(days), 2, *grid.shape))
        seen = np.ones((len(days), *grid.shape), dtype=np.uint8)
        if sensor == "sentinel2":
            seen[1:, :, :2] = 0
        values = np.where(seen[:, None] > 0, values, nodata)
        arrays = {name: values.astype("int16" if nodata else "uint16"), "observations": seen, "filled": seen > 9}
        for key, array in arrays.items():
            axes = ("period", "band", "y", "x") if array.ndim == 4 else ("period", "y", "x")
            add_array(group, key, axes, array.shape, array.dtype, chunks=array.shape)[:] = array
    return folder / f"{sensor}.zarr"


@pytest.fixture
def dated(region, parcel_table, tmp_path: Path):
    """Two sites of 16 x 16 pixels with 16 parcels each, and their stores of both sensors."""
    grids = {
        "west": Grid(32631, 500000.0, 4900000.0, 16, 16, 10.0),
        "east": Grid(32631, 500320.0, 4900000.0, 16, 16, 10.0),
    }
    write_table(region.sites, sites_table(grids))
    names = []
    for site, grid in grids.items():
        corners = [(grid.xmin + 40 * column, grid.ymax - 40 * row) for row in range(4) for column in range(4)]
        table = parcel_table([shapely.box(x, y - 40, x + 40, y) for x, y in corners], prefix=site[0])
        write_table(region.parcels / f"{site}.parquet", table)
        names += table["parcel_id"].tolist()
    crops = pandas.DataFrame({"parcel_id": names, "crop": np.arange(len(names)) % 2 + 1})
    write_table(region.crops, crops.astype({"crop": "uint16"}))
    return grids, [write_store(tmp_path, sensor, grids) for sensor in BANDS]


def days_since_new_year(sensor: str, site: str) -> list[int]:
    return [(pandas.Timestamp(day) - pandas.Timestamp("2018-01-01")).days for day in DAYS[sensor][site]]


def test_a_layout_of_acquisitions_has_no_periods_and_the_length_of_the_longest_site(dated):
    grids, stores = dated
    found = read_composites(dict(zip(BANDS, stores, strict=True)), grids)
    optics, radar = found.layouts
    assert (optics.periods, optics.acquisitions, optics.length, radar.length) == ((), True, 4, 3)
    assert layout_of(json.loads(json.dumps(optics.told()))) == optics
    with pytest.raises(ValueError, match="other days at each site"):
        _ = optics.days


@pytest.mark.parametrize("verb", ["patches", "pixel-sets", "chips"])
def test_samples_of_every_kind_have_the_dates_of_their_site_and_are_padded_with_nodata(
    region, dated, tmp_path: Path, verb: str
):
    _, stores = dated
    samples = region.build(tmp_path, SET, stores=stores)
    folder = region.cut(samples, verb, SET, stores=stores)
    table = read_table(
        folder / {"patches": "index.parquet", "pixel-sets": "parcels.parquet", "chips": "chips.parquet"}[verb]
    )
    for sensor, nodata in (("sentinel2", 0), (RADAR, -32768)):
        dates, values = np.load(folder / sensor / "dates.npy"), np.load(folder / sensor / "values.npy")
        seen = np.load(folder / sensor / "observations.npy")
        site = table["site"].to_numpy()
        if verb == "pixel-sets":
            site = np.repeat(site, table["pixels"])
        for name in DAYS[sensor]:
            days = days_since_new_year(sensor, name)
            own = dates[(table["site"] == name).to_numpy()]
            assert (own[:, : len(days)] == days).all()
            assert (own[:, len(days) :] == NO_DATE).all()
            assert (values[site == name][:, len(days) :] == nodata).all()
            assert (seen[site == name][:, len(days) :] == 0).all()
            assert (values[site == name][:, : len(days)] != nodata).any()
    about = read_json(next(folder.glob("*.json")))
    assert [layout_of(one).acquisitions for one in about["sensors"]] == [True, True]


def test_days_of_all_sensors_are_counted_from_the_start_of_the_season(dated):
    grids, stores = dated
    found = read_composites(dict(zip(BANDS, stores, strict=True)), grids)
    # Not from the first date of each sensor: that of optics in the west is a week after that of radar.
    assert found.sites["west"].dates["sentinel2"][0] == 7
    assert found.sites["west"].dates[RADAR][0] == 0


def test_a_sensor_that_sees_a_pixel_too_seldom_is_lacking_there_and_counted(region, dated, tmp_path: Path):
    _, stores = dated
    samples = region.build(tmp_path, SET, stores=stores)
    pixels = read_json(samples / "summary.json")["pixels"]
    # Two columns of 16 pixels in two sites; radar sees them all.
    assert pixels["lacking"] == {"sentinel2": 64}
    assert (pixels["no_value_of"], pixels["reasons"]["no_value"]) == ({}, 0)
    assert pixels["dates"]["sentinel2"] == {"lacking": 64, "minimum_dates": 2, "median_dates": 2}
    folder = region.cut(samples, "pixel-sets", SET, stores=stores)
    table, values = read_table(folder / "parcels.parquet"), np.load(folder / "sentinel2" / "values.npy")
    # Half of the pixels of a parcel in the first column, in rows of four: two without optics, two with them.
    start = table.loc[table["site"] == "west", "start"].iloc[0]
    first = values[start : start + 16].reshape(4, 4, 4, 2)
    assert (first[:, :2] == 0).all()
    assert (first[:, 2:] > 0).all()
    assert read_json(folder / "pixel_sets.json")["dates"]["sentinel2"] == {
        "lacking": 0, "minimum_dates": 2, "median_dates": 2,
    }  # fmt: skip


def test_a_parcel_that_one_sensor_lacks_stays_and_one_that_all_lack_is_dropped(region, dated, tmp_path: Path):
    _, stores = dated
    for store, width in zip(stores, (8, 4), strict=True):
        group = zarr.open_group(str(store), mode="r+")["east"]
        observations = group["observations"][:]
        observations[1:, :, :width] = 0
        group["observations"][:] = observations
    samples = region.build(tmp_path, SET, stores=stores)
    pixels = read_json(samples / "summary.json")["pixels"]
    assert pixels["no_value_of"] == {f"sentinel2 and {RADAR}": 64}
    assert pixels["lacking"] == {"sentinel2": 32 + 64}
    folder = region.cut(samples, "pixel-sets", SET, stores=stores)
    about, table = read_json(folder / "pixel_sets.json"), read_table(folder / "parcels.parquet")
    # The first column of four parcels is lost in the east, the second has radar alone.
    assert (about["parcels"]["too_few_dates"], about["parcels"]["usable"]) == (4, 28)
    assert about["dates"]["sentinel2"]["lacking"] == 4
    alone = table[(table["site"] == "east") & (table["index"] == 2)].iloc[0]
    own = slice(alone["start"], alone["start"] + alone["pixels"])
    assert (np.load(folder / "sentinel2" / "values.npy")[own] == 0).all()
    assert (np.load(folder / RADAR / "values.npy")[own] > 0).all()


def test_dates_out_of_order_or_before_the_season_are_refused(dated, tmp_path: Path):
    grids, _ = dated
    (tmp_path / "late").mkdir()
    late = write_store(tmp_path / "late", "sentinel2", grids, start="2018-01-10")
    with pytest.raises(CropflowError, match=r"has the dates 2018-01-08, .* of a season from 2018-01-10; expected each"):
        read_composites({"sentinel2": late}, grids)
