from __future__ import annotations

import datetime
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cropflow.composites import fill_gaps, monthly_median, season_calendar
from cropflow.composites.axes import Axis
from cropflow.composites.blocks import BLOCK, MEMORY, bytes_per_worker, composite_window, strips, windows
from cropflow.composites.command import app
from cropflow.composites.periods import Calendar, solar_days
from cropflow.composites.sources import check_scenes
from cropflow.config.imagery import Series
from cropflow.config.sections import Season
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.cubes import open_store, site_grid
from cropflow.files.tables import read_table

TIMES = [f"2020-{month:02d}-{day:02d}T10:00:00Z" for month, day in ((11, 2), (11, 9), (11, 19), (12, 5))] + [
    "2021-02-01T00:00:00Z",
    "2021-02-28T23:59:59Z",
]
SEASON = {"start": "2020-11-10", "end": "2021-03-02"}


def cube(seed: int, height: int = 5, width: int = 7) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    reflectance = rng.integers(0, 400, (len(TIMES), 3, height, width)).astype(np.uint16)
    return reflectance, rng.integers(0, 12, (len(TIMES), height, width)).astype(np.uint8), TIMES


def run(store: Path, catalogue: Path, output: Path, *more: str, series: dict | None = None, season: dict = SEASON):
    result = CliRunner().invoke(
        app,
        [
            "--scenes", str(store), "--catalogue", str(catalogue), "--settings", json.dumps(series or {}),
            "--season", json.dumps(season), "--output", str(output), *more,
        ],
    )  # fmt: skip
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


def test_the_store_holds_what_the_functions_give(scenes, tmp_path: Path):
    sites = {"a": cube(1), "b": cube(2, 9, 4)}
    run(*scenes(sites), tmp_path / "out.zarr", "--workers", "2")
    store = open_store(tmp_path / "out.zarr")
    for site, (reflectance, scl, times) in sites.items():
        months = season_calendar(Season(**SEASON).start, Season(**SEASON).end, Series())
        valid = np.isin(scl, [4, 5, 6, 7]) & (reflectance != 0).all(axis=1)
        composite, observations = monthly_median(reflectance, valid, months.period_of(times), len(months))
        composite, filled = fill_gaps(composite, observations, 3)
        group = store[site]
        assert group.attrs["bands"] == ["B00", "B01", "B02"]
        assert group.attrs["periods"] == ["2020-11-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01"]
        assert site_grid(group).shape == reflectance.shape[2:]
        np.testing.assert_array_equal(group["reflectance"][:], composite)
        np.testing.assert_array_equal(group["observations"][:], observations)
        np.testing.assert_array_equal(group["filled"][:], filled)
        assert group["filled"].dtype == np.bool_
    manifest = read_json(tmp_path / "out.zarr.manifest.json")
    assert manifest["counts"]["sites"]["a"]["scenes"] == 6
    assert manifest["counts"]["sites"]["a"]["without_observation"][2] == 35
    assert set(manifest["inputs"]) == {"scenes", "catalogue"}


def test_the_same_scenes_give_the_same_bytes(scenes, tmp_path: Path):
    paths = scenes({"a": cube(3)})
    run(*paths, tmp_path / "one.zarr", "--workers", "2")
    run(*paths, tmp_path / "other.zarr")
    one, other = (read_json(tmp_path / f"{name}.zarr.manifest.json") for name in ("one", "other"))
    assert one == other


def test_a_stray_file_in_the_store_is_passed_over_in_silence(scenes, tmp_path: Path, recwarn):
    store, catalogue = scenes({"a": cube(1)})
    (store / ".timestamp").touch()
    run(store, catalogue, tmp_path / "out.zarr")
    assert not [warning for warning in recwarn if "not recognized" in str(warning.message)]


def test_without_a_gap_rule_gaps_stay(scenes, tmp_path: Path):
    run(*scenes({"a": cube(1)}), tmp_path / "out.zarr", series={"fill": "none"})
    group = open_store(tmp_path / "out.zarr")["a"]
    assert not group["filled"][:].any()
    assert (group["reflectance"][:][2] == 0).all()


def test_the_log_says_per_month_what_is_missing_filled_and_nodata(scenes, tmp_path: Path, caplog):
    with caplog.at_level(logging.INFO, "cropflow.composites"):
        run(*scenes({"a": cube(1)}), tmp_path / "out.zarr")
    assert "site a, period from 2021-01-01: 0 scenes; of 35 pixels 100.0 % without an observation" in caplog.text


def test_a_site_without_scenes_is_nodata_and_says_so(scenes, tmp_path: Path, caplog):
    empty = np.zeros((0, 3, 2, 2), np.uint16), np.zeros((0, 2, 2), np.uint8), []
    run(*scenes({"a": cube(1), "b": empty}), tmp_path / "out.zarr")
    assert "site b has no scene" in caplog.text
    assert (open_store(tmp_path / "out.zarr")["b"]["reflectance"][:] == 0).all()


def test_a_scene_outside_the_season_is_refused_and_nothing_is_left(scenes, tmp_path: Path):
    with pytest.raises(CropflowError, match="outside the season"):
        run(*scenes({"a": cube(1)}), tmp_path / "out.zarr", season={"start": "2020-12-01", "end": "2021-02-28"})
    assert not (tmp_path / "out.zarr").exists()


def test_a_scene_class_above_11_names_its_place(scenes, tmp_path: Path):
    reflectance, scl, times = cube(1)
    scl[0, 0, 0] = 40
    with pytest.raises(CropflowError, match="site a, rows 0 to 5, columns 0 to 7 reach 40"):
        run(*scenes({"a": (reflectance, scl, times)}), tmp_path / "out.zarr")


def test_a_store_that_lost_a_scene_is_refused(scenes, tmp_path: Path):
    import pandas

    from cropflow.files.tables import read_table, write_table

    store, catalogue = scenes({"a": cube(1)})
    table = read_table(catalogue)
    more = pandas.DataFrame([{"scene": "a-9", "site": "a", "kept": True}])
    write_table(catalogue, pandas.concat([table, more], ignore_index=True))
    with pytest.raises(CropflowError, match="holds 6 scenes, the catalogue keeps 7, 1 differ"):
        run(store, catalogue, tmp_path / "out.zarr")


def test_a_site_that_only_the_catalogue_knows_is_refused(scenes, tmp_path: Path):
    import pandas

    from cropflow.files.tables import read_table, write_table

    store, catalogue = scenes({"a": cube(1)})
    more = pandas.DataFrame([{"scene": "z-0", "site": "z", "kept": True}])
    write_table(catalogue, pandas.concat([read_table(catalogue), more], ignore_index=True))
    with pytest.raises(CropflowError, match="keeps scenes of z too"):
        run(store, catalogue, tmp_path / "out.zarr")


def test_a_missing_catalogue_is_named(scenes, tmp_path: Path):
    store, _ = scenes({"a": cube(1)})
    with pytest.raises(CropflowError, match=r"nowhere\.parquet is missing"):
        run(store, tmp_path / "nowhere.parquet", tmp_path / "out.zarr")


def test_scene_classes_of_another_type_are_refused(scenes, tmp_path: Path):
    import zarr

    store, catalogue = scenes({"a": cube(1)})
    group = zarr.open_group(str(store), mode="r+")["a"]
    del group["scl"]
    group.create_array("scl", shape=(6, 5, 7), dtype="int16")
    with pytest.raises(CropflowError, match=r"Array scl of site a is .*int16.*expected uint8"):
        run(store, catalogue, tmp_path / "out.zarr")


def test_a_statistic_without_its_band_is_refused_before_anything_is_written(scenes, tmp_path: Path):
    with pytest.raises(CropflowError, match=r"statistic max_ndvi needs B04, B08; site a has B00, B01, B02"):
        run(*scenes({"a": cube(1)}), tmp_path / "out.zarr", series={"statistic": "max_ndvi"})
    assert not (tmp_path / "out.zarr").exists()


def test_the_log_says_how_much_memory_the_scenes_take(scenes, tmp_path: Path, caplog):
    with caplog.at_level(logging.INFO, "cropflow.composites"):
        run(*scenes({"a": cube(1)}), tmp_path / "out.zarr", "--workers", "2")
    assert "site a: 1 blocks, 2 at once; each holds 3 MB of scenes at most" in caplog.text


def test_strips_fit_into_memory_and_cover_the_window():
    window = (slice(256, 300), slice(0, 256))
    found = list(strips(window, 10, 75))
    assert [(rows.start, rows.stop) for rows, _ in found] == [
        (256, 263), (263, 270), (270, 277), (277, 284), (284, 291), (291, 298), (298, 300),
    ]  # fmt: skip
    assert all(columns == slice(0, 256) for _, columns in found)
    assert [rows.stop - rows.start for rows, _ in strips(window, 10, 0)] == [1] * 44
    assert list(strips(window, 1, 10**9)) == [window]


@pytest.mark.parametrize("n_scenes", [0, 1, 140, 400, 5000])
def test_a_worker_never_holds_more_than_its_share(n_scenes: int):
    assert bytes_per_worker(n_scenes, 10) <= MEMORY
    assert bytes_per_worker(140, 10) == 140 * BLOCK * BLOCK * 22


def site_and_axis(scenes, content, period, n_periods):
    """A site whose scenes fall into the periods given, its whole window, and the axis."""
    store, catalogue = scenes({"a": content})
    site = check_scenes(open_store(store), read_table(catalogue))[0]
    starts = tuple(datetime.date(2021, 1 + index, 1) for index in range(n_periods))
    calendar = Calendar(starts, datetime.date(2021, 12, 31), datetime.date(2021, 12, 31))
    window = tuple(slice(0, size) for size in site.grid.shape)
    return site, window, Axis(calendar, period, solar_days(site.times, 3.0))


def test_strips_give_what_the_whole_block_gives(scenes, tmp_path: Path, monkeypatch):
    from cropflow.composites import blocks

    arguments = (*site_and_axis(scenes, cube(1, 9, 8), np.array([0, 0, 0, 1, 3, 3]), 4), Series())
    whole = composite_window(*arguments)
    monkeypatch.setattr(blocks, "strips", lambda window, row: strips(window, row, 2 * row))
    for name, values in composite_window(*arguments).arrays().items():
        np.testing.assert_array_equal(values, whole.arrays()[name])


def test_scenes_of_no_period_are_left_out(scenes):
    reflectance, scl, times = cube(1)
    site, window, axis = site_and_axis(scenes, (reflectance, scl, times), np.array([-1, 0, 0, 1, -1, 1]), 2)
    found = composite_window(site, window, axis, Series(fill="none"))
    kept = [1, 2, 3, 5]
    valid = np.isin(scl[kept], [4, 5, 6, 7]) & (reflectance[kept] != 0).all(axis=1)
    expected, observations = monthly_median(reflectance[kept], valid, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_array_equal(found.reflectance, expected)
    np.testing.assert_array_equal(found.observations, observations)


def test_windows_cover_each_pixel_once():
    seen = np.zeros((5, 8), int)
    for rows, columns in windows((5, 8), 3):
        seen[rows, columns] += 1
    assert (seen == 1).all()


def test_the_room_is_imported_without_numba():
    import subprocess
    import sys

    code = "import cropflow.composites, cropflow.composites.command, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_of_the_room_is_an_attribute_error():
    import cropflow.composites

    with pytest.raises(AttributeError, match="weekly_median"):
        _ = cropflow.composites.weekly_median
