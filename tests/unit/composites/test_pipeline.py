"""What the options of a series do from a store of scenes to a store of composites."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from typer.testing import CliRunner

from cropflow.composites import blocks, fill_gaps, season_calendar
from cropflow.composites.command import app
from cropflow.composites.indices import derive_indices
from cropflow.composites.masking import clear_observations
from cropflow.composites.mean import monthly_mean
from cropflow.composites.overpasses import first_of_day
from cropflow.composites.tiers import tier
from cropflow.config.imagery import Mask, Series
from cropflow.config.sections import Season
from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_folder, read_json
from cropflow.files.cubes import add_array, add_site, create_store, open_store
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid

BANDS = ["B02", "B03", "B04", "B05", "B08", "B11"]
TIMES = [
    "2021-03-02T10:50:00Z", "2021-03-02T10:50:14Z", "2021-03-12T10:50:00Z", "2021-03-27T10:50:00Z",
    "2021-05-01T10:50:00Z", "2021-05-16T10:50:00Z",
]  # fmt: skip
SEASON = {"start": "2021-03-01", "end": "2021-05-31"}
HEIGHT, WIDTH = 37, 29


@pytest.fixture
def scenes(tmp_path: Path):
    """A site of noise with all classes; ``reflectance``, ``scl`` and ``score`` beside its store."""
    rng = np.random.default_rng(7)
    reflectance = rng.integers(0, 3000, (len(TIMES), len(BANDS), HEIGHT, WIDTH)).astype(np.uint16)
    # Patches rather than single pixels, so that shrinking and growing differ.
    coarse = rng.integers(0, 12, (len(TIMES), 8, 6)).astype(np.uint8)
    scl = np.ascontiguousarray(coarse.repeat(5, axis=1).repeat(5, axis=2)[:, :HEIGHT, :WIDTH])
    score = rng.integers(0, 101, scl.shape).astype(np.uint8)
    with atomic_folder(tmp_path / "sentinel2.zarr") as folder:
        names = [f"s{index}" for index in range(len(TIMES))]
        attributes = {"bands": BANDS, "scenes": names, "times": TIMES}
        grid = Grid(32631, 500_000.0, 5_600_000.0, HEIGHT, WIDTH, 10.0)
        group = add_site(create_store(folder), "a", grid, attributes)
        for name, values in (("reflectance", reflectance), ("scl", scl), ("cloud_score", score)):
            dimensions = ("scene", "band", "y", "x") if values.ndim == 4 else ("scene", "y", "x")
            add_array(group, name, dimensions, values.shape, values.dtype, chunks=values.shape)[...] = values
    write_table(tmp_path / "scenes.parquet", pandas.DataFrame({"scene": names, "site": "a", "kept": True}))
    return {"folder": tmp_path, "reflectance": reflectance, "scl": scl, "score": score}


def run(scenes: dict, series: dict, *more: str, name: str = "out.zarr"):
    folder = scenes["folder"]
    arguments = [
        "--scenes", str(folder / "sentinel2.zarr"), "--catalogue", str(folder / "scenes.parquet"),
        "--settings", json.dumps(series), "--season", json.dumps(SEASON), "--output", str(folder / name), *more,
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return open_store(folder / name)["a"]


EVERYTHING = {
    "statistic": "mean",
    "mask": {"tiered": True, "erode_m": 10, "dilate_m": 20, "shadows": True, "cloud_score": 0.3},
    "fill": "linear",
    "indices": ["NDVI", "NDVI45"],
}


def test_all_options_together_are_their_functions_one_after_the_other(scenes):
    group = run(scenes, EVERYTHING)
    series = Series.model_validate(EVERYTHING)
    season = Season.model_validate(SEASON)
    calendar = season_calendar(season.start, season.end, series)
    ground = np.ascontiguousarray(scenes["reflectance"][:, [1, 4, 5]])
    valid, hazy = clear_observations(
        scenes["scl"], scenes["reflectance"], series.mask, 10.0, "a", ground=ground, cloud_score=scenes["score"]
    )
    days = [time[:10] for time in TIMES]
    assert first_of_day(valid, days) > 0
    valid, flagged = tier(valid, hazy & valid, calendar.period_of(TIMES), 3)
    composite, observations = monthly_mean(scenes["reflectance"], valid, calendar.period_of(TIMES), 3)
    filled_composite, filled = fill_gaps(composite, observations, 3, "linear", calendar.middles)
    indices = derive_indices(filled_composite, BANDS, series.indices, "a")
    assert flagged.any() and filled.any() and (observations > 0).any()
    for name, values in (
        ("reflectance", filled_composite),
        ("observations", observations),
        ("filled", filled),
        ("hazy", flagged),
        ("indices", indices.values),
    ):
        np.testing.assert_array_equal(group[name][:], values, name)
    assert group.attrs["indices"] == ["NDVI", "NDVI45"]
    counts = read_json(scenes["folder"] / "out.zarr.manifest.json")["counts"]["sites"]["a"]
    assert counts["hazy"] == flagged.sum(axis=(1, 2)).tolist()
    assert counts["without_observation"] == (observations == 0).sum(axis=(1, 2)).tolist()


def test_blocks_with_a_halo_give_what_the_whole_site_gives(scenes, monkeypatch):
    whole = run(scenes, EVERYTHING)
    monkeypatch.setattr("cropflow.composites.store.windows", lambda shape: blocks.windows(shape, 8))
    # One thread: these blocks share chunks, those of a real site never do.
    parts = run(scenes, EVERYTHING, name="parts.zarr")
    for name in ("reflectance", "observations", "filled", "hazy", "indices"):
        np.testing.assert_array_equal(parts[name][:], whole[name][:], name)


def test_ground_seen_twice_by_one_overpass_counts_once(scenes):
    group = run(scenes, {"fill": "none"})
    clear = np.isin(scenes["scl"], (4, 5, 6, 7)) & (scenes["reflectance"] > 0).all(axis=1)
    expected = (clear[0] | clear[1]).astype(int) + clear[2] + clear[3]
    np.testing.assert_array_equal(group["observations"][0], expected)


def test_acquisitions_are_what_was_seen_on_each_date(scenes):
    group = run(scenes, {"period": "acquisitions"})
    assert group.attrs["periods"] == ["2021-03-02", "2021-03-12", "2021-03-27", "2021-05-01", "2021-05-16"]
    clear = np.isin(scenes["scl"], (4, 5, 6, 7)) & (scenes["reflectance"] > 0).all(axis=1)
    first = np.where(clear[0], scenes["reflectance"][0], np.where(clear[1], scenes["reflectance"][1], 0))
    np.testing.assert_array_equal(group["reflectance"][0], first)
    np.testing.assert_array_equal(group["observations"][4], clear[5])
    assert not group["filled"][:].any()


def test_half_months_hold_their_own_scenes(scenes):
    group = run(scenes, {"period": "half-month", "fill": "none"})
    assert group.attrs["periods"][:2] == ["2021-03-01", "2021-03-16"] and len(group.attrs["periods"]) == 6
    assert not group["observations"][2:4].any()


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"mask": {"cloud_score": 0.5}}, "have no Cloud Score"),
        ({"window": {"crop": "onion"}}, "needs --queries and --parcels"),
        ({"cut": "08-01"}, "cut 08-01 lies outside the season"),
    ],
)
def test_what_the_scenes_cannot_give_is_one_line_and_nothing_is_left(scenes, series, message):
    import shutil

    shutil.rmtree(scenes["folder"] / "sentinel2.zarr" / "a" / "cloud_score")
    with pytest.raises(CropflowError, match=message):
        run(scenes, series)
    assert not (scenes["folder"] / "out.zarr").exists()


def test_a_window_before_harvest_takes_the_place_of_the_season(scenes):
    folder = scenes["folder"]
    (folder / "parcels").mkdir()
    write_table(folder / "parcels" / "a.parquet", pandas.DataFrame({"parcel_id": ["p"], "site_area_ha": [2.0]}))
    row = ("p", "onion", "Onion", "2021-03-10", "2021-05-09")
    columns = ["parcel_id", "crop", "calendar", "window_start", "window_end"]
    write_table(folder / "queries.parquet", pandas.DataFrame([row], columns=columns))
    options = ("--queries", str(folder / "queries.parquet"), "--parcels", str(folder / "parcels"))
    group = run(scenes, {"window": {"crop": "onion"}, "fill": "none"}, *options)
    assert group.attrs["periods"] == ["2021-03-10", "2021-04-10"]
    assert group.attrs["period_names"] == ["month 1 of 2 before harvest", "month 2 of 2 before harvest"]
    clear = np.isin(scenes["scl"], (4, 5, 6, 7)) & (scenes["reflectance"] > 0).all(axis=1)
    np.testing.assert_array_equal(group["observations"][:], [clear[2].astype(int) + clear[3], clear[4]])
    counts = read_json(folder / "out.zarr.manifest.json")["counts"]["sites"]["a"]
    assert (counts["left_out"], counts["parcels_of_the_window"]) == (3, 1)


def test_the_default_mask_is_the_mission_s():
    assert Series().mask == Mask(classes=(4, 5, 6, 7))


def test_a_score_of_another_type_is_refused(scenes):
    import zarr

    group = zarr.open_group(str(scenes["folder"] / "sentinel2.zarr"), mode="a")["a"]
    del group["cloud_score"]
    shape = scenes["score"].shape
    add_array(group, "cloud_score", ("scene", "y", "x"), shape, np.float32, chunks=shape)
    with pytest.raises(CropflowError, match=r"Array cloud_score of site a is float32 .* expected uint8"):
        run(scenes, {"mask": {"cloud_score": 0.5}})
