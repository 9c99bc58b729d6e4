"""Scenarios of an export from a service that fails; every source whose service is a fixture's parameter runs them."""

from __future__ import annotations

import json
import time

import pytest

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_table


@pytest.fixture
def undisturbed(remote_export, service):
    """Bytes of an export without faults; the requests that it made are forgotten."""
    plain = remote_export("plain")
    plain.run("export")
    assert set(service.served.values()) == {1}
    assert len(service.served) == plain.units
    assert not plain.work.exists()
    service.forget()
    return plain.bytes


def test_with_a_fifth_of_the_requests_failing_the_bytes_are_the_same_and_nothing_is_fetched_twice(
    undisturbed, remote_export, service
):
    service.faults = 0.2
    disturbed = remote_export("disturbed")
    disturbed.run("export")
    assert disturbed.bytes == undisturbed
    assert set(service.served.values()) == {1}
    failed = service.asked.total() - disturbed.units
    assert failed >= 5
    assert service.asked.total() < 1.5 * disturbed.units


def test_a_unit_that_was_fetched_is_not_asked_for_again_in_another_run(undisturbed, remote_export, service):
    export = remote_export()
    service.down = {"scene4"}
    with pytest.raises(
        CropflowError, match=r"24 of 32 requests are done; 8 did not come, .* run again to go on"
    ) as told:
        export.run("export")
    assert "scene4 at site a" in str(told.value)
    assert not (export.folder / "sentinel2.zarr").exists()
    service.down = set()
    service.forget()
    export.run("export")
    assert export.bytes == undisturbed
    assert service.asked.total() == 8
    assert all("scene4" in request for request in service.asked)


def test_a_service_that_is_down_is_not_asked_for_everything(remote_export, service):
    export = remote_export()
    service.down = {f"scene{day}" for day in range(1, 5)}
    with pytest.raises(CropflowError, match="0 of 32 requests are done; 32 did not come"):
        export.run("export")
    # Three scenes failed, and those beside them that were under way.
    assert len(service.asked) <= 16
    service.down = set()
    export.run("export")


def test_a_refusal_stops_at_once_and_keeps_what_arrived(remote_export, service):
    export = remote_export()
    service.refused = {"scene2"}
    service.down = {"scene1"}
    begun = time.monotonic()
    with pytest.raises(CropflowError, match="refuses with status 403"):
        export.run("export")
    assert time.monotonic() - begun < 2
    assert len(service.asked) <= 8
    assert not (export.folder / "sentinel2.zarr").exists()


def test_a_scene_that_is_gone_is_dropped_with_its_reason_and_counted(remote_export, service):
    service.gone = {"scene3"}
    export = remote_export(minimum_complete=0.7)
    export.run("export")
    table = read_table(export.folder / "sentinel2.parquet").set_index("scene")
    assert table.loc["scene3", "reason"].tolist() == ["gone: status 404"] * 2
    assert table["kept"].sum() == 6
    told = read_json(export.folder / "sentinel2.json")
    assert (told["wanted"], told["arrived"], told["gone"]) == (8, 6, 2)
    assert told["months"]["2023-06"]["a"] == {"wanted": 4, "arrived": 3, "gone": {"scene3": "status 404"}}


def test_too_little_is_refused_and_what_arrived_is_kept(remote_export, service):
    service.gone = {"scene3"}
    export = remote_export()
    with pytest.raises(CropflowError, match=r"6 of 8 scenes of sentinel2 arrived \(75\.0 %.* at least 95 %.*scene3"):
        export.run("export")
    assert not (export.folder / "sentinel2.zarr").exists()
    service.forget()
    export.settings["minimum_complete"] = 0.7
    export.run("export")
    assert {request.split("scene=")[1][:6] for request in service.asked} == {"scene3"}


def test_the_duplicate_of_a_scene_that_is_gone_takes_its_place(remote_export, service):
    grid = service.pixels["scene3"]["grid"]
    layers = service.pixels["scene3"]["layers"]
    service.put("older", layers, grid, time="2023-06-03T10:40:21+00:00", baseline="04.00")
    service.gone = {"scene3"}
    export = remote_export()
    export.run("export")
    table = read_table(export.folder / "sentinel2.parquet").set_index("scene")
    assert table.loc["older", "kept"].all()
    assert read_json(export.folder / "sentinel2.json")["arrived"] == 8


def test_a_duplicate_of_an_empty_scene_is_fetched_though_no_plan_named_it(remote_export, service):
    pixels = service.pixels["scene3"]
    service.put("older", pixels["layers"], pixels["grid"], time="2023-06-03T10:40:21+00:00", baseline="04.00")
    empty = {name: 0 * values for name, values in pixels["layers"].items()}
    service.pixels["scene3"] = {**pixels, "layers": empty}
    export = remote_export()
    export.run("export")
    table = read_table(export.folder / "sentinel2.parquet").set_index("scene")
    assert table.loc["older", "kept"].all()
    assert table.loc["scene3", "reason"].str.startswith("empty").all()
    assert set(service.served.values()) == {1}


def test_where_the_duplicate_of_an_empty_scene_is_gone_both_are_told(remote_export, service):
    pixels = service.pixels["scene3"]
    service.put("older", pixels["layers"], pixels["grid"], time="2023-06-03T10:40:21+00:00", baseline="04.00")
    empty = {name: 0 * values for name, values in pixels["layers"].items()}
    service.pixels["scene3"] = {**pixels, "layers": empty}
    service.gone = {"older"}
    export = remote_export()
    export.run("export")
    table = read_table(export.folder / "sentinel2.parquet").set_index("scene")
    assert table.loc["older", "reason"].tolist() == ["gone: status 404"] * 2
    assert table.loc["scene3", "reason"].str.startswith("empty").all()


@pytest.fixture
def interrupted(remote_export, service):
    """An export whose last scene never came: all others lie in its ledger."""
    export = remote_export()
    service.down = {"scene4"}
    with pytest.raises(CropflowError, match="run again"):
        export.run("export")
    service.down = set()
    service.forget()
    return export


def test_a_damaged_unit_is_told_and_fetched_again(undisturbed, interrupted, service, caplog):
    file = sorted(interrupted.work.glob("*/*.npy"))[3]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    interrupted.run("export")
    assert interrupted.bytes == undisturbed
    assert service.asked.total() == 8 + 1
    assert "was damaged on disk and is fetched again" in caplog.text


def test_a_lost_unit_is_fetched_again(undisturbed, interrupted, service):
    sorted(interrupted.work.glob("*/*.npy"))[3].unlink()
    interrupted.run("export")
    assert interrupted.bytes == undisturbed
    assert service.asked.total() == 8 + 1


def test_a_line_that_a_power_cut_tore_costs_its_unit_alone(undisturbed, interrupted, service):
    journal = interrupted.work / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    service.down = {"scene4"}
    with pytest.raises(CropflowError, match="24 of 32"):
        interrupted.run("export")
    asked = [request for request in service.asked if "scene4" not in request]
    assert len(asked) == 1
    for line in journal.read_text().splitlines():
        if line.endswith("}"):
            json.loads(line)
    service.down = set()
    service.forget()
    interrupted.run("export")
    assert interrupted.bytes == undisturbed
    assert service.asked.total() == 8


def test_another_site_fetches_its_own_units_alone(interrupted, service):
    from cropflow.regions.grid import Grid

    site = interrupted.sites["a"]
    interrupted.sites["c"] = Grid(site.epsg, site.xmin + 400, site.ymax, 40, 40, 10.0)
    interrupted.run("export")
    assert service.asked.total() == 8 + interrupted.units // 2
    assert set(read_table(interrupted.folder / "sentinel2.parquet")["site"]) == {"a", "b", "c"}


def test_pixels_of_another_shape_are_one_line(remote_export, service, monkeypatch):
    export = remote_export()
    whole = service.module.PartsSource.read

    def narrow(self, scene, grid, layers):
        found = whole(self, scene, grid, layers)
        return {name: type(one)(one.values[:, 1:], one.bytes, False) for name, one in found.items()}

    monkeypatch.setattr(service.module.PartsSource, "read", narrow)
    with pytest.raises(CropflowError, match=r"came as uint16 \(32, 39\) at site .; expected uint16 \(32, 40\)"):
        export.run("export")


def test_two_exports_do_not_share_a_ledger(interrupted):
    from cropflow.imagery.ledger import Ledger

    with Ledger(interrupted.work, "stac"), pytest.raises(CropflowError, match="being written by another export"):
        interrupted.run("export")


def test_each_tenth_is_told_with_the_pace_and_the_rest(remote_export, caplog):
    caplog.set_level("INFO")
    remote_export().run("export")
    assert caplog.text.count("minutes to go") == 9
    assert "32 requests: 32 fetched now" in caplog.text
