"""Samples of several sensors: each keeps its type, unit and nodata, and tells what it costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import read_table
from cropflow.samples.sensors import Layout, by_place, differences, join_indices, layout_of
from cropflow.samples.sight import look
from cropflow.samples.sources import read_composites
from cropflow.samples.stack import Stack

RADAR, OTHER = "sentinel1_ascending", "sentinel1_descending"
PERIODS = ["2018-01-01", "2018-02-01", "2018-03-01"]
SET = SampleSet(
    series="monthly", sensors=("sentinel2", RADAR), patch_size=16, folds=Folds(count=3, block_m=130, ring_m=15)
)


def write_radar(folder: Path, grid, periods=PERIODS, dtype="int16", radiometry="sigma0") -> Path:
    """A store of backscatter; pixels (8, 8) and (12, 12) lack February."""
    told = {"bands": ["VV", "VH"], "periods": list(periods), "radiometry": radiometry}
    group = add_site(create_store(folder), "here", grid, told)
    backscatter = np.random.default_rng(4).integers(-2500, 100, (len(periods), 2, *grid.shape)).astype(dtype)
    observations = np.full((len(periods), *grid.shape), 5, dtype=np.uint8)
    for pixel in (8, 12):
        backscatter[1, :, pixel, pixel], observations[1, pixel, pixel] = -32768, 0
    filled = np.zeros(observations.shape, dtype=bool)
    for name, values in (("backscatter", backscatter), ("observations", observations), ("filled", filled)):
        axes = ("period", "band", "y", "x") if values.ndim == 4 else ("period", "y", "x")
        add_array(group, name, axes, values.shape, values.dtype, chunks=(16,) * values.ndim)[:] = values
    return folder


def make_samples(region, folder: Path, *stores: Path) -> Path:
    return region.build(folder, SET, stores=stores)


def test_patches_of_each_sensor_lie_in_a_folder_of_its_own(region, tmp_path: Path):
    radar = write_radar(tmp_path / f"{RADAR}.zarr", region.grids["here"])
    samples = make_samples(region, tmp_path, region.composites, radar)
    patches = region.cut(samples, "patches", SET, stores=[region.composites, radar])
    about = read_json(patches / "patches.json")
    assert [(one["sensor"], one["bands"], one["dtype"], one["nodata"], one["unit"]) for one in about["sensors"]] == [
        ("sentinel2", ["B04", "B08"], "uint16", 0, "reflectance x 10000"),
        (RADAR, ["VV", "VH"], "int16", -32768, "dB x 100"),
    ]
    stored = zarr.open_group(str(radar), mode="r")["here"]
    for number, patch in enumerate(read_table(patches / "index.parquet").itertuples()):
        rows, columns = slice(patch.row, patch.row + 16), slice(patch.column, patch.column + 16)
        down, right = min(16, 40 - patch.row), min(16, 40 - patch.column)
        for name, source, nodata in (("values", "backscatter", -32768), ("observations", "observations", 0)):
            own = np.load(patches / RADAR / f"{name}.npy", mmap_mode="r")[number]
            np.testing.assert_array_equal(own[..., :down, :right], stored[source][..., rows, columns])
            assert (own[..., down:, :] == nodata).all()
            assert (own[..., right:] == nodata).all()
    manifest = read_json(tmp_path / "samples.manifest.json")
    assert {"composites sentinel2", f"composites {RADAR}"} <= set(manifest["inputs"])


def test_the_summary_shares_out_what_is_lost_by_the_sensors_that_lack_it(region, tmp_path: Path):
    radar = write_radar(tmp_path / f"{RADAR}.zarr", region.grids["here"])
    samples = make_samples(region, tmp_path, region.composites, radar)
    pixels = read_json(samples / "summary.json")["pixels"]
    # Pixel (8, 8) has no value of either sensor, (12, 12) none of radar.
    assert pixels["no_value_of"] == {"sentinel1_ascending": 1, "sentinel2 and sentinel1_ascending": 1}
    assert pixels["reasons"]["no_value"] == 2


def test_a_store_of_another_sensor_type_or_number_is_refused(region, tmp_path: Path):
    grid = region.grids["here"]
    with pytest.raises(CropflowError, match=r"--composites is given 1 times; expected 2: .* sentinel2, sentinel1_asc"):
        make_samples(region, tmp_path, region.composites)
    with pytest.raises(CropflowError, match=r"lacks 'backscatter'; expected int16 \(3, 2, 40, 40\) of sentinel1_asc"):
        make_samples(region, tmp_path, region.composites, region.composites)
    other = write_radar(tmp_path / f"{OTHER}.zarr", grid)
    with pytest.raises(CropflowError, match=r"sentinel1_descending\.zarr where sentinel1_ascending is due"):
        make_samples(region, tmp_path, region.composites, other)
    wide = write_radar(tmp_path / "wide.zarr", grid, dtype="int32")
    with pytest.raises(CropflowError, match=r"holds 'backscatter' as int32 .*; expected int16"):
        make_samples(region, tmp_path, region.composites, wide)
    assert not (tmp_path / "samples").exists()


def test_sensors_may_differ_in_their_periods(region, tmp_path: Path):
    radar = write_radar(tmp_path / "radar.zarr", region.grids["here"], ["2018-01-04", "2018-01-10"])
    found = read_composites({"sentinel2": region.composites, RADAR: radar}, region.grids)
    assert [len(layout.periods) for layout in found.layouts] == [3, 2]
    site = found.sites["here"]
    assert {sensor: values.shape for sensor, values in site.window(slice(0, 7)).values.items()} == {
        "sentinel2": (3, 2, 7, 40),
        RADAR: (2, 2, 7, 40),
    }
    sight = look(site, None)
    assert {sensor: int((~values).sum()) for sensor, values in sight.seen.items()} == {"sentinel2": 1, RADAR: 2}
    assert (~sight.has_value).sum() == 2
    assert site.filled_values(np.ones((40, 40), dtype=bool)) == 1
    assert site.filled_values(np.zeros((40, 40), dtype=bool)) == 0


def test_derived_bands_join_the_measured_ones(region):
    group = zarr.open_group(str(region.composites), mode="r+")["here"]
    group.attrs["indices"] = ["NDVI"]
    index = np.random.default_rng(0).integers(-9999, 9999, (3, 1, 40, 40)).astype(np.int16)
    index[1, 0, 8, 8] = -32768
    add_array(group, "indices", ("period", "index", "y", "x"), index.shape, "int16", chunks=(3, 1, 16, 16))[:] = index
    found = read_composites({"sentinel2": region.composites}, region.grids)
    (layout,) = found.layouts
    assert (layout.bands, layout.indices, layout.shifts) == (("B04", "B08", "NDVI"), ("NDVI",), (0, 0, 32768))
    stack = found.sites["here"].window(slice(4, 20))
    values = stack.values["sentinel2"]
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values[:, 2].astype(int) - 32768, index[:, 0, 4:20])
    assert (~stack.complete()).sum() == 1
    assert layout_of(layout.told()) == layout


@given(arrays(np.int16, (2, 1, 2, 3)))
def test_every_number_of_an_index_survives_and_nodata_stays_nodata(index):
    joined = join_indices(np.ones((2, 1, 2, 3), dtype=np.uint16), index)[:, 1:]
    np.testing.assert_array_equal(joined.astype(np.int32) - 32768, index)
    np.testing.assert_array_equal(joined == 0, index == -32768)


def test_the_radiometry_of_radar_travels_with_its_samples(region, tmp_path: Path):
    radar = write_radar(tmp_path / f"{RADAR}.zarr", region.grids["here"], radiometry="gamma0")
    samples = make_samples(region, tmp_path, region.composites, radar)
    patches = region.cut(samples, "patches", SET, stores=[region.composites, radar])
    optical, of_radar = (layout_of(entry) for entry in read_json(patches / "patches.json")["sensors"])
    assert (optical.radiometry, of_radar.radiometry) == ("", "gamma0")
    assert layout_of(of_radar.told()) == of_radar


def test_directions_of_two_radiometries_never_make_one_set(region, tmp_path: Path):
    one = write_radar(tmp_path / f"{RADAR}.zarr", region.grids["here"])
    other = write_radar(tmp_path / f"{OTHER}.zarr", region.grids["here"], radiometry="gamma0")
    with pytest.raises(CropflowError, match="mix radiometries: sentinel1_ascending sigma0, sentinel1_descending gamma"):
        read_composites({RADAR: one, OTHER: other}, region.grids)


def test_layouts_are_compared_by_radiometry():
    sigma, gamma = (Layout(RADAR, ("VV", "VH"), (), tuple(PERIODS), kind) for kind in ("sigma0", "gamma0"))
    assert differences([sigma], [sigma]) == ""
    assert differences([gamma], [sigma]) == "gamma0 of sentinel1_ascending; expected sigma0"


def test_layouts_are_compared_by_sensors_bands_and_number_of_periods():
    layout = Layout("sentinel2", ("B04",), (), tuple(PERIODS))
    assert differences([layout], [Layout("sentinel2", ("B04",), (), ("2019-01-01", "2019-02-01", "2019-03-01"))]) == ""
    for other, words in (
        (Layout(RADAR, ("VV",), (), tuple(PERIODS)), "the sensors sentinel1_ascending; expected sentinel2"),
        (Layout("sentinel2", ("B08",), (), tuple(PERIODS)), "the bands B08 of sentinel2; expected B04"),
        (Layout("sentinel2", ("B04",), (), ("2018-01-01",)), "1 periods of sentinel2; expected 3"),
    ):
        assert differences([other], [layout]) == words


def test_acquisitions_are_no_periods_and_may_be_as_many_as_were_seen():
    periods = Layout("sentinel2", ("B04",), (), tuple(PERIODS))
    dated, longer = (Layout("sentinel2", ("B04",), (), (), longest=dates) for dates in (40, 71))
    assert differences([dated], [longer]) == ""
    assert differences([dated], [periods]) == "acquisitions of sentinel2; expected periods"
    assert differences([periods], [dated]) == "periods of sentinel2; expected acquisitions"
    assert (longer.length, longer.features, periods.length) == (71, 71, 3)


def test_stores_are_dealt_out_place_by_place_and_sensor_by_sensor():
    stores = [Path(f"{place}/{sensor}.zarr") for place in "ab" for sensor in ("sentinel2", OTHER)]
    dealt = by_place(stores, ["sentinel2", OTHER], 2)
    assert dealt == [
        {"sentinel2": Path(f"{place}/sentinel2.zarr"), OTHER: Path(f"{place}/{OTHER}.zarr")} for place in "ab"
    ]


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**16))
def test_a_padded_stack_is_complete_where_it_was(rows, columns, seed):
    generator = np.random.default_rng(seed)
    stack = Stack(
        {
            "sentinel2": generator.integers(0, 3, (2, 1, 5, 4)).astype(np.uint16),
            RADAR: np.where(generator.random((3, 2, 5, 4)) < 0.1, -32768, 0).astype(np.int16),
        }
    )
    plain = (stack.values["sentinel2"] > 0).all(axis=(0, 1)) & (stack.values[RADAR] > -32768).all(axis=(0, 1))
    np.testing.assert_array_equal(stack.complete(), plain)
    padded = stack.padded(5 + rows, 4 + columns)
    assert padded.shape == (5 + rows, 4 + columns)
    np.testing.assert_array_equal(padded.complete()[:5, :4], plain)
    assert padded.complete().sum() == plain.sum()
    row = stack.row_of(plain)
    assert row.shape == (1, plain.sum())
    pixels = stack.changed(lambda _, values: np.stack([values, values])).pixels(np.stack([plain, ~plain]))
    assert pixels[RADAR].shape == (20, 3, 2)
    np.testing.assert_array_equal(pixels[RADAR][: plain.sum()], np.moveaxis(row.values[RADAR][:, :, 0], -1, 0))
