"""Composites that Earth Engine computes, by a stand-in that shares no code with ours: equal to the local ones."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
import zarr
from earth_engine_archive import Archive
from earth_engine_compute import RefusedError, answer
from typer.testing import CliRunner

from cropflow.composites import fill_gaps, monthly_median, season_calendar, valid_observations
from cropflow.composites.command import app
from cropflow.composites.overpasses import first_of_day
from cropflow.composites.periods import solar_days
from cropflow.config.imagery import Imagery, Series
from cropflow.config.sections import Season
from cropflow.config.simulation import Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.files.cubes import create_store
from cropflow.files.remote import Limits
from cropflow.files.tables import read_table, write_table
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.earth_engine.source import EarthEngineSource
from cropflow.imagery.export import export_scenes
from cropflow.imagery.found import write_found
from cropflow.imagery.items import find_items
from cropflow.imagery.local import LocalSource
from cropflow.imagery.seasons import whole_months
from cropflow.regions.grid import Grid
from cropflow.regions.sites import centre, footprint, sites_table
from cropflow.simulation.archive import write_archive
from cropflow.simulation.landscape import make_landscape

START, END = datetime.date(2023, 1, 1), datetime.date(2023, 6, 30)
BANDS = ("B02", "B04", "B08", "B05", "B8A")
SITES = {
    # The second lies on no multiple of 20 m, and beyond an edge of the scenes.
    "inside": Grid(32631, 470_600.0, 5_449_960.0, 40, 36, 10.0),
    "edge": Grid(32631, 470_510.0, 5_450_130.0, 17, 23, 10.0),
}
MARCH = "_202303"


def change(folder, item, layer, edit):
    path = folder / item["assets"][layer]["href"]
    with rasterio.open(path) as raster:
        values, place, crs = raster.read(1), raster.transform, raster.crs
    edit(values)
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype, crs=crs, transform=place
    ) as raster:
        raster.write(values, 1)


def set_to(rows, columns, value):
    def edit(values):
        values[rows, columns] = value

    return edit


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Half a year of scenes of both sides of baseline 04.00; March is all cloud; dark pixels, nodata in one band."""
    folder = tmp_path_factory.mktemp("archive")
    square = Landscape(centre=(2.6, 49.2), side_km=0.3)
    made = Simulation(seed=6, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))
    write_archive(folder, [make_landscape("a", square, made)], made, {"s": Season(start=START, end=END)})
    path = folder / "sentinel-2-l2a.items.json"
    content = json.loads(path.read_text())
    everywhere, clear = slice(None), slice(12, 30)
    for item in content["features"]:
        if MARCH in item["id"]:
            change(folder, item, "SCL", set_to(everywhere, everywhere, 9))
        if item["properties"]["s2:processing_baseline"] >= "04.00":
            # Below the offset: stored as 0 by Earth Engine.
            change(folder, item, "B04", set_to(clear, slice(20, 26), 500))
            change(folder, item, "B02", set_to(clear, slice(27, 29), 1000))
        change(folder, item, "B05", set_to(slice(8, 10), slice(8, 10), 0))
    # The neighbouring tile repeats what an overpass saw, and sees a little more.
    twins = []
    for item in [item for item in content["features"] if MARCH not in item["id"]][::3]:
        twin = json.loads(json.dumps(item))
        twin["id"] = item["id"].replace("31UDQ", "31UEQ")
        twin["properties"] |= {"s2:mgrs_tile": "31UEQ"}
        for layer, asset in twin["assets"].items():
            source = folder / asset["href"]
            asset["href"] = asset["href"].replace("31UDQ", "31UEQ")
            target = folder / asset["href"]
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(source.read_bytes())
            if layer != "SCL":
                change(folder, twin, layer, lambda values: np.add(values, 40, out=values, where=values > 0))
        change(folder, item, "SCL", set_to(slice(4, 9), everywhere, 8))
        twins.append(twin)
    content["features"] += twins
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def images(archive):
    """The archive as Earth Engine serves it; opened once, since pixels are kept."""
    return Archive(archive)


@pytest.fixture
def service(earth_engine, images):
    """The stand-in with the archive; what a test makes gone is there again."""
    images.gone.clear()
    earth_engine.serve_archive(images)
    earth_engine.per_second = 1000
    return earth_engine


@pytest.fixture
def scenes(service):
    """The scenes as the source of Earth Engine finds them."""
    source = EarthEngineSource(Imagery(source="earth_engine"), Limits(4, 1000))
    return source.find("sentinel2", SITES, whole_months(START, END))


def local_composites(scenes, read, tmp_path, site, series):
    """What is composited here: scenes exported, masked, one observation per overpass, reduced, gaps filled."""
    grid = SITES[site]
    decisions = judge_scenes(scenes, footprint(grid), whole_months(START, END), 100)
    store = create_store(tmp_path / f"{site}.zarr")
    export_scenes(store, {site: grid}, {site: decisions}, BANDS, None, read)
    reflectance, scl = store[site]["reflectance"][:], store[site]["scl"][:]
    times = store[site].attrs["times"]
    valid = valid_observations(reflectance, scl, series.mask.classes)
    repeated = first_of_day(valid, solar_days(times, centre(grid)[0]))
    calendar = season_calendar(START, END, series)
    period = calendar.period_of(times)
    seen = period >= 0
    composite, observations = monthly_median(reflectance[seen], valid[seen], period[seen], len(calendar))
    filled_composite, filled = fill_gaps(composite, observations, series.max_gap, series.fill, calendar.middles)
    return filled_composite, observations, filled, repeated


@pytest.fixture
def fetch(tmp_path, scenes, service):
    """Run the command against the stand-in; returns the store."""
    service.asked.clear()
    write_found(tmp_path / "found.parquet", scenes)
    write_table(tmp_path / "sites.parquet", sites_table(SITES))

    def words(imagery=None, name="out", **series):
        settings = {"source": "earth_engine", "reduce": "server", "bands": list(BANDS)} | (imagery or {})
        arguments = ["fetch", "--found", str(tmp_path / "found.parquet"), "--sites", str(tmp_path / "sites.parquet")]
        arguments += ["--imagery", json.dumps(settings), "--settings", json.dumps(series)]
        arguments += ["--season", json.dumps({"start": START.isoformat(), "end": END.isoformat()})]
        arguments += [
            "--work",
            str(tmp_path / "work"),
            "--catalogue",
            str(tmp_path / "catalogue.parquet"),
            "--output",
            str(tmp_path / name),
        ]
        return arguments

    def run(imagery=None, name="out", **series):
        result = CliRunner().invoke(app, words(imagery, name, **series))
        if result.exception is not None:
            raise result.exception
        return zarr.open_group(str(tmp_path / name), mode="r")

    run.words = words
    return run


@pytest.mark.parametrize(
    "options", [{}, {"period": "dekad", "max_gap": 2, "mask": {"classes": [4, 5]}, "fill": "linear"}]
)
@pytest.mark.parametrize("site", SITES)
def test_the_server_composites_equal_the_local_ones(fetch, archive, tmp_path, site, options):
    series = Series.model_validate(options)
    composite, observations, filled, repeated = local_composites(
        find_items(archive), LocalSource(archive, "items").read, tmp_path, site, series
    )
    group = fetch(**options)[site]
    assert np.array_equal(group["observations"][:], observations)
    assert np.array_equal(group["reflectance"][:], composite)
    assert np.array_equal(group["filled"][:], filled)
    assert group.attrs["bands"] == list(BANDS)
    # What the data are there to test.
    assert repeated > 0
    assert filled.any()
    assert (composite == 1).any() or site == "edge"
    assert {1, 2} <= set(np.unique(observations).tolist())


def test_where_it_is_composited_changes_nothing(fetch, scenes, tmp_path):
    """The same service, its scenes fetched and composited here, or composited there."""
    reader = EarthEngineSource(Imagery(source="earth_engine", bands=BANDS), Limits(4, 1000)).read
    composite, observations, _, _ = local_composites(scenes, reader, tmp_path, "inside", Series())
    group = fetch()["inside"]
    # Pixels that are fetched do not tell what is masked: a band that misses there is taken for a dark one.
    same = np.ones(observations.shape[1:], dtype=bool)
    same[4:8, 10:14] = False
    assert np.array_equal(group["observations"][:][:, same], observations[:, same])
    assert np.array_equal(group["reflectance"][:][:, :, same], composite[:, :, same])


def test_indices_are_derived_from_what_is_filled(fetch):
    group = fetch(indices=["NDVI", "NDVI45"])["inside"]
    reflectance, filled = group["reflectance"][:].astype(float), group["filled"][:]
    red, near = reflectance[:, 1], reflectance[:, 2]
    known = (red > 0) & (near > 0)
    assert group.attrs["indices"] == ["NDVI", "NDVI45"]
    ndvi = group["indices"][:, 0]
    assert np.abs(ndvi - 10_000 * (near - red) / np.maximum(near + red, 1))[known].max() <= 0.5
    assert (ndvi[~known] == -32768).all()
    assert (ndvi[filled] != -32768).all()


def test_an_index_without_its_band_is_refused_before_anything_is_asked(fetch, service):
    with pytest.raises(CropflowError, match=r"indices GNDVI needs B03, B08; .* Add B03"):
        fetch(indices=["GNDVI"])
    assert service.computed == []


def test_a_month_of_clouds_is_filled_and_counted(fetch, tmp_path):
    fetch()
    manifest = json.loads((tmp_path / "out.manifest.json").read_text())
    inside = manifest["counts"]["sites"]["inside"]
    march = manifest["counts"]["periods"].index("2023-03-01")
    assert inside["without_observation"][march] == inside["pixels"]
    assert inside["filled"][march] + inside["nodata"][march] == inside["pixels"]


def test_an_offset_that_the_collection_keeps_is_refused(fetch, scenes, tmp_path):
    write_found(tmp_path / "found.parquet", [dataclasses.replace(scene, radiometry="") for scene in scenes])
    with pytest.raises(CropflowError, match="keeps the offset"):
        fetch()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("imagery", "series", "told"),
    [
        ({}, {"statistic": "medoid"}, "series.<name>.statistic is 'medoid'.*expected median or mean"),
        ({}, {"mask": {"dilate_m": 40}}, r"mask.dilate_m is 40.0"),
        ({}, {"mask": {"tiered": True}}, r"mask.tiered is True"),
        ({"sensors": ["sentinel1_ascending"]}, {}, r"imagery.<name>.sensors is \['sentinel1_ascending'\]"),
        ({"reduce": "local"}, {}, "reduce is 'local'"),
    ],
)
def test_what_the_server_cannot_do_is_refused_by_name(fetch, imagery, series, told):
    with pytest.raises(CropflowError, match=told):
        fetch(imagery, **series)


def test_a_mean_is_rounded_with_halves_up(fetch, archive, tmp_path):
    group = fetch(statistic="mean", fill="none")["inside"]
    grid = SITES["inside"]
    decisions = judge_scenes(find_items(archive), footprint(grid), whole_months(START, END), 100)
    store = create_store(tmp_path / "local.zarr")
    export_scenes(store, {"s": grid}, {"s": decisions}, BANDS, None, LocalSource(archive, "items").read)
    reflectance, times = store["s"]["reflectance"][:].astype(np.int64), store["s"].attrs["times"]
    valid = valid_observations(store["s"]["reflectance"][:], store["s"]["scl"][:], (4, 5, 6, 7))
    first_of_day(valid, solar_days(times, centre(grid)[0]))
    several = False
    for month in range(1, 7):
        mine = np.array([time.startswith(f"2023-{month:02d}") for time in times])
        count = valid[mine].sum(axis=0)
        total = np.where(valid[mine][:, np.newaxis], reflectance[mine], 0).sum(axis=0)
        expected = np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), 0)
        assert np.array_equal(group["reflectance"][month - 1], expected)
        several |= bool((count == 2).any())
    assert several


def test_a_resumed_run_asks_for_no_part_again_and_gives_the_same_bytes(fetch, service, tmp_path):
    whole = fetch(name="whole")
    asked = len(service.computed)
    assert asked == len(SITES)
    # Nothing but the last part is missing when the service refuses.
    service.statuses = [200, 403]
    with pytest.raises(CropflowError, match="without an account"):
        fetch({"requests_at_once": 1})
    kept = sorted(path.name for path in (tmp_path / "work").glob("*.npy"))
    assert len(kept) == 1
    assert not (tmp_path / "out").exists()
    service.computed.clear()
    again = fetch({"requests_at_once": 1})
    assert len(service.computed) == len(SITES) - 1
    assert not (tmp_path / "work").exists()
    for site in SITES:
        assert np.array_equal(whole[site]["reflectance"][:], again[site]["reflectance"][:])


def test_a_killed_run_goes_on_where_it_was(fetch, service, root, tmp_path):
    parts = {f"{row}": SITES["inside"].window(4 * row, 0, 4, 36) for row in range(8)}
    write_table(tmp_path / "sites.parquet", sites_table(parts))
    fetch(name="whole")
    service.computed.clear()
    service.delay_s = 0.5
    command = [sys.executable, "-m", "cropflow", "composites", *fetch.words({"requests_at_once": 2})]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(service.computed) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    while service.in_flight:  # what the killed process had asked for is still being answered
        time.sleep(0.05)
    kept = len(list((tmp_path / "work").glob("[!.]*.json")))
    assert kept >= 2
    assert not (tmp_path / "out").exists()
    service.delay_s = 0.0
    service.computed.clear()
    fetch({"requests_at_once": 2})
    assert len(service.computed) == len(parts) - kept
    for file in (path for path in (tmp_path / "whole").rglob("*") if path.is_file()):
        assert file.read_bytes() == (tmp_path / "out" / file.relative_to(tmp_path / "whole")).read_bytes()
    # The process that was killed left a folder under another name; nothing else.
    assert not list(tmp_path.glob(".out*"))


def test_a_damaged_part_is_fetched_again(fetch, service, tmp_path):
    service.statuses = [200, 403]
    with pytest.raises(CropflowError):
        fetch({"requests_at_once": 1})
    (part,) = (tmp_path / "work").glob("*.npy")
    part.write_bytes(part.read_bytes()[:-3])
    service.computed.clear()
    fetch({"requests_at_once": 1})
    assert len(service.computed) == len(SITES)


def test_what_the_server_cannot_hold_in_memory_is_asked_for_in_halves(fetch, service, images, tmp_path):
    def forgetful(body):
        size = body["grid"]["dimensions"]
        if size["width"] * size["height"] > 700:
            raise RefusedError("User memory limit exceeded.")
        return answer(body, images.load)

    whole = fetch(name="whole")
    service.compute = forgetful
    service.computed.clear()
    again = fetch()
    # 40 x 36 pixels, their halves, the halves of those; and the smaller site at once.
    assert len(service.computed) == 1 + 2 + 4 + 1
    for site in SITES:
        assert np.array_equal(whole[site]["reflectance"][:], again[site]["reflectance"][:])


def test_what_cannot_be_halved_any_more_is_told(fetch, service):
    def never(body):
        raise RefusedError("Computation timed out.")

    service.compute = never
    with pytest.raises(CropflowError, match=r"not even \d+ x \d+ pixels at once .Computation timed out"):
        fetch()


def test_an_image_that_is_gone_is_told(fetch, scenes, images):
    images.gone.add(scenes[0].source)
    with pytest.raises(CropflowError, match=r"rests on an image that Earth Engine has no more"):
        fetch()


def test_busy_answers_and_broken_ones_are_asked_again(fetch, service, images):
    cut_short = [7]

    def stumbling(body):
        missing = cut_short.pop() if cut_short else 0
        content = answer(body, images.load)
        return content[: len(content) - missing]

    service.compute = stumbling
    service.statuses = [429, 503]
    fetch()
    assert len(service.asked) == len(SITES) + 3


def test_a_count_that_no_scene_explains_is_refused(fetch, service, images):
    def generous(body):
        pixels = np.load(io.BytesIO(answer(body, images.load)))
        for name in pixels.dtype.names:
            if name.endswith("observations"):
                pixels[name] += 40
        content = io.BytesIO()
        np.save(content, pixels)
        return content.getvalue()

    service.compute = generous
    with pytest.raises(CropflowError, match="observations in period 0"):
        fetch()


def test_a_site_without_a_scene_is_nodata_without_a_request(fetch, scenes, service, tmp_path):
    far = Grid(32631, 600_000.0, 5_449_960.0, 5, 5, 10.0)
    write_table(tmp_path / "sites.parquet", sites_table({**SITES, "far": far}))
    group = fetch()["far"]
    assert len(service.computed) == len(SITES)
    assert not group["reflectance"][:].any()
    assert not group["observations"][:].any()


def test_scenes_after_the_cut_are_left_out(fetch, scenes, tmp_path):
    group = fetch(cut="02-15")["inside"]
    assert group.attrs["periods"] == ["2023-01-01", "2023-02-01"]
    counts = json.loads((tmp_path / "out.manifest.json").read_text())["counts"]["sites"]["inside"]
    assert counts["dropped"]["cut"] > 0
    catalogue = read_table(tmp_path / "catalogue.parquet")
    assert len(catalogue) == len(scenes) * len(SITES)
    late = catalogue[catalogue["time"] >= "2023-02-16"]
    assert not late["kept"].any()
    assert set(late["reason"]) >= {"cut: outside 2023-01-01 to 2023-02-15"}
    assert counts["scenes"] == (catalogue["kept"] & (catalogue["site"] == "inside")).sum()


def test_no_scene_at_all_is_an_error(fetch, tmp_path):
    write_found(tmp_path / "found.parquet", [])
    with pytest.raises(CropflowError, match="No scene is left of 0 found for 2 sites"):
        fetch()
