"""How much arrived, and of which scenes."""

from __future__ import annotations

import datetime

import pytest

from cropflow.config.imagery import Imagery
from cropflow.errors import CropflowError
from cropflow.imagery.choosing import choose_scenes, wanted_layers
from cropflow.imagery.fetching.completeness import measure
from cropflow.imagery.scenes import Scene
from cropflow.regions.grid import Grid

SITES = {name: Grid(32631, 500_000.0 + 100 * place, 4_900_000.0, 4, 6, 10.0) for place, name in enumerate("ab")}
WINDOW = (datetime.date(2023, 5, 1), datetime.date(2023, 6, 30))
SETTINGS = Imagery.model_validate({"source": "stac", "provider": "earth-search", "bands": ["B02"]})


def scene(name, month=6, day=1, baseline="05.09", sensor="sentinel2", layers=("B02", "SCL")):
    time = datetime.datetime(2023, month, day, tzinfo=datetime.UTC)
    return Scene(name, time, "p", "T", 8, baseline, "", 5.0, None, None, dict.fromkeys(layers, "x"), name, sensor)


FOUND = [scene("may", month=5), scene("one"), scene("older", baseline="02.00"), scene("two", day=6), scene("july", 7)]


def planned(found=FOUND, gone=None):
    return choose_scenes(SETTINGS, "sentinel2", found, SITES, WINDOW, gone)


def test_all_that_is_wanted_arrived():
    told = measure("sentinel2", 0.95, planned()).content()
    assert (told["wanted"], told["arrived"], told["gone"], told["share"]) == (6, 6, 0, 1.0)
    assert list(told["months"]) == ["2023-05", "2023-06"]
    assert told["months"]["2023-06"]["a"] == {"wanted": 2, "arrived": 2, "gone": {}}


def test_what_is_gone_is_named_per_month_and_site():
    told = measure("sentinel2", 0.5, planned(), {("a", "two"): "status 404"})
    assert told.months["2023-06"]["a"] == {"wanted": 2, "arrived": 1, "gone": {"two": "status 404"}}
    assert told.months["2023-06"]["b"] == {"wanted": 2, "arrived": 2, "gone": {}}
    told.check()


def test_a_scene_whose_duplicate_is_there_is_not_lost():
    assert measure("sentinel2", 1.0, planned(), {("a", "one"): "404"}).arrived == 6
    both = {("a", "one"): "404", ("a", "older"): "410"}
    told = measure("sentinel2", 0.9, planned(), both)
    assert told.arrived == 5
    with pytest.raises(CropflowError, match=r"5 of 6 scenes .* \(83\.3 %, .* at least 90 %.* is gone: one \(404\)"):
        told.check()


def test_nothing_wanted_is_complete():
    told = measure("sentinel2", 1.0, planned([]))
    assert (told.wanted, told.share) == (0, 1.0)
    told.check()


def test_a_duplicate_takes_the_place_of_a_scene_that_is_gone_at_that_site_alone():
    decisions = planned(gone={("a", "one"): "status 404"})
    reasons = {site: {one.scene.id: one.reason for one in judged} for site, judged in decisions.items()}
    assert reasons["a"]["one"] == "gone: status 404"
    assert reasons["a"]["older"] == ""
    assert reasons["b"]["older"].startswith("duplicate: of one")
    assert [one.scene.id for one in decisions["a"]] == ["may", "older", "one", "two", "july"]


def test_other_sensors_are_passed_over():
    radar = scene("radar", sensor="sentinel1_ascending")
    assert planned([radar])["a"] == []
    assert [
        one.scene.id for one in choose_scenes(SETTINGS, "sentinel1_ascending", [radar, FOUND[1]], SITES, WINDOW)["a"]
    ] == ["radar"]


def test_layers_are_those_of_the_sensor_and_what_the_settings_add():
    assert wanted_layers(SETTINGS, FOUND[0]) == ("B02", "SCL")
    scored = SETTINGS.model_copy(update={"cloud_score": True})
    assert wanted_layers(scored, FOUND[0]) == ("B02", "SCL", "cloud_score")
    radar = scene("r", sensor="sentinel1_descending", layers=("VV", "VH"))
    assert wanted_layers(scored, radar) == ("VV", "VH")
    radar = scene("r", sensor="sentinel1_descending", layers=("VV", "VH", "angle"))
    assert wanted_layers(scored, radar) == ("VV", "VH", "angle")
