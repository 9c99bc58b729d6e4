"""Sentinel-1 from records to a store: what is taken, what is written, what is refused."""

from __future__ import annotations

import datetime
import hashlib
import json

import numpy as np
import pyproj
import pytest
import zarr

from cropflow.errors import CropflowError
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.local import LocalSource
from cropflow.imagery.sentinel1.export import export_radar
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint

XMIN, YMAX = 500_000.0, 4_900_000.0
NODATA = -32768
MONTH = (datetime.date(2023, 6, 1), datetime.date(2023, 6, 30))


@pytest.fixture
def grid():
    return Grid(32631, XMIN, YMAX, 8, 10, 10.0)


class Archive:
    """Item collection of Sentinel-1 with one scene after the other."""

    def __init__(self, folder, raster):
        self.folder, self.raster, self.features = folder, raster, []

    def add(self, name, vv, vh=None, *, time="2023-06-05T17:32:36Z", orbit=88, roles=("sigma0",), **more):
        vv = np.asarray(vv, np.float32)
        layers = {"vv": vv, "vh": vv - 7 if vh is None else np.asarray(vh, np.float32)} | more.get("extra", {})
        assets = {}
        for layer, values in layers.items():
            file = f"{more.get('file', name)}/{layer}.tif"
            self.raster(self.folder / file, values.astype(np.float32), XMIN, YMAX, 20.0)
            assets[layer] = {"href": f"./{file}", "unit": "dB", "roles": ["data", *roles]}
        xmin, ymin, xmax, ymax = XMIN, YMAX - 20 * vv.shape[0], XMIN + 20 * vv.shape[1], YMAX
        to_geographic = pyproj.Transformer.from_crs(32631, 4326, always_xy=True)
        properties = {
            "datetime": time,
            "platform": "sentinel-1a",
            "sat:orbit_state": "ascending",
            "sat:relative_orbit": orbit,
        }
        if orbit is None:
            del properties["sat:relative_orbit"]
        self.features.append(
            {
                "id": name,
                "bbox": list(more.get("bounds") or to_geographic.transform_bounds(xmin, ymin, xmax, ymax)),
                "properties": properties,
                "assets": assets,
            }
        )

    def export(self, grids, *, assumed=None, relative_orbits=(), workers=1):
        (self.folder / "sentinel-1-grd.items.json").write_text(
            json.dumps({"type": "FeatureCollection", "features": self.features})
        )
        source = LocalSource(self.folder, "items", assumed)
        found = source.find("sentinel1_ascending", grids, MONTH)
        decisions = {
            name: judge_scenes(found, footprint(grid), MONTH, relative_orbits=relative_orbits)
            for name, grid in grids.items()
        }
        store = zarr.open_group(store=zarr.storage.MemoryStore(), mode="w")
        return export_radar(store, grids, decisions, source.read, workers), store


@pytest.fixture
def archive(tmp_path, raster):
    return Archive(tmp_path / "archive", raster)


def field(level=-10.0):
    return np.full((4, 5), level)


def test_a_store_holds_hundredths_of_decibels_with_orbits_and_radiometry(archive, grid):
    values = field()
    values[0, 0] = np.nan
    archive.add("late", field(-9), time="2023-06-17T17:40:36Z", orbit=15)
    archive.add("early", values)
    table, store = archive.export({"one": grid})
    group = store["one"]
    assert group["backscatter"].shape == (2, 2, 8, 10)
    assert group["backscatter"].dtype == np.int16
    expected = np.full((8, 10), -1000)
    expected[:2, :2] = NODATA
    np.testing.assert_array_equal(group["backscatter"][0, 0], expected)
    np.testing.assert_array_equal(group["backscatter"][1], np.stack([np.full((8, 10), -900), np.full((8, 10), -1600)]))
    assert "angle" not in group
    attributes = group.attrs.asdict()
    assert {key: attributes[key] for key in ("bands", "scenes", "times", "relative_orbits", "radiometry")} == {
        "bands": ["VV", "VH"],
        "scenes": ["early", "late"],
        "times": ["2023-06-05T17:32:36Z", "2023-06-17T17:40:36Z"],
        "relative_orbits": [88, 15],
        "radiometry": "sigma0",
    }
    assert attributes["direction"] == "ascending"
    assert table["sensor"].tolist() == ["sentinel1_ascending"] * 2
    assert table["radiometry"].tolist() == ["sigma0"] * 2
    assert table["valid_share"].tolist() == [76 / 80, 1.0]
    assert table["kept"].all()
    stored = group["backscatter"][0].astype("<i2").tobytes()
    assert table["sha256"][0] == hashlib.sha256(stored).hexdigest()


def test_the_angle_is_written_where_a_scene_has_one(archive, grid):
    archive.add("with", field(), extra={"angle": field(38.25)})
    archive.add("without", field(), time="2023-06-17T17:32:36Z")
    _, store = archive.export({"one": grid}, workers=2)
    assert store["one/angle"].dtype == np.uint16
    np.testing.assert_array_equal(store["one/angle"][0], np.full((8, 10), 3825))
    np.testing.assert_array_equal(store["one/angle"][1], np.zeros((8, 10)))


def test_what_is_masked_is_counted_in_the_catalogue(archive, grid):
    values = field()
    values[:, 0] = np.nan
    values[1, 1] = -41  # noise beside the edge
    values[2, 3] = -60  # a power of zero
    archive.add("edge", values, vh=values - 1)
    table, store = archive.export({"one": grid})
    assert table[["border", "outside"]].iloc[0].tolist() == [4, 4]
    assert (store["one/backscatter"][0, 0] == NODATA).sum() == 16 + 4 + 4
    assert table["valid_share"][0] == 56 / 80


def test_every_drop_has_its_reason_and_the_rows_add_up(archive, grid):
    archive.add("kept", field())
    archive.add("again", field(), file="kept")
    archive.add("early", field(), time="2023-05-31T17:32:36Z")
    archive.add("away", field(), time="2023-06-06T17:32:36Z", bounds=(9.0, 43.0, 9.1, 43.1))
    archive.add("other", field(), time="2023-06-07T17:40:36Z", orbit=15)
    archive.add("unknown", field(), time="2023-06-08T17:40:36Z", orbit=None)
    archive.add("nothing", field(np.nan), time="2023-06-11T17:32:36Z")
    archive.add("overflow", field(1.5), vh=field(0.5), time="2023-06-23T17:32:36Z")
    table, store = archive.export({"one": grid}, relative_orbits=(88, 161))
    told = dict(zip(table["scene"], table["reason"], strict=True))
    assert told.pop("overflow").startswith("range: VH is 0.5 dB in the median")
    assert told == {
        "kept": "",
        "again": "duplicate: of kept",
        "early": "season: outside 2023-06-01 to 2023-06-30",
        "away": "place: does not touch the site",
        "other": "orbit: relative orbit 15, expected 88, 161",
        "unknown": "orbit: relative orbit unknown, expected 88, 161",
        "nothing": "empty: no valid pixel inside the site",
    }
    assert store["one"].attrs["scenes"] == table["scene"][table["kept"]].tolist()
    assert store["one/backscatter"].shape[0] == 1
    assert len(table) == 8


def test_a_duplicate_takes_the_place_of_a_scene_without_pixels(archive, grid):
    archive.add("a", field(-11))
    archive.add("b", field(np.nan))
    table, store = archive.export({"one": grid})
    # The later name is preferred, but holds nothing.
    assert dict(zip(table["scene"], table["kept"], strict=True)) == {"a": True, "b": False}
    assert store["one/backscatter"][0, 0, 0, 0] == -1100
    assert table.set_index("scene")["reason"]["b"].startswith("empty")


def test_slices_of_a_pass_are_both_kept(archive, grid):
    to_geographic = pyproj.Transformer.from_crs(32631, 4326, always_xy=True)
    north = to_geographic.transform_bounds(XMIN, YMAX - 40, XMIN + 100, YMAX)
    south = to_geographic.transform_bounds(XMIN, YMAX - 80, XMIN + 100, YMAX - 40)
    archive.add("first", field(), time="2023-06-05T17:32:36Z", bounds=north)
    archive.add("second", field(), time="2023-06-05T17:32:36Z", bounds=south)
    table, _ = archive.export({"one": grid})
    assert table["kept"].tolist() == [True, True]


def test_sigma0_and_gamma0_never_go_into_one_store(archive, grid):
    archive.add("s", field())
    archive.add("g", field(), time="2023-06-17T17:40:36Z", roles=("gamma0",), orbit=15)
    with pytest.raises(CropflowError) as error:
        archive.export({"one": grid})
    assert "2 scenes mix radiometries: 1 of gamma0 such as g, 1 of sigma0 such as s" in str(error.value)
    assert "imagery.<name>.relative_orbits" in str(error.value)
    assert "imagery.<name>.assume_radiometry" in str(error.value)
    table, _ = archive.export({"one": grid}, relative_orbits=(15,))
    assert table.set_index("scene")["radiometry"]["g"] == "gamma0"


def test_a_radiometry_that_nobody_tells_is_asked_for(archive, grid):
    archive.add("s", field(), roles=())
    with pytest.raises(CropflowError, match=r"Scene s does not tell its radiometry \(1 of 1 scenes\).*assume_radiom"):
        archive.export({"one": grid})
    _, store = archive.export({"one": grid}, assumed="sigma0")
    assert store["one"].attrs["radiometry"] == "sigma0"


def test_no_scene_at_all_is_one_line_with_the_reasons(archive, grid):
    archive.add("a", field(), orbit=15)
    archive.add("b", field(np.nan), time="2023-06-17T17:32:36Z")
    with pytest.raises(CropflowError, match=r"No scene is left of 2 found for 1 sites \(dropped: empty 1, orbit 1\)"):
        archive.export({"one": grid}, relative_orbits=(88,))


def test_a_site_without_scenes_beside_one_with_scenes_is_empty(archive, grid):
    archive.add("a", field())
    far = Grid(32631, XMIN + 50_000, YMAX, 3, 3, 10.0)
    table, store = archive.export({"near": grid, "far": far})
    assert store["far/backscatter"].shape == (0, 2, 3, 3)
    assert store["far"].attrs["relative_orbits"] == []
    assert store["far"].attrs["radiometry"] == "sigma0"
    assert table["reason"].tolist() == ["place: does not touch the site", ""]


def test_an_archive_of_a_simulation_is_exported_by_direction(tmp_path):
    from cropflow.config.sections import Season
    from cropflow.config.simulation import Landscape, Simulation
    from cropflow.simulation.archive import radar_truth, write_archive
    from cropflow.simulation.landscape import make_landscape

    seasons = {"s": Season(start=datetime.date(2023, 3, 1), end=datetime.date(2023, 5, 31))}
    square = Landscape(centre=(2.6, 49.2), side_km=0.32)
    simulation = Simulation(seed=6, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))
    land = make_landscape("a", square, simulation)
    write_archive(tmp_path, [land], simulation, seasons)
    source = LocalSource(tmp_path, "items")
    window = (datetime.date(2023, 3, 1), datetime.date(2023, 5, 31))
    grids = {"a": land.grid}
    taken, dropped = 0, []
    for sensor in ("sentinel1_ascending", "sentinel1_descending"):
        found = source.find(sensor, grids, window)
        decisions = {"a": judge_scenes(found, footprint(land.grid), window)}
        store = zarr.open_group(store=zarr.storage.MemoryStore(), mode="w")
        table = export_radar(store, grids, decisions, source.read)
        attributes = store["a"].attrs.asdict()
        # The records of the simulation tell all that is needed.
        assert attributes["radiometry"] == "sigma0"
        assert f"sentinel1_{attributes['direction']}" == sensor
        assert len(set(attributes["relative_orbits"])) == 1 and attributes["relative_orbits"][0] > 0
        taken += int(table["kept"].sum())
        dropped += table["scene"][~table["kept"]].tolist()
    truth = radar_truth([land], simulation, seasons)["a/s"]
    assert dropped == truth["int16_overflow"]
    features = json.loads((tmp_path / "sentinel-1-grd.items.json").read_text())["features"]
    assert taken + len(dropped) == len(features)
