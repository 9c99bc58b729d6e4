"""Composites come from scenes, or from Earth Engine: never from both."""

from __future__ import annotations

SERVICE = {"source": "earth_engine", "reduce": "server"}
FILE = "results/composites/monthly/{}/2023/sentinel2.zarr"


def overlay(**changes):
    return {"imagery": {"service": SERVICE | changes}, "regions": {"lauragais": {"imagery": "service"}}}


def test_composites_of_the_server_need_no_export(plan):
    code, jobs, text = plan("-p", FILE.format("lauragais"), overlay=overlay(requests_at_once=20))
    assert code == 0, text
    assert jobs == {"regions": 1, "imagery_find": 1, "imagery_plan": 1, "composites_fetch": 1}
    assert "--requests-at-once 20" in text
    assert "--work results/.work/composites/monthly/lauragais/2023/sentinel2" in text


def test_the_plan_knows_the_series_that_the_server_composites(plan):
    found = "results/imagery/{}/2023/plan.json"
    changed = overlay() | {"series": {"monthly": {"period": "dekad"}}}
    code, _, text = plan("-p", found.format("lauragais"), overlay=changed)
    assert code == 0, text
    (command,) = [line for line in text.splitlines() if "imagery plan" in line]
    assert command.count("--series") == 1
    assert '"period": "dekad"' in command
    assert "--series" not in plan("-p", found.format("beauce"), overlay=changed)[2]


def test_other_regions_keep_their_export(plan):
    code, jobs, text = plan(FILE.format("lauragais"), FILE.format("beauce"), overlay=overlay())
    assert code == 0, text
    assert jobs == {
        "simulation": 1,
        "regions": 2,
        "imagery_find": 2,
        "imagery_plan": 2,
        "imagery": 1,
        "composites": 1,
        "composites_fetch": 1,
    }


def test_the_same_service_may_send_scenes(plan):
    code, jobs, text = plan(FILE.format("lauragais"), overlay=overlay(reduce="local"))
    assert code == 0, text
    assert jobs == {"regions": 1, "imagery_find": 1, "imagery_plan": 1, "imagery": 1, "composites": 1}


def test_the_report_tells_the_scenes_of_the_servers_composites(plan):
    regions = {"regions": {"beauce": {"imagery": "service"}}}
    code, jobs, text = plan("-p", overlay=overlay() | {"regions": {**overlay()["regions"], **regions["regions"]}})
    assert code == 0, text
    assert jobs["composites_fetch"] == 2
    assert "imagery" not in jobs
    assert "--scenes results/composites/monthly/beauce/2023/sentinel2.parquet" in text


def test_what_the_server_cannot_do_stops_the_run_before_any_job(plan):
    changed = overlay() | {"series": {"monthly": {"mask": {"dilate_m": 40}}}}
    code, _, text = plan(overlay=changed)
    assert code == 2
    assert "series.monthly.mask.dilate_m is 40.0, which imagery.service.reduce 'server' cannot do; expected 0" in text
