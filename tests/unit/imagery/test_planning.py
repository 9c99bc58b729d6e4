"""What a plan counts and estimates, and the budgets that it keeps."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest

from cropflow.config.imagery import Imagery, Series
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.imagery.catalog import Decision
from cropflow.imagery.fetching.budget import GIB, check_budget, check_disk
from cropflow.imagery.fetching.pace import Pace, origin_of, read_pace, write_pace
from cropflow.imagery.fetching.planning import STORED_SHARE, plan_export
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Request
from cropflow.regions.grid import Grid

GRID = Grid(32631, 500_000.0, 4_900_000.0, 100, 200, 10.0)
WINDOW = (datetime.date(2023, 1, 1), datetime.date(2023, 3, 31))
PIXELS = 100 * 200


def scene(name, sensor="sentinel2"):
    layers = {"B02": "a", "SCL": "b"} if sensor == "sentinel2" else {"VV": "a", "VH": "b", "angle": "c"}
    time = datetime.datetime(2023, 1, 5, tzinfo=datetime.UTC)
    return Scene(name, time, "p", "31TEJ", 8, "05.09", "", 5.0, None, None, layers, name, sensor)


def one_request_per_layer(scene, grid, layers):
    return [Request((name,), 0, 0, grid.height, grid.width, 1_000_000) for name in layers]


SERVICE = SimpleNamespace(requests=one_request_per_layer)
DECISIONS = {
    "sentinel2": {"a": [Decision(scene("one")), Decision(scene("two")), Decision(scene("three"), "cloud: 90 %")]},
    "sentinel1_ascending": {"a": [Decision(scene("four", "sentinel1_ascending"))]},
}


def plan(source=SERVICE, pace=None, **settings):
    entry = {"source": "stac", "provider": "earth-search", "bands": ["B02"], **settings}
    chosen = Imagery.model_validate(entry)
    return plan_export(chosen, DECISIONS, {"a": GRID}, WINDOW, source, pace or Pace()), chosen


def test_scenes_requests_and_bytes_are_counted_per_sensor_and_site_and_add_up():
    made, _ = plan()
    content = made.content()
    optical = content["sensors"]["sentinel2"]["a"]
    assert optical == {"found": 3, "wanted": 2, "requests": 4, "bytes": 4_000_000, "dropped": {"cloud": 1}}
    assert content["sensors"]["sentinel1_ascending"]["a"]["requests"] == 3
    assert content["total"] | {"minutes": 0, "disk_bytes": 0} == {
        "found": 4, "wanted": 3, "requests": 7, "bytes": 7_000_000, "minutes": 0, "eecu_hours": None, "disk_bytes": 0,
    }  # fmt: skip


def test_disk_is_that_of_the_largest_sensor_until_it_is_finished_and_of_all_stores():
    made, _ = plan()
    # Two scenes of two layers in two bytes, beside one of three layers in four.
    assert made.work_bytes == 3 * 4 * PIXELS
    assert made.store_bytes == pytest.approx(STORED_SHARE * (2 * 2 * 2 + 3 * 2) * PIXELS, abs=1)


def test_local_scenes_ask_for_nothing_and_leave_nothing_beside_the_store():
    made, _ = plan(source=None)
    assert (made.total("requests"), made.total("bytes"), made.minutes, made.work_bytes) == (0, 0, 0, 0)
    assert made.store_bytes > 0


def test_the_slowest_of_bandwidth_waiting_and_rate_decides_the_minutes():
    pace = Pace(mbytes_per_second=10, seconds_per_request=2)
    assert pace.minutes(60, 6_000_000_000, 10, 10) == 10
    assert pace.minutes(6000, 1000, 10, 100) == 20
    assert pace.minutes(6000, 1000, 40, 0.5) == 200


def test_composites_of_the_service_are_counted_in_place_of_scenes():
    entry = {"source": "stac", "provider": "earth-search", "bands": ["B02"]}
    chosen = Imagery.model_validate(entry).model_copy(update={"reduce": "server"})
    made = plan_export(chosen, {"sentinel2": DECISIONS["sentinel2"]}, {"a": GRID}, WINDOW, SERVICE, Pace())
    assert made.total("requests") == 1
    assert made.total("bytes") == 2 * PIXELS * 3 * 2
    assert made.total("read") == 4_000_000


def test_each_series_of_the_service_costs_its_own_periods():
    entry = {"source": "stac", "provider": "earth-search", "bands": ["B02"]}
    chosen = Imagery.model_validate(entry).model_copy(update={"reduce": "server"})
    series = [Series(), Series(period="dekad"), Series(period="half-month"), Series(period="days", period_days=20)]
    optical = {"sentinel2": DECISIONS["sentinel2"]}
    made = plan_export(chosen, optical, {"a": GRID}, WINDOW, SERVICE, Pace(), series)
    assert made.total("bytes") == 2 * PIXELS * 2 * (3 + 9 + 6 + 5)
    assert made.total("requests") == 4
    assert made.total("read") == 4 * 4_000_000
    # One is fetched at a time.
    assert made.work_bytes == 2 * PIXELS * 2 * 9


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"requests": 5}, r"7 requests, 2 more than imagery\.<name>\.budget\.requests allows \(5\)"),
        ({"gib": 0.004}, r"0\.00652 GiB, 0\.00252 more than imagery\.<name>\.budget\.gib allows \(0\.004\)"),
        ({"minutes": 0.001}, r"minutes, .* more than imagery\.<name>\.budget\.minutes allows \(0\.001\)"),
        ({"requests": 5, "gib": 0.004}, r"GiB, .* and 7 requests"),
    ],
)
def test_what_exceeds_the_budget_is_named_with_by_how_much_and_the_way_out(budget, message):
    made, chosen = plan(budget=budget)
    with pytest.raises(
        CropflowError, match=message + r".*than the budget\. Take fewer sites, bands or months, or raise the budget"
    ):
        check_budget(made, chosen)


def test_earth_engine_is_told_that_it_could_composite():
    made, _ = plan()
    chosen = Imagery.model_validate({"source": "earth_engine", "budget": {"requests": 5}})
    with pytest.raises(CropflowError, match="months, reduce: server, or raise"):
        check_budget(made, chosen)


def test_a_plan_within_its_budget_passes():
    made, chosen = plan(budget={"requests": 7, "gib": 1, "minutes": 5})
    check_budget(made, chosen)
    check_disk(made, made.work_bytes + made.store_bytes)


def test_what_does_not_fit_on_the_disk_is_refused():
    made, _ = plan()
    with pytest.raises(CropflowError, match=r"needs 0\.0 GiB of disk .*0\.0 GiB are free"):
        check_disk(made, made.work_bytes + made.store_bytes - 1)
    with pytest.raises(CropflowError, match=r"2\.0 GiB are free"):
        check_disk(plan_of(3 * GIB), 2 * GIB)


def plan_of(size):
    made, _ = plan()
    return type(made)(made.sensors, 0.0, None, size, 0)


def test_a_pace_is_kept_per_service_and_small_fetches_teach_nothing(tmp_path):
    file = tmp_path / "pace.json"
    write_pace(file, "stac a", requests=10, size=10**9, seconds=10, at_once=8)
    assert not file.exists()
    write_pace(file, "stac a", requests=100, size=10**9, seconds=50, at_once=8)
    write_pace(file, "stac b", requests=100, size=10**8, seconds=50, at_once=8)
    assert read_pace(file, "stac a") == Pace(20.0, 4.0, measured=True)
    assert read_pace(file, "stac b").mbytes_per_second == 2.0
    assert read_pace(file, "stac c") == Pace()
    file.write_text("torn")
    assert read_pace(file, "stac a") == Pace()
    write_pace(file, "stac a", requests=100, size=10**9, seconds=50, at_once=8)
    assert read_pace(file, "stac a").measured


def test_other_collections_are_another_origin():
    entry = {"source": "stac", "provider": "earth-search"}
    one = origin_of(Imagery.model_validate(entry))
    assert one == "stac earth-search"
    assert origin_of(Imagery.model_validate({**entry, "collections": {"sentinel2": "x"}})) != one


def test_the_command_writes_the_plan_and_asks_nothing_of_the_service(remote_export, service, caplog):
    caplog.set_level("INFO")
    export = remote_export()
    service.forget()
    export.run("plan")
    assert service.requests == 0
    content = read_json(export.folder / "plan.json")
    assert content["total"]["requests"] == export.units * service.calls
    assert content["total"]["bytes"] == sum(content["sensors"]["sentinel2"][site]["bytes"] for site in "ab") > 0
    assert content["window"] == ["2023-06-01", "2023-06-30"]
    assert "assumed" in content["how"]["minutes"]
    row = next(message for message in caplog.messages if message.startswith("sentinel2  a"))
    assert row.split()[:5] == ["sentinel2", "a", "4", "4", str(export.units * service.calls // 2)]


def test_a_plan_over_budget_is_not_written(remote_export, service):
    export = remote_export()
    planned = export.units * service.calls
    export.settings["budget"] = {"requests": planned - 1}
    with pytest.raises(CropflowError, match=f"{planned} requests, 1 more than"):
        export.run("plan")
    assert not (export.folder / "plan.json").exists()


def test_the_plan_after_a_fetch_uses_the_pace_that_it_measured(remote_export, service):
    export = remote_export()
    pace = ["--pace", str(export.folder / "pace.json")]
    arguments = export.arguments
    export.arguments = lambda command: arguments(command) + pace
    service.forget()
    export.run("export")
    asked = service.requests
    export.run("plan")
    known = read_pace(export.folder / "pace.json", origin_of(Imagery.model_validate(export.settings)))
    # Fewer than twenty requests teach nothing.
    assert known.measured is (asked >= 20)
    told = read_json(export.folder / "plan.json")["how"]["minutes"]
    assert ("measured by an earlier fetch" in told) is known.measured
