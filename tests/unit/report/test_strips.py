"""The season in pictures, whatever the bands; and scenes per period."""

from __future__ import annotations

import pytest
import zarr

from cropflow.report.strips import season_strip


def rename(store, bands: list[str]) -> None:
    zarr.open_group(str(store), mode="r+")["a"].attrs["bands"] = bands


def test_the_strip_has_a_picture_per_period_in_true_colour(world):
    strip = season_strip(world.stores)
    assert [period for period, _ in strip.pictures] == ["2018-11-01", "2018-12-01", "2019-01-01"]
    assert (strip.site, strip.sites, strip.colours) == ("a", 1, "true colour")
    assert all(picture.startswith("data:image/jpeg;base64,") for _, picture in strip.pictures)


@pytest.mark.parametrize(
    ("bands", "shown"),
    [(["B05", "B03", "B04", "B08"], "B08, B04, B03"), (["B05", "B06", "B8A", "B11"], "B11, B8A, B05")],
)
def test_without_visible_bands_other_bands_stand_for_them(world, bands, shown):
    rename(world.composites, bands)
    strip = season_strip(world.stores)
    assert strip.colours == f"false colour: {shown} as red, green and blue"
    assert len(strip.pictures) == 3


def test_without_any_such_band_radar_is_shown_and_without_radar_nothing(world):
    rename(world.composites, ["B05", "B06", "B07", "B12"])
    assert season_strip(world.stores).pictures == ()
    world.add_radar()
    strip = season_strip(world.stores)
    assert strip.sensor == "sentinel1_ascending"
    assert strip.colours == "Sentinel-1 ascending: VV, VH and their difference as red, green and blue"
    assert len(strip.pictures) == 3


def test_orbits_kept_apart_are_shown_by_the_first_that_is_whole(world):
    world.add_radar()
    rename(world.radar, ["VV_37", "VV_110", "VH_110"])
    strip = season_strip({"sentinel1_ascending": world.radar})
    assert "VV_110, VH_110" in strip.colours
