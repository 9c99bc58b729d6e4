"""What a dry run plans of the imagery: one search and export per sensor, one plan, and no network."""

from __future__ import annotations

import os

import pytest

SENSORS = ("sentinel2", "sentinel1_ascending", "sentinel1_descending")
PLACE = "results/imagery/beauce/2023"


def stores(*sensors):
    return [f"{PLACE}/{sensor}.zarr" for sensor in sensors]


def test_three_sensors_share_one_plan(plan):
    overlay = {"imagery": {"demo": {"sensors": list(SENSORS)}}}
    code, jobs, text = plan(*stores(*SENSORS), overlay=overlay)
    assert code == 0, text
    assert jobs == {"simulation": 1, "regions": 1, "imagery_find": 3, "imagery_plan": 1, "imagery": 3}


def test_the_report_shows_the_scenes_of_all_sensors(plan):
    overlay = {"imagery": {"demo": {"sensors": ["sentinel2", "sentinel1_ascending"]}}}
    code, jobs, text = plan("results/report/demo/index.html", overlay=overlay)
    assert code == 0, text
    # Both sensors of the place that is learnt from, Sentinel-2 alone of the place that is only mapped.
    assert (jobs["imagery_plan"], jobs["imagery"]) == (2, 3)


@pytest.mark.parametrize(
    "entry",
    [
        {"source": "stac", "provider": "planetary-computer"},
        {"source": "stac", "url": "http://127.0.0.1:9/nothing/listens/here"},
        {"source": "earth_engine"},
    ],
    ids=["provider", "url", "earth engine"],
)
def test_a_service_is_no_input_and_is_not_asked_by_a_dry_run(plan, entry):
    overlay = {
        "imagery": {"far": {**entry, "sensors": ["sentinel2", "sentinel1_descending"], "requests_at_once": 5}},
        "regions": {"perche": {"sites": {"a": {"centre": [0.9, 48.4], "side_km": 1.28}}, "imagery": "far"}},
    }
    place = "results/imagery/perche/2023"
    code, jobs, text = plan("-p", f"{place}/sentinel2.zarr", f"{place}/sentinel1_descending.zarr", overlay=overlay)
    assert code == 0, text
    assert jobs == {"regions": 1, "imagery_find": 2, "imagery_plan": 1, "imagery": 2}
    assert "--source" not in text
    assert "--requests-at-once 5 --requests-per-second 20.0" in " ".join(text.split()).replace("\\ ", "")
    assert text.count("service=1") == 4


def test_a_sensor_that_the_imagery_lacks_is_named(plan):
    code, _, text = plan(*stores("sentinel1_ascending"))
    assert code == 2
    assert "imagery.demo.sensors is ['sentinel2'], without 'sentinel1_ascending'" in text
    assert "Traceback" not in text


@pytest.fixture
def finished(folder):
    """An imagery room whose plan and Sentinel-2 are done."""
    (folder / "archive").mkdir()
    for name in ("results/regions/beauce/sites.parquet", f"{PLACE}/found/sentinel2.parquet", f"{PLACE}/plan.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in ("sentinel2.parquet", "sentinel2.json"):
        (folder / PLACE / name).touch()
    (folder / PLACE / "sentinel2.zarr").mkdir()
    return {"imagery": {"mine": {"source": "items", "path": "archive"}}, "regions": {"beauce": {"imagery": "mine"}}}


def test_a_plan_that_was_made_again_fetches_nothing_again(plan, folder, finished):
    wanted = (*stores("sentinel2"), "--rerun-triggers", "mtime")
    assert plan(*wanted, overlay=finished)[1] == {}
    later = (folder / PLACE / "sentinel2.parquet").stat().st_mtime + 10
    os.utime(folder / PLACE / "plan.json", (later, later))
    assert plan(*wanted, overlay=finished)[1] == {}


def test_another_sensor_and_budget_fetch_nothing_again(plan, finished):
    mine = finished["imagery"]["mine"]
    mine |= {"sensors": ["sentinel2", "sentinel1_ascending"], "budget": {"gib": 1}, "requests_at_once": 2}
    wanted = (*stores("sentinel2", "sentinel1_ascending"), "--rerun-triggers", "mtime", "input", "params")
    code, jobs, text = plan(*wanted, overlay=finished)
    assert code == 0, text
    assert jobs == {"imagery_find": 1, "imagery_plan": 1, "imagery": 1}
    assert f"output: {PLACE}/sentinel1_ascending.zarr" in text


def test_moved_sites_are_fetched_again(plan, folder, finished):
    later = (folder / PLACE / "sentinel2.parquet").stat().st_mtime + 10
    os.utime(folder / "results/regions/beauce/sites.parquet", (later, later))
    jobs = plan(*stores("sentinel2"), "--rerun-triggers", "mtime", overlay=finished)[1]
    assert jobs == {"imagery_find": 1, "imagery_plan": 1, "imagery": 1}


def test_the_file_of_a_sensor_in_a_folder_is_what_is_watched(plan, folder):
    (folder / "archive").mkdir()
    for name in ("sentinel-2-l2a", "sentinel-1-grd"):
        (folder / "archive" / f"{name}.items.json").touch()
    overlay = {
        "imagery": {"near": {"source": "items", "path": "archive", "sensors": list(SENSORS[:2])}},
        "regions": {"perche": {"sites": {"a": {"centre": [0.9, 48.4], "side_km": 1.28}}, "imagery": "near"}},
    }
    place = "results/imagery/perche/2023/found"
    code, _, text = plan("-p", f"{place}/sentinel2.parquet", f"{place}/sentinel1_ascending.parquet", overlay=overlay)
    assert code == 0, text
    assert "--source archive/sentinel-2-l2a.items.json" in text
    assert "--source archive/sentinel-1-grd.items.json" in text


def test_a_series_hands_each_sensor_what_changes_its_pixels(plan):
    overlay = {"imagery": {"demo": {"sensors": list(SENSORS[:2])}}}
    made = "results/composites/monthly/beauce/2023"
    _, _, optical = plan("-p", f"{made}/sentinel2.zarr", overlay=overlay)
    _, _, radar = plan("-p", f"{made}/sentinel1_ascending.zarr", overlay=overlay)
    assert '"mask"' in optical and '"speckle_days"' not in optical
    assert '"speckle_days"' in radar and '"mask"' not in radar
