"""Records of Sentinel-1: the recorded ones of three providers, decision by decision, and those of local files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cropflow.errors import CropflowError
from cropflow.imagery.items import find_items
from cropflow.imagery.local import LocalSource
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sentinel1.items import find_radar_items, radar_scene, relative_orbit, usable_scenes

RTC = "planetary-computer/sentinel-1-rtc/S1A_IW_GRDH_1SDV_"
WINDOW = ()


def recorded(shared, name):
    return json.loads((shared / "data" / "stac" / "items" / f"{name}.json").read_text(encoding="utf-8"))


def item(name="S1", *, assets=None, unit="dB", **properties):
    """A calibrated item in dB; properties with ``_`` in place of ``:``."""
    content = {
        "datetime": "2018-05-04T17:32:36Z",
        "constellation": "sentinel-1",
        "sat:orbit_state": "ascending",
        "sar:polarizations": ["VV", "VH"],
    }
    content |= {key.replace("__", ":"): value for key, value in properties.items()}
    named = assets or {"vv": {"href": "./vv.tif"}, "vh": {"href": "./vh.tif"}}
    return {
        "id": name,
        "collection": "sentinel-1-grd",
        "properties": {key: value for key, value in content.items() if value is not None},
        "assets": {key: ({"unit": unit} if unit else {}) | asset for key, asset in named.items()},
    }


def optical(name="S2A_31TEJ_20180504_0_L2A"):
    properties = {"datetime": "2018-05-04T10:40:21Z", "platform": "sentinel-2a"}
    return {"id": name, "properties": properties, "assets": {"B02": {"href": "./B02.tif"}}}


def write(path: Path, *items):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "direction", "orbit", "platform"),
    [
        (f"{RTC}20240419T045749_20240419T045814_053498_067DF2_rtc", "descending", 51, "sentinel-1a"),
        (f"{RTC}20240419T045814_20240419T045839_053498_067DF2_rtc", "descending", 51, "sentinel-1a"),
        (f"{RTC}20240419T045839_20240419T045904_053498_067DF2_rtc", "descending", 51, "sentinel-1a"),
        (f"{RTC}20240419T045904_20240419T045916_053498_067DF2_rtc", "descending", 51, "sentinel-1a"),
        (f"{RTC}20250311T044231_20250311T044249_058252_073302_rtc", "descending", 80, "sentinel-1a"),
        ("other/sentinel1-rtc-aws/S1A_20200103_17RMJ_ASC", "ascending", 121, "sentinel-1a"),
        ("other/sentinel1-rtc-aws/S1B_20161121_12SYJ_ASC", "ascending", 49, "sentinel-1b"),
    ],
)
def test_recorded_terrain_corrected_items_are_linear_gamma0(shared, name, direction, orbit, platform):
    record = recorded(shared, name)
    # What the record tells wins over what the user assumes.
    scene = radar_scene(record, "https://example.org/", "sigma0")
    assert isinstance(scene, Scene)
    assert (scene.radiometry, scene.unit) == ("gamma0", "linear")
    assert (scene.sensor, scene.relative_orbit, scene.platform) == (f"sentinel1_{direction}", orbit, platform)
    assert set(scene.layers) == {"VV", "VH"}
    assert "vv" in scene.layers["VV"].lower()
    assert scene.outline is not None and scene.tile == ""
    assert relative_orbit(platform, record["properties"]["sat:absolute_orbit"]) == orbit


@pytest.mark.parametrize("folder", ["planetary-computer/sentinel-1-grd", "earth-search/sentinel-1-grd"])
def test_recorded_plain_grd_is_refused_as_uncalibrated_item_by_item(shared, folder):
    files = sorted((shared / "data" / "stac" / "items" / folder).glob("*.json"))
    assert len(files) >= 5
    for file in files:
        reason = radar_scene(json.loads(file.read_text(encoding="utf-8")), "https://example.org/", "sigma0")
        assert isinstance(reason, str)
        assert reason.startswith("uncalibrated: digital numbers in radar geometry")


def test_a_recorded_search_of_plain_grd_is_one_line(shared):
    content = json.loads((shared / "data" / "stac" / "searches" / "pc_sentinel1_grd_search.json").read_text())
    items = content if isinstance(content, list) else content["features"]
    with pytest.raises(CropflowError, match=r"None of 3 items of Sentinel-1 can be used \(uncalibrated 3\).*rtc\.$"):
        usable_scenes(items, "https://example.org/", None)


def test_a_recorded_search_of_terrain_corrected_items_gives_the_slices_of_one_pass(shared):
    items = json.loads((shared / "data" / "stac" / "searches" / "sentinel-1-rtc-pc.json").read_text())
    scenes = usable_scenes(items, "https://example.org/", None)
    assert len(scenes) == 4
    assert {(scene.relative_orbit, scene.sensor, scene.radiometry) for scene in scenes} == {
        (51, "sentinel1_descending", "gamma0")
    }


def test_the_items_of_flanders_are_sigma0_by_assumption_and_know_no_orbit(shared):
    folder = shared / "data" / "flanders_2018"
    scenes = LocalSource(folder, "items", "sigma0").find("sentinel1_ascending", {}, WINDOW)
    assert len(scenes) == 159
    assert {(scene.radiometry, scene.unit, scene.relative_orbit, scene.platform) for scene in scenes} == {
        ("sigma0", "dB", -1, "sentinel-1")
    }
    assert LocalSource(folder, "items", "sigma0").find("sentinel1_descending", {}, WINDOW) == []
    assert {scene.radiometry for scene in find_radar_items(folder, "sentinel1_ascending", None)} == {""}
    assert len(LocalSource(folder, "items").find("sentinel2", {}, WINDOW)) == 118


@pytest.mark.parametrize(
    ("platform", "absolute", "relative"),
    [
        ("sentinel-1a", 4383, 111),
        ("sentinel-1a", 73, 1),
        ("sentinel-1a", 72, 175),
        ("sentinel-1b", 21491, 115),
        ("sentinel-1c", 8018, 147),
        ("sentinel-1c", 8019, 46),
        ("sentinel-1d", 42, 1),
        ("sentinel-1", 4383, -1),
    ],
)
def test_the_relative_orbit_follows_from_satellite_and_absolute_orbit(platform, absolute, relative):
    assert relative_orbit(platform, absolute) == relative


def test_the_orbit_is_read_from_the_absolute_one_or_from_the_products_name():
    by_record = radar_scene(item(platform="SENTINEL-1A", sat__absolute_orbit=53498), "x/", "sigma0")
    by_name = radar_scene(item("S1B_IW_GRDH_1SDV_20200508T141252_20200508T141322_021491_028CDD"), "x/", "sigma0")
    assert (by_record.platform, by_record.relative_orbit) == ("sentinel-1a", 51)
    assert (by_name.platform, by_name.relative_orbit) == ("sentinel-1b", 115)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"assets": {"vv": {"href": "vv.tif"}}, "sar__polarizations": ["VV"]}, "polarisation: VV, expected VV and VH"),
        ({"assets": {"hh": {"href": "a"}, "hv": {"href": "b"}}, "sar__polarizations": None}, "polarisation: hh, hv,"),
        ({"sar__instrument_mode": "EW"}, "mode: EW, expected IW"),
        ({"sat__orbit_state": None}, "direction: orbit state missing"),
        ({"unit": None}, "uncalibrated: "),
        ({"unit": "counts"}, "uncalibrated: "),
    ],
)
def test_an_item_that_cannot_be_used_says_why(changes, reason):
    assert str(radar_scene(item(**changes), "x/", "sigma0")).startswith(reason)


@pytest.mark.parametrize(
    ("asset", "radiometry"),
    [
        ({"roles": ["data", "sigma0"]}, "sigma0"),
        ({"description": "Gamma naught values"}, "gamma0"),
        ({"title": "Sigma-nought VV"}, "sigma0"),
        ({"description": "sigma0 and gamma0"}, "assumed"),
        ({}, "assumed"),
    ],
)
def test_the_radiometry_is_read_where_the_record_tells_one(asset, radiometry):
    record = item(assets={name: {"href": f"{name}.tif"} | asset for name in ("vv", "vh")})
    assert radar_scene(record, "x/", "assumed").radiometry == radiometry


def test_assets_named_by_their_radiometry_and_an_angle_are_found():
    record = item(assets={"sigma0_VV": {"href": "a.tif"}, "sigma0_VH": {"href": "b.tif"}, "angle": {"href": "c.tif"}})
    scene = radar_scene(record, "https://example.org/items/one.json", None)
    assert scene.radiometry == "sigma0"
    assert scene.layers == {
        "VV": "https://example.org/items/a.tif",
        "VH": "https://example.org/items/b.tif",
        "angle": "https://example.org/items/c.tif",
    }


@pytest.mark.parametrize(("unit", "expected"), [("decibel", "dB"), ("linear", "linear"), ("m2/m2", "linear")])
def test_the_unit_is_that_of_the_assets(unit, expected):
    assert radar_scene(item(unit=unit), "x/", "sigma0").unit == expected


def test_polarisations_in_different_units_are_refused():
    record = item(assets={"vv": {"href": "a", "unit": "dB"}, "vh": {"href": "b", "unit": "linear"}})
    assert str(radar_scene(record, "x/", "sigma0")).startswith("uncalibrated: ")


def test_items_that_cannot_be_used_are_counted_beside_those_that_can(caplog):
    scenes = usable_scenes([item("a"), item("b", unit=None), item("c", sar__instrument_mode="EW")], "x/", "sigma0")
    assert [scene.id for scene in scenes] == ["a"]
    assert "2 of 3 items of Sentinel-1 cannot be used (mode 1, uncalibrated 1): b, uncalibrated" in caplog.text


def test_a_folder_gives_each_sensor_its_own_scenes(tmp_path):
    write(tmp_path / "sentinel-2-l2a.items.json", optical())
    write(tmp_path / "sentinel-1-rtc.items.json", item("up"), item("down", sat__orbit_state="descending"))
    source = LocalSource(tmp_path, "items", "sigma0")
    found = {
        sensor: [scene.id for scene in source.find(sensor, {}, WINDOW)]
        for sensor in ("sentinel2", "sentinel1_ascending", "sentinel1_descending")
    }
    assert found == {
        "sentinel2": ["S2A_31TEJ_20180504_0_L2A"],
        "sentinel1_ascending": ["up"],
        "sentinel1_descending": ["down"],
    }
    assert source.find("sentinel1_ascending", {}, WINDOW)[0].layers["VV"] == str(tmp_path / "vv.tif")


def test_one_file_of_both_satellites_is_told_apart(tmp_path):
    path = write(tmp_path / "all.items.json", optical(), item("up"))
    assert [scene.id for scene in find_items(path)] == ["S2A_31TEJ_20180504_0_L2A"]
    assert [scene.id for scene in find_radar_items(path, "sentinel1_ascending", "sigma0")] == ["up"]


def test_a_file_without_the_sensor_is_one_line(tmp_path):
    with pytest.raises(CropflowError, match="holds no items of Sentinel-1"):
        find_radar_items(write(tmp_path / "optical.json", optical()), "sentinel1_ascending", None)
    with pytest.raises(CropflowError, match="holds no items of Sentinel-2"):
        find_items(write(tmp_path / "radar.json", item()))
    with pytest.raises(CropflowError, match=r"sentinel-1-grd\.items\.json is missing"):
        find_radar_items(tmp_path, "sentinel1_ascending", None)


def test_a_folder_with_two_radar_collections_is_refused(tmp_path):
    for name in ("grd", "rtc"):
        write(tmp_path / f"sentinel-1-{name}.items.json", item())
    with pytest.raises(CropflowError, match=r"expected one collection of Sentinel-1"):
        find_radar_items(tmp_path, "sentinel1_ascending", None)
