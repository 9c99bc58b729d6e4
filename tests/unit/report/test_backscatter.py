"""Backscatter per crop is averaged in linear power."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from cropflow.files.rasters import read_raster
from cropflow.report.backscatter import backscatter_by_crop

NAMES = {21: "vines", 44: "winter wheat", 48: "meadow"}


def test_a_crop_of_constant_backscatter_keeps_its_decibels(world):
    world.add_radar()
    curves = {curve.crop: curve for curve in backscatter_by_crop([world.radar], [world.samples], NAMES)}
    assert {crop: curve.pixels for crop, curve in curves.items()} == {21: 12, 44: 12, 48: 12}
    for crop, vv in ((21, -12.0), (44, -9.0), (48, -15.0)):
        assert list(curves[crop].bands) == ["VV", "VH"]
        assert curves[crop].bands["VV"] == pytest.approx([vv] * 3)
        assert curves[crop].bands["VH"] == pytest.approx([vv - 6] * 3)


def test_means_are_those_of_power_over_all_pixels_of_all_places(world, tmp_path):
    world.add_radar()
    other = tmp_path / "other.zarr"
    shutil.copytree(world.radar, other)
    values = np.random.default_rng(1).integers(-2500, -500, (3, 3, 6, 8)).astype(np.int16)
    values[1, 0, :, 3:5] = -32768
    zarr.open_group(str(other), mode="r+")["a"]["backscatter"][...] = values
    curves = backscatter_by_crop([world.radar, other], [world.samples] * 2, NAMES)
    crops = read_raster(world.samples / "a" / "crops.tif")[0][0]
    first = zarr.open_group(str(world.radar), mode="r")["a"]["backscatter"][:]
    for curve in curves:
        mask = crops == curve.crop
        assert curve.pixels == 24
        for row, band in enumerate(["VV", "VH"]):
            for period in range(3):
                both = np.concatenate([first[period, row][mask], values[period, row][mask]]).astype(float)
                known = both[both != -32768]
                expected = 10 * np.log10(np.mean(10 ** (known / 1000)))
                assert curve.bands[band][period] == pytest.approx(expected)


def test_a_period_without_a_value_has_none_and_other_bands_share_no_curve(world, tmp_path):
    world.add_radar()
    zarr.open_group(str(world.radar), mode="r+")["a"]["backscatter"][1] = -32768
    (curve, *_) = backscatter_by_crop([world.radar], [world.samples], NAMES)
    assert np.isnan(curve.bands["VV"]).tolist() == [False, True, False]
    other = tmp_path / "other.zarr"
    shutil.copytree(world.radar, other)
    zarr.open_group(str(other), mode="r+")["a"].attrs["bands"] = ["VV_37", "VH_37", "VH-VV"]
    assert backscatter_by_crop([world.radar, other], [world.samples] * 2, NAMES) == []
    assert backscatter_by_crop([], [], NAMES) == []
