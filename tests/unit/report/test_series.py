from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.errors import CropflowError
from cropflow.files.rasters import read_raster
from cropflow.report.series import ndvi, ndvi_by_crop, observations, site_groups

NAMES = {21: "meadow", 44: "vines", 48: "winter_wheat"}


@given(arrays(np.uint16, (2, 6), elements=st.integers(0, 10_000)), arrays(np.uint16, (2, 6)))
def test_ndvi_equals_its_plain_reference(red, infrared):
    found = ndvi(red, infrared)
    for place in np.ndindex(found.shape):
        low, high = int(red[place]), int(infrared[place])
        if low and high:
            assert found[place] == pytest.approx((high - low) / (high + low), abs=1e-6)
        else:
            assert np.isnan(found[place])


def test_observations_count_every_pixel_once(world):
    found = observations(world.composites)
    assert found.pixels == 48
    assert found.filled.tolist() == [0, 47 / 48, 0]
    assert found.empty.tolist() == pytest.approx([1 / 48] * 3)
    assert found.quartiles.tolist() == [[2, 0, 2]] * 3


def test_a_curve_is_the_median_of_the_crops_pixels(world):
    curves = {curve.crop: curve for curve in ndvi_by_crop([world.composites], [world.samples], NAMES)}
    assert set(curves) == set(NAMES)
    values = zarr.open_group(str(world.composites), mode="r")["a"]["reflectance"][:].astype(float)
    crops = read_raster(world.samples / "a" / "crops.tif")[0][0]
    red, infrared = values[:, 2][:, crops == 44], values[:, 3][:, crops == 44]
    expected = np.median((infrared - red) / (infrared + red), axis=1)
    assert curves[44].quartiles[1] == pytest.approx(expected, abs=1e-6)
    assert curves[44].pixels == 12


def test_places_with_other_months_share_no_curve(world, tmp_path):
    other = tmp_path / "other.zarr"
    shutil.copytree(world.composites, other)
    group = zarr.open_group(str(other), mode="r+")["a"]
    group.attrs["periods"] = ["2018-05-01", "2018-06-01", "2018-07-01"]
    assert ndvi_by_crop([world.composites, other], [world.samples] * 2, NAMES) == []


def test_the_same_months_of_another_year_share_a_curve(world, tmp_path):
    other = tmp_path / "other.zarr"
    shutil.copytree(world.composites, other)
    zarr.open_group(str(other), mode="r+")["a"].attrs["periods"] = ["2019-11-01", "2019-12-01", "2020-01-01"]
    curves = ndvi_by_crop([world.composites, other], [world.samples] * 2, NAMES)
    assert {curve.pixels for curve in curves} == {24}


def test_a_series_without_infrared_has_no_curves(world):
    zarr.open_group(str(world.composites), mode="r+")["a"].attrs["bands"] = ["B02", "B03", "B04", "B11"]
    assert ndvi_by_crop([world.composites], [world.samples], NAMES) == []


def test_files_beside_the_sites_are_no_sites(world):
    (world.composites / ".marker").touch()
    (world.composites / "notes").mkdir()
    assert list(site_groups(world.composites)) == ["a"]


def test_an_empty_store_is_refused_in_one_line(tmp_path):
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    with pytest.raises(CropflowError, match="holds no site"):
        observations(tmp_path / "empty.zarr")


def test_samples_on_another_grid_are_refused(world, tmp_path):
    from cropflow.files.rasters import write_cog
    from cropflow.regions.grid import Grid

    grid = Grid(32631, 400_000.0, 5_000_060.0, 4, 4, 10.0)
    write_cog(tmp_path / "a" / "crops.tif", np.full((4, 4), 44, dtype=np.uint16), grid, None)
    with pytest.raises(CropflowError, match="expected one grid"):
        ndvi_by_crop([world.composites], [tmp_path], NAMES)
