"""Scenarios of an export from a service that fails; every source whose service is a fixture's parameter runs them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.remote import GoneError, TooLargeError, TransientError
from cropflow.files.tables import read_table


def blue(day):
    """Stored values of a scene, as the service's fixture draws them."""
    return np.random.default_rng(day).integers(1200, 1500, (40, 120)).astype(np.uint16)


@dataclass(frozen=True)
class Undisturbed:
    """What an export without faults writes, and how often it asks."""

    bytes: tuple[str, str, str]
    requests: int


@pytest.fixture
def undisturbed(remote_export, service):
    plain = remote_export("plain")
    service.forget()
    plain.run("export")
    assert set(service.fetched.values()) == {1}
    assert len(service.fetched) == plain.units
    assert not plain.work.exists()
    seen = Undisturbed(plain.bytes, service.requests)
    service.forget()
    return seen


def catalogue(export):
    return read_table(export.folder / "sentinel2.parquet").set_index("scene")


def scenes_of(service):
    """Scenes of which anything was fetched."""
    return {part.split(" ")[0] for part in service.fetched}


def test_with_a_fifth_of_the_requests_failing_the_bytes_are_the_same_and_nothing_is_fetched_twice(
    undisturbed, remote_export, service
):
    disturbed = remote_export("disturbed")
    service.forget()
    service.behave(faults=0.2)
    disturbed.run("export")
    assert disturbed.bytes == undisturbed.bytes
    assert set(service.fetched.values()) == {1}
    assert len(service.fetched) == disturbed.units
    assert 1.05 * undisturbed.requests < service.requests < 1.5 * undisturbed.requests


def test_a_unit_that_was_fetched_is_not_asked_for_again_in_another_run(undisturbed, remote_export, service):
    export = remote_export()
    service.behave(down=("scene4",))
    mine = 2 * service.units
    with pytest.raises(
        CropflowError, match=rf"{3 * mine} of {4 * mine} .* {mine} did not come, .* again to go on"
    ) as told:
        export.run("export")
    assert f"{service.scenes['scene4']} at site a" in str(told.value)
    assert not (export.folder / "sentinel2.zarr").exists()
    service.behave()
    service.forget()
    export.run("export")
    assert export.bytes == undisturbed.bytes
    assert service.fetched.total() == mine
    assert scenes_of(service) == {service.scenes["scene4"]}


def test_a_service_that_is_down_is_not_asked_for_everything(remote_export, service):
    export = remote_export()
    service.behave(down=tuple(service.scenes))
    service.forget()
    with pytest.raises(CropflowError, match=f"0 of {export.units} requests are done; {export.units} did not come"):
        export.run("export")
    # Three scenes failed, and those beside them that were under way.
    assert service.requests <= 16 * 8
    service.behave()
    export.run("export")


def test_a_refusal_stops_at_once(remote_export, service):
    export = remote_export()
    service.behave(refused=("scene2",), down=("scene1",))
    service.forget()
    begun = time.monotonic()
    with pytest.raises(CropflowError, match=r"40[13]"):
        export.run("export")
    assert time.monotonic() - begun < 3
    assert service.requests <= 8 * 8
    assert not (export.folder / "sentinel2.zarr").exists()


def test_a_scene_that_is_gone_is_dropped_with_its_reason_and_counted(remote_export, service):
    service.behave(gone=("scene3",))
    export = remote_export(minimum_complete=0.7)
    export.run("export")
    gone = service.scenes["scene3"]
    table = catalogue(export)
    assert table.loc[gone, "reason"].str.startswith("gone: ").tolist() == [True, True]
    assert table["kept"].sum() == 6
    told = read_json(export.folder / "sentinel2.json")
    assert (told["wanted"], told["arrived"], told["gone"]) == (8, 6, 2)
    month = told["months"]["2023-06"]["a"]
    assert (month["wanted"], month["arrived"], list(month["gone"])) == (4, 3, [gone])


def test_too_little_is_refused_and_what_arrived_is_kept(remote_export, service):
    service.behave(gone=("scene3",))
    export = remote_export()
    with pytest.raises(CropflowError, match=r"6 of 8 scenes of sentinel2 arrived \(75\.0 %.* at least 95 %.* is gone"):
        export.run("export")
    assert not (export.folder / "sentinel2.zarr").exists()
    service.forget()
    export.settings["minimum_complete"] = 0.7
    export.run("export")
    assert service.fetched.total() == 0


@pytest.fixture
def older(service):
    """A duplicate of the third scene, of an older baseline."""
    service.put("older", blue(3), 3, "04.00")
    return service.scenes["older"]


def test_the_duplicate_of_a_scene_that_is_gone_takes_its_place(remote_export, service, older):
    service.behave(gone=("scene3",))
    export = remote_export()
    export.run("export")
    assert catalogue(export).loc[older, "kept"].all()
    assert read_json(export.folder / "sentinel2.json")["arrived"] == 8


def test_a_duplicate_of_an_empty_scene_is_fetched_though_no_plan_named_it(remote_export, service, older):
    service.put("scene3", 0 * blue(3), 3, "05.09")
    export = remote_export()
    export.run("export")
    table = catalogue(export)
    assert table.loc[older, "kept"].all()
    assert table.loc[service.scenes["scene3"], "reason"].str.startswith("empty").all()
    assert set(service.fetched.values()) == {1}


def test_where_the_duplicate_of_an_empty_scene_is_gone_both_are_told(remote_export, service, older):
    service.put("scene3", 0 * blue(3), 3, "05.09")
    service.behave(gone=("older",))
    export = remote_export()
    export.run("export")
    table = catalogue(export)
    assert table.loc[older, "reason"].str.startswith("gone: ").tolist() == [True, True]
    assert table.loc[service.scenes["scene3"], "reason"].str.startswith("empty").all()


@pytest.fixture
def interrupted(remote_export, service):
    """An export whose last scene never came: all others lie in its ledger."""
    export = remote_export()
    service.behave(down=("scene4",))
    with pytest.raises(CropflowError, match="run again"):
        export.run("export")
    service.behave()
    service.forget()
    return export


def test_a_damaged_unit_is_told_and_fetched_again(undisturbed, interrupted, service, caplog):
    file = sorted(interrupted.work.glob("*/*.npy"))[3]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    interrupted.run("export")
    assert interrupted.bytes == undisturbed.bytes
    assert service.fetched.total() == 2 * service.units + 1
    assert "was damaged on disk and is fetched again" in caplog.text


def test_a_lost_unit_is_fetched_again(undisturbed, interrupted, service):
    sorted(interrupted.work.glob("*/*.npy"))[3].unlink()
    interrupted.run("export")
    assert interrupted.bytes == undisturbed.bytes
    assert service.fetched.total() == 2 * service.units + 1


def test_a_line_that_a_power_cut_tore_costs_its_unit_alone(undisturbed, interrupted, service):
    journal = interrupted.work / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    service.behave(down=("scene4",))
    with pytest.raises(CropflowError, match=f"{6 * service.units} of {8 * service.units}"):
        interrupted.run("export")
    assert service.fetched.total() == 1
    for line in journal.read_text().splitlines():
        if line.endswith("}"):
            json.loads(line)
    service.behave()
    service.forget()
    interrupted.run("export")
    assert interrupted.bytes == undisturbed.bytes
    assert service.fetched.total() == 2 * service.units


def test_another_site_fetches_its_own_units_alone(interrupted, service):
    from cropflow.regions.grid import Grid

    site = interrupted.sites["a"]
    interrupted.sites["c"] = Grid(site.epsg, site.xmin + 400, site.ymax, 40, 40, 10.0)
    interrupted.run("export")
    assert service.fetched.total() == 2 * service.units + interrupted.units // 2
    assert set(read_table(interrupted.folder / "sentinel2.parquet")["site"]) == {"a", "b", "c"}


def test_pixels_of_another_shape_are_one_line(remote_export, service):
    export = remote_export()
    service.spoil = lambda layers: {
        name: type(one)(one.values[:, 1:], one.bytes, False) for name, one in layers.items()
    }
    with pytest.raises(CropflowError, match=r"came as uint16 \(\d+, 39\) at site .; expected uint16 \(\d+, 40\)"):
        export.run("export")


def test_what_is_too_much_for_the_service_is_one_line(remote_export, service):
    def refuse(layers):
        raise TooLargeError("memory limit")

    service.spoil = refuse
    with pytest.raises(CropflowError, match=r"is too much for the service, .* \(memory limit\).* a smaller site"):
        remote_export().run("export")


@pytest.mark.parametrize("error", [TransientError("status 503"), GoneError("status 404")])
def test_a_search_that_does_not_succeed_is_one_line(remote_export, monkeypatch, error):
    export = remote_export()

    def fail(*_):
        raise error

    monkeypatch.setattr("cropflow.imagery.opening.open_source", lambda *_: SimpleNamespace(find=fail))
    with pytest.raises(CropflowError, match=r"scenes of sentinel2 did not succeed \(status ...\).*Run again"):
        export.run("find")


def test_two_exports_do_not_share_a_ledger(interrupted):
    from cropflow.imagery.fetching.ledger import Ledger

    with Ledger(interrupted.work, "stac"), pytest.raises(CropflowError, match="being written by another export"):
        interrupted.run("export")


def test_each_tenth_is_told_with_the_pace_and_the_rest(remote_export, caplog):
    caplog.set_level("INFO")
    export = remote_export()
    export.run("export")
    assert caplog.text.count("minutes to go") == 9
    assert f"{export.units} requests: {export.units} fetched now" in caplog.text
