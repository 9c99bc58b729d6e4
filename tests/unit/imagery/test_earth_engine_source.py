"""Earth Engine as a source: the pixels of local files, in few requests, whatever goes wrong on the way."""

from __future__ import annotations

import datetime
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyproj
import pytest
import rasterio
import zarr
from earth_engine_archive import SCORE_OF_CLASS, Archive
from earth_engine_faults import KINDS, Faults

from cropflow.config.imagery import SENTINEL2_BANDS, Imagery
from cropflow.errors import CropflowError
from cropflow.files import earth_engine_transport as transport
from cropflow.files import remote
from cropflow.files.earth_engine import pixel_request
from cropflow.files.earth_engine_calls import called
from cropflow.files.remote import GoneError, Limits, TooLargeError, TransientError
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.earth_engine.pixels import PixelReader
from cropflow.imagery.earth_engine.source import SENTINEL1, SENTINEL2, EarthEngineSource
from cropflow.imagery.export import export_scenes
from cropflow.imagery.local import LocalSource
from cropflow.imagery.names import has_offset
from cropflow.imagery.offsets import harmonise
from cropflow.imagery.scenes import SCL
from cropflow.imagery.sentinel1.export import export_radar
from cropflow.imagery.sentinel2 import read_scene
from cropflow.regions.grid import Grid, snapped_grid
from cropflow.regions.sites import footprint

START, END = datetime.date(2023, 4, 1), datetime.date(2023, 6, 15)
WINDOW = (START, END)
LAYERS = (*SENTINEL2_BANDS, SCL)


@pytest.fixture(scope="module")
def stored(simulated):
    """The archive as the stand-in serves it; opened once, since pixels are kept."""
    return Archive(simulated[0])


@pytest.fixture
def served(earth_engine, stored):
    """The stand-in with the archive."""
    stored.gone.clear()
    earth_engine.serve_archive(stored)
    return earth_engine


def source(at_once=8, per_second=1000.0, **settings):
    return EarthEngineSource(Imagery(source="earth_engine", **settings), Limits(at_once, per_second))


def first(grids, sensor="sentinel2", **settings):
    """A source, and its clearest scene over the first landscape."""
    opened = source(**settings)
    scenes = opened.find(sensor, {"a": grids["a"]}, WINDOW)
    return opened, min(scenes, key=lambda scene: (scene.cloud_percent, scene.time))


def same(one, other):
    """The local record of a scene of Earth Engine."""
    return (one.time, one.tile, one.baseline) == (other.time, other.tile, other.baseline)


def test_the_scenes_are_those_of_the_local_archive(served, simulated):
    folder, grids = simulated
    found = source().find("sentinel2", {"a": grids["a"]}, WINDOW)
    local = [scene for scene in LocalSource(folder, "items").find("sentinel2", grids, WINDOW)]
    local = [scene for scene in local if scene.extent.intersects(footprint(grids["a"]))]
    assert len(found) == len(local) > 10
    for scene in found:
        (twin,) = [one for one in local if same(one, scene)]
        assert (scene.platform, scene.relative_orbit) == (twin.platform, twin.relative_orbit)
        assert scene.cloud_percent == pytest.approx(twin.cloud_percent)
        assert set(scene.layers) == set(LAYERS)
        assert scene.radiometry == "harmonised"
        assert scene.source == f"{SENTINEL2}/{scene.id}"
        assert scene.extent.equals_exact(twin.extent, 1e-9)


def test_the_export_gives_the_pixels_offsets_aside_and_counts_of_local_files(served, simulated, tmp_path):
    """The same sites through both sources, every scene taken, all bands and the SCL."""
    folder, grids = simulated
    stores, rows = [], []
    for number, opened in enumerate((LocalSource(folder, "items"), source())):
        scenes = opened.find("sentinel2", grids, WINDOW)
        decisions = {name: judge_scenes(scenes, footprint(grid), WINDOW, 100.0) for name, grid in grids.items()}
        store = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="w")
        rows.append(export_scenes(store, grids, decisions, SENTINEL2_BANDS, None, opened.read, workers=2))
        stores.append(store)
    local, remote = (table[table["kept"]].reset_index(drop=True) for table in rows)
    assert len(local) == len(remote) > 20
    for column in ("site", "time", "baseline", "valid_share"):
        assert local[column].tolist() == remote[column].tolist(), column
    assert set(local["offset"]) == {0, -1000}
    assert set(remote["offset"]) == {0}
    assert remote["offset_reason"].str.startswith("harmonised by the provider, baseline ").all()
    unseen = 0
    for name in grids:
        one, other = (store[name]["reflectance"][:] for store in stores)
        classes = stores[0][name]["scl"][:]
        assert np.array_equal(stores[1][name]["scl"][:], classes)
        # Where the SCL knows nothing, a value that was clipped to 0 cannot be told from nodata; no composite uses it.
        differing = one != other
        assert not (differing & (classes > 0)[:, None]).any()
        assert set(one[differing]) <= {1}
        unseen += int(differing.sum())
    assert local["clipped"].sum() - unseen == remote["clipped"].sum() > 0


def test_an_assumed_baseline_restores_what_was_clipped_as_a_stated_one_does(served, simulated, tmp_path):
    _, grids = simulated
    opened, sites = source(), {"a": grids["a"]}
    newer = {scene.time: scene for scene in opened.find("sentinel2", sites, WINDOW) if has_offset(scene.baseline)}
    tables = []
    for assumed in (None, "05.09"):
        scenes = [replace(scene, baseline="") if assumed else scene for scene in newer.values()]
        decisions = {"a": judge_scenes(scenes, footprint(grids["a"]), WINDOW, 100.0)}
        store = zarr.open_group(str(tmp_path / f"{assumed}.zarr"), mode="w")
        tables.append(export_scenes(store, sites, decisions, SENTINEL2_BANDS, assumed, opened.read))
    stated, assumed = tables
    assert stated["clipped"].sum() > 0
    assert assumed["clipped"].tolist() == stated["clipped"].tolist()
    assert assumed["sha256"].tolist() == stated["sha256"].tolist()


def test_the_export_of_radar_gives_the_pixels_of_local_files(served, simulated, tmp_path):
    folder, grids = simulated
    stores, rows = [], []
    for number, opened in enumerate((LocalSource(folder, "items", "sigma0"), source())):
        scenes = opened.find("sentinel1_descending", grids, WINDOW)
        decisions = {name: judge_scenes(scenes, footprint(grid), WINDOW, 100.0) for name, grid in grids.items()}
        store = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="w")
        rows.append(export_radar(store, grids, decisions, opened.read, workers=2))
        stores.append(store)
    local, remote = (table[table["kept"]].reset_index(drop=True) for table in rows)
    assert len(local) == len(remote) > 8
    for column in ("scene", "site", "time", "platform", "relative_orbit", "valid_share", "border", "outside"):
        assert local[column].tolist() == remote[column].tolist(), column
    for name in grids:
        one, other = (store[name] for store in stores)
        assert np.array_equal(one["backscatter"][:], other["backscatter"][:])
        assert (one["backscatter"][:] > -32768).any()
        assert one.attrs["relative_orbits"] == other.attrs["relative_orbits"]
        assert other["angle"].shape == (len(other.attrs["scenes"]), *grids[name].shape)


def test_the_export_stores_cloud_scores_beside_the_classes(served, simulated, tmp_path):
    _, grids = simulated
    opened = source(cloud_score=True)
    scenes = opened.find("sentinel2", {"b": grids["b"]}, WINDOW)
    served.archive.gone.add(f"GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED/{scenes[1].id}")
    decisions = {"b": judge_scenes(scenes, footprint(grids["b"]), WINDOW, 100.0)}
    store = zarr.open_group(str(tmp_path / "s.zarr"), mode="w")
    export_scenes(store, {"b": grids["b"]}, decisions, ("B02",), None, opened.read, cloud_score=True)
    scores, classes = store["b"]["cloud_score"][:], store["b"]["scl"][:]
    position = store["b"].attrs["scenes"].index(scenes[1].id)
    assert (scores[position] == 255).all()
    others = np.delete(np.arange(len(scores)), position)
    known = classes[others] > 0
    assert np.array_equal(scores[others][known], SCORE_OF_CLASS[classes[others][known]])


@pytest.mark.parametrize(
    ("row", "column", "height", "width", "pixel_m"),
    [(0, 0, 60, 60, 10), (7, 3, 21, 30, 10), (-9, -5, 40, 40, 10), (30, 30, 77, 51, 10), (0, 0, 30, 30, 20)],
)
def test_any_part_of_the_ground_is_the_same_as_from_files(served, simulated, row, column, height, width, pixel_m):
    folder, grids = simulated
    whole = grids["a"]
    corner = whole.window(0, 0, 1, 1)
    xmin, ymax = corner.xmin + 10 * column, corner.ymax - 10 * row
    grid = snapped_grid((xmin, ymax - pixel_m * height, xmin + pixel_m * width, ymax), whole.epsg, pixel_m)
    opened, scene = first(grids)
    (twin,) = [one for one in LocalSource(folder, "items").find("sentinel2", grids, WINDOW) if same(one, scene)]
    theirs = read_scene(LocalSource(folder, "items").read, twin, grid, SENTINEL2_BANDS)
    ours = read_scene(opened.read, scene, grid, SENTINEL2_BANDS)
    assert np.array_equal(ours.scl, theirs.scl)
    assert ours.resampled == theirs.resampled == ()
    known = np.broadcast_to(theirs.scl > 0, theirs.reflectance.shape)
    expected = harmonise(theirs.reflectance, -1000 if has_offset(twin.baseline) else 0)[0]
    if pixel_m == 10:
        assert np.array_equal(ours.reflectance[known], expected[known])
    else:
        # Values that were clipped to 0 before are missing in the mean of four.
        assert (np.abs(ours.reflectance[known] - expected[known].astype(int)) <= 1).mean() > 0.99


def test_a_site_of_another_zone_is_read_by_nearest_neighbour_as_files_are(served, simulated):
    folder, grids = simulated
    to_next = pyproj.Transformer.from_crs(grids["a"].epsg, 32632, always_xy=True)
    bounds = to_next.transform_bounds(*grids["a"].bounds)
    grid = snapped_grid(bounds, 32632, 10.0)
    opened, scene = first(grids)
    (twin,) = [one for one in LocalSource(folder, "items").find("sentinel2", grids, WINDOW) if same(one, scene)]
    theirs = read_scene(LocalSource(folder, "items").read, twin, grid, SENTINEL2_BANDS)
    ours = read_scene(opened.read, scene, grid, SENTINEL2_BANDS)
    assert set(ours.resampled) == set(theirs.resampled) == set(LAYERS)
    expected = harmonise(theirs.reflectance, -1000 if has_offset(twin.baseline) else 0)[0]
    assert (ours.reflectance == expected).mean() > 0.999
    assert 0 < ours.valid < grid.height * grid.width


def test_parts_put_together_are_the_whole(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    grid = grids["a"]
    whole = opened.read(scene, grid, LAYERS)
    for request in opened.requests(scene, grid, LAYERS):
        size = sum(layer.bytes for layer in opened.read(scene, grid, request.layers).values())
        # A grid of 20 m that covers the part may be a row and a column larger.
        assert request.bytes <= size < 1.05 * request.bytes
    for top, left in ((0, 0), (0, 31), (29, 0), (29, 31)):
        part = grid.window(top, left, 31, 29)
        read = opened.read(scene, part, LAYERS)
        for name in LAYERS:
            assert np.array_equal(read[name].values, whole[name].values[top : top + 31, left : left + 29]), name


def test_a_scene_takes_two_requests_and_half_of_the_bytes(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    grid = grids["a"]
    ten, twenty = opened.requests(scene, grid, LAYERS)
    assert ten.layers == ("B02", "B03", "B04", "B08")
    assert twenty.layers == ("B05", "B06", "B07", "B8A", "B11", "B12", "SCL")
    assert ten.bytes == 4 * 2 * 92 * 92
    assert twenty.bytes == 13 * 46 * 46
    served.grids.clear()
    layers = opened.read(scene, grid, LAYERS)
    assert len(served.grids) == 2
    assert [asked["affineTransform"]["scaleX"] for asked in served.grids] == [10, 20]
    assert all(asked["crsCode"] == f"EPSG:{grid.epsg}" for asked in served.grids)
    assert sum(layer.bytes for layer in layers.values()) == pytest.approx(ten.bytes + twenty.bytes, rel=0.02)


def test_as_many_requests_are_made_as_planned(served, simulated, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.earth_engine.requests.LARGEST_BYTES", 12_000)
    _, grids = simulated
    opened, scene = first(grids)
    planned = opened.requests(scene, grids["a"], LAYERS)
    assert len(planned) > 4
    served.grids.clear()
    layers = opened.read(scene, grids["a"], LAYERS)
    assert len(served.grids) == len(planned)
    monkeypatch.undo()
    whole = opened.read(scene, grids["a"], LAYERS)
    assert all(np.array_equal(layers[name].values, whole[name].values) for name in LAYERS)


def test_lists_come_page_by_page_and_far_off_sites_apart(served, simulated):
    _, grids = simulated
    everything = source().find("sentinel2", grids, WINDOW)
    lists = [path for path in served.asked if path.endswith(":listAssets")]
    assert len(lists) == 2
    served.page, served.asked = 4, []
    assert source().find("sentinel2", grids, WINDOW) == everything
    pages = [path for path in served.asked if path.endswith(":listAssets")]
    by_site = [sum(one.extent.intersects(footprint(grid)) for one in everything) for grid in grids.values()]
    assert len(pages) == sum(-(-count // 4) for count in by_site)


def test_the_days_of_the_window_are_both_in_it(served, simulated):
    _, grids = simulated
    everything = source().find("sentinel2", grids, WINDOW)
    day = everything[3].time.date()
    found = source().find("sentinel2", grids, (day, day))
    assert found == [scene for scene in everything if scene.time.date() == day] != []


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_radar_comes_by_direction_in_decibel_as_stored(served, simulated, direction):
    folder, grids = simulated
    opened = source()
    scenes = opened.find(f"sentinel1_{direction}", {"a": grids["a"]}, WINDOW)
    assert len(scenes) > 3
    grid = grids["a"].window(5, 9, 30, 20)
    for scene in scenes[:4]:
        assert (scene.sensor, scene.radiometry, scene.unit) == (f"sentinel1_{direction}", "sigma0", "dB")
        assert scene.platform in ("sentinel-1a", "sentinel-1b")
        assert scene.source == f"{SENTINEL1}/{scene.id}"
        assert [request.layers for request in opened.requests(scene, grid, ("VV", "VH", "angle"))] == [
            ("VV", "VH", "angle")
        ]
        layers = opened.read(scene, grid, ("VV", "VH", "angle"))
        for name in ("VV", "VH"):
            with rasterio.open(folder / "sentinel-1-grd" / scene.id / f"{name.lower()}.tif") as raster:
                expected = raster.read(1)[5:35, 9:29]
            assert layers[name].values.dtype == np.float32
            assert np.array_equal(layers[name].values, expected, equal_nan=True)
        angle = layers["angle"].values
        assert np.array_equal(np.isnan(angle), np.isnan(layers["VV"].values))
        assert 20 < np.nanmin(angle) <= np.nanmax(angle) < 50


def test_linear_power_gives_the_backscatter_of_its_decibels(served, simulated, tmp_path):
    folder, grids = simulated
    there, float_collection = Archive(folder), "COPERNICUS/S1_GRD_FLOAT"
    served.serve_archive(there)
    for name, image in list(there.images.items()):
        if name.startswith(f"{SENTINEL1}/"):
            bands = {
                band: replace(one, values=10 ** (one.values / 10)) if band != "angle" else one
                for band, one in there.load(name).items()
            }
            there.put(image | {"id": name.replace(SENTINEL1, float_collection)}, bands)
    grid = snapped_grid(grids["a"].bounds, grids["a"].epsg, 20.0)
    stores = []
    for collection in (SENTINEL1, float_collection):
        opened = source(collections={"sentinel1": collection})
        scenes = opened.find("sentinel1_ascending", {"a": grid}, WINDOW)
        assert {scene.radiometry for scene in scenes} == {"sigma0"}
        decisions = {"a": judge_scenes(scenes, footprint(grid), WINDOW)}
        stores.append(zarr.open_group(str(tmp_path / collection), mode="w"))
        export_radar(stores[-1], {"a": grid}, decisions, opened.read)
    one, other = (store["a"]["backscatter"][:].astype(int) for store in stores)
    assert (one > -32768).any()
    assert np.abs(one - other).max() <= 1


def test_the_radiometry_of_another_collection_is_asked_for(served, simulated):
    folder, grids = simulated
    served.serve_archive(Archive(folder))
    image = next(image for name, image in served.archive.images.items() if name.startswith(f"{SENTINEL1}/"))
    served.archive.put(image | {"id": f"OTHER/S1_GAMMA0/{image['id'].rpartition('/')[2]}"}, {})
    sensor = f"sentinel1_{image['properties']['orbitProperties_pass'].lower()}"
    for assumed in (None, "gamma0"):
        named = {"sensors": (sensor,), "collections": {"sentinel1": "OTHER/S1_GAMMA0"}}
        opened = source(**named, assume_radiometry=assumed)
        (scene,) = opened.find(sensor, grids, WINDOW)
        assert scene.radiometry == (assumed or "")


def test_radar_beyond_the_frame_is_nodata(served, simulated):
    _, grids = simulated
    opened, scene = first(grids, "sentinel1_ascending")
    grid = grids["a"].window(-20, 0, 40, 10)
    layers = opened.read(scene, grid, ("VV", "VH", "angle"))
    assert all(np.isnan(layer.values[:20]).all() for layer in layers.values())
    assert np.isfinite(layers["VV"].values[20:]).any()


def test_cloud_score_comes_in_percent_and_is_unknown_where_there_is_no_image(served, simulated, caplog):
    _, grids = simulated
    opened, scene = first(grids, cloud_score=True)
    grid = grids["a"].window(3, 3, 40, 40)
    assert [request.layers for request in opened.requests(scene, grid, ("B02", SCL, "cloud_score"))] == [
        ("B02",),
        (SCL,),
        ("cloud_score",),
    ]
    layers = opened.read(scene, grid, (SCL, "cloud_score"))
    expected = np.where(layers[SCL].values > 0, SCORE_OF_CLASS[layers[SCL].values], 0)
    assert np.array_equal(layers["cloud_score"].values, expected)
    served.archive.gone.add(f"GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED/{scene.id}")
    layers = opened.read(scene, grid, (SCL, "cloud_score"))
    assert (layers["cloud_score"].values == 255).all()
    assert f"scene {scene.id} has no Cloud Score+" in caplog.text


def test_what_is_too_large_is_read_in_halves_and_the_next_time_at_once(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    whole = opened.read(scene, grids["a"], LAYERS)
    served.memory_bytes, served.asked = 9_000, []
    halves = opened.read(scene, grids["a"], LAYERS)
    assert all(np.array_equal(halves[name].values, whole[name].values) for name in LAYERS)
    asked = len(served.asked)
    served.asked, served.grids = [], []
    opened.read(scene, grids["a"], LAYERS)
    assert len(served.asked) < asked
    assert len(served.asked) == len(served.grids)


def test_a_pixel_that_is_too_large_is_told(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    served.memory_bytes = 1
    with pytest.raises(CropflowError, match=r"does not send one pixel of COPERNICUS.*memory limit exceeded"):
        opened.read(scene, grids["a"].window(0, 0, 2, 2), ("B02",))


def test_a_scene_that_is_gone_is_not_asked_for_again(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    served.archive.gone.add(scene.source)
    served.asked = []
    with pytest.raises(GoneError, match="not found"):
        opened.read(scene, grids["a"], ("B02",))
    assert len(served.asked) == 1


def test_a_collection_that_does_not_exist_names_the_setting(served, simulated):
    _, grids = simulated
    opened = source(collections={"sentinel2": "COPERNICUS/S2_NONE"})
    with pytest.raises(CropflowError, match=r"COPERNICUS/S2_NONE does not exist.*imagery\.<name>\.collections"):
        opened.find("sentinel2", grids, WINDOW)


def test_a_list_that_never_comes_is_told_in_one_line(served, simulated):
    _, grids = simulated
    served.faults = Faults(1.0, kinds=["503"])
    with pytest.raises(CropflowError, match=r"S2_SR_HARMONIZED cannot be listed \(503: try again\)") as caught:
        source().find("sentinel2", grids, WINDOW)
    assert "\n" not in str(caught.value)


def test_a_refused_account_stops_at_once_with_the_cure(served, simulated):
    _, grids = simulated
    opened, scene = first(grids)
    served.statuses, served.asked = [403], []
    with pytest.raises(CropflowError, match=r"`earthengine authenticate`.*CROPFLOW_EE_PROJECT") as caught:
        opened.read(scene, grids["a"], ("B02",))
    assert "\n" not in str(caught.value)
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    ("height", "width", "bands", "words"),
    [
        (1, 32_769, 1, r"Pixel grid dimensions \(32769x1\)"),
        (1024, 1024, 16, None),
        (1024, 1025, 16, "Total request size .* must be less than or equal to 50331648 bytes"),
    ],
)
def test_the_stand_in_keeps_the_limits_of_the_service(served, simulated, monkeypatch, height, width, bands, words):
    """Sixteen bands of two bytes, each with its mask, fill a request at 1,024 x 1,024 pixels."""
    _, grids = simulated
    _, scene = first(grids)
    blue = served.archive.load(scene.source)["B2"]
    monkeypatch.setattr(served.archive, "load", lambda name: {f"X{number}": blue for number in range(16)})
    asked = [f"X{number}" for number in range(bands)]
    grid = Grid(grids["a"].epsg, grids["a"].xmin, grids["a"].ymax, height, width, 10.0)
    request = pixel_request(scene.source, asked, {"crsCode": f"EPSG:{grid.epsg}"}, grid.transform, height, width)

    def ask():
        return called(scene.id, lambda ee: ee.data.getPixels(request))

    if words is None:
        assert len(ask()) > 32 * 2**20
    else:
        with pytest.raises(TooLargeError, match=words):
            ask()


def test_a_side_that_is_too_long_is_halved(served, simulated):
    _, grids = simulated
    _, scene = first(grids)
    grid = Grid(grids["a"].epsg, grids["a"].xmin, grids["a"].ymax - 100, 1, 40_000, 10.0)
    served.asked = []
    read = PixelReader(Limits(1, 1000.0)).read(scene.source, ["B2"], grid)["B2"]
    assert read.shape == (1, 40_000)
    assert read[0, :92].any()
    assert not read[0, 92:].any()
    assert len(served.asked) == 3


def read_all(opened, scenes, grid, workers):
    """All layers of scenes, each request for itself as an export makes them."""
    jobs = [(scene, request) for scene in scenes for request in opened.requests(scene, grid, LAYERS)]

    def read(job):
        scene, request = job
        part = grid.window(request.row, request.column, request.height, request.width)
        layers = opened.read(scene, part, request.layers)
        return [layers[name].values.tobytes() for name in request.layers]

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(read, jobs)), len(jobs)


def test_with_a_fifth_of_the_requests_failing_the_bytes_are_the_same(served, simulated, monkeypatch):
    monkeypatch.setattr(transport, "DEADLINE_S", 1.0)
    monkeypatch.setattr("cropflow.imagery.earth_engine.requests.LARGEST_BYTES", 15_000)
    _, grids = simulated
    served.per_second = 10_000
    scenes = source().find("sentinel2", {"a": grids["a"]}, WINDOW)
    expected, minimum = read_all(source(), scenes, grids["a"], 4)
    served.faults = Faults(0.2, seed=1)
    served.asked = []
    found, _ = read_all(source(), scenes, grids["a"], 4)
    assert found == expected
    assert set(served.faults.drawn) == set(KINDS)
    assert minimum > 80
    assert minimum < len(served.asked) < 1.5 * minimum


def test_lists_survive_failures_too(served, simulated, monkeypatch):
    monkeypatch.setattr(transport, "DEADLINE_S", 1.0)
    _, grids = simulated
    expected = source().find("sentinel2", grids, WINDOW)
    served.page, served.faults = 2, Faults(0.3, seed=2)
    assert source().find("sentinel2", grids, WINDOW) == expected
    assert served.faults.drawn.total() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_only_fails_is_given_up_after_eight_attempts(served, simulated, monkeypatch, kind):
    monkeypatch.setattr(transport, "DEADLINE_S", 0.2)
    _, grids = simulated
    opened, scene = first(grids)
    served.faults, served.asked = Faults(1.0, kinds=[kind]), []
    with pytest.raises(TransientError):
        opened.read(scene, grids["a"], ("B02",))
    assert len(served.asked) == 8


def test_no_more_requests_are_in_flight_than_allowed_and_connections_are_used_again(served, simulated):
    _, grids = simulated
    opened = source(at_once=4)
    scenes = opened.find("sentinel2", {"a": grids["a"]}, WINDOW)
    served.delay_s, served.most_in_flight = 0.02, 0
    before = served.connections
    _, count = read_all(opened, scenes[:10], grids["a"], 12)
    assert count == 20
    assert served.most_in_flight == 4
    assert served.connections - before <= 4


def test_every_request_waits_for_its_turn_also_those_that_connect_and_list(served, simulated):
    _, grids = simulated
    limits = Limits(8, 1000.0)
    opened = EarthEngineSource(Imagery(source="earth_engine"), limits)
    scenes = opened.find("sentinel2", grids, WINDOW)
    # The description of the service twice, its algorithms, and two lists.
    assert limits.requests == 5
    opened.read(scenes[0], grids["a"], LAYERS)
    assert limits.requests == 7


def test_a_service_that_is_asked_too_fast_refuses_and_is_asked_again(served, simulated, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.2)
    monkeypatch.setattr(remote, "LONGEST_WAIT_S", 1.0)
    _, grids = simulated
    opened = source(per_second=1000.0)
    scenes = opened.find("sentinel2", {"a": grids["a"]}, WINDOW)[:8]
    expected, _ = read_all(opened, scenes, grids["a"], 4)
    served.per_second, served.refused = 8, 0
    found, _ = read_all(opened, scenes, grids["a"], 4)
    assert found == expected
    assert served.refused > 0


def test_a_limit_below_that_of_the_service_is_never_refused(served, simulated):
    _, grids = simulated
    opened = source(per_second=20.0)
    scenes = opened.find("sentinel2", {"a": grids["a"]}, WINDOW)[:8]
    # Some slack, since requests do not travel evenly.
    served.per_second = 30
    read_all(opened, scenes, grids["a"], 4)
    assert served.refused == 0


def test_the_log_holds_no_line_per_request(served, simulated, caplog):
    _, grids = simulated
    with caplog.at_level(logging.INFO):
        opened, scene = first(grids)
        opened.read(scene, grids["a"], LAYERS)
    assert {record.name.partition(".")[0] for record in caplog.records} == {"cropflow"}


def test_images_that_cannot_be_used_are_counted_in_the_log(served, simulated, caplog):
    caplog.set_level(logging.INFO)
    _, grids = simulated
    images = [image for image in served.archive.images.values() if image["id"].startswith(SENTINEL1)]
    changed = [image for image in images if image["properties"]["orbitProperties_pass"] == "ASCENDING"][:2]
    whole = len(source().find("sentinel1_ascending", grids, WINDOW))
    kept = [image["bands"] for image in changed]
    for image in changed:
        image["bands"] = image["bands"][:1]
    try:
        assert len(source().find("sentinel1_ascending", grids, WINDOW)) == whole - 2
    finally:
        for image, bands in zip(changed, kept, strict=True):
            image["bands"] = bands
    assert f"2 of {whole} images of {SENTINEL1} cannot be used: polarisation: VV, not VV and VH" in caplog.text


def test_a_grid_of_one_site_is_all_that_is_needed(served, simulated):
    assert source().find("sentinel2", {"far": Grid(32631, 700_000.0, 4_000_000.0, 10, 10, 10.0)}, WINDOW) == []
