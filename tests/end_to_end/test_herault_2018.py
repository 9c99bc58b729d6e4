"""Ten real SAFE products and 120 real parcels, from the register to the report."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import zarr

from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster

BOUNDS = (523560, 4829250, 525880, 4832780)
HEIGHT, WIDTH = 353, 232
BANDS = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
QUICK = {
    "experiments": {
        "herault_2018": {"model": {"epochs": 2}},
        "herault_2018_forest": {"model": {"name": "random_forest", "trees": 20}},
    }
}


@pytest.fixture(scope="module")
def overlays(root: Path, finished_folder) -> tuple[Path, ...]:
    return (root / "experiments" / "herault_2018.yaml", finished_folder.overlay("quick.yaml", QUICK))


@pytest.fixture(scope="module")
def finished_folder(workspace: Callable, shared: Path):
    return workspace("herault", shared)


@pytest.fixture(scope="module")
def run(finished_folder, overlays):
    """The finished run; only the number of epochs and trees is smaller than in the overlay."""
    done = finished_folder.run(overlays=overlays)
    assert done.returncode == 0, done.stderr[-6000:]
    return finished_folder


@pytest.fixture(scope="module")
def raw(shared: Path) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Months, reflectance (scene, band, y, x) and SCL (scene, y, x), read plainly from the JP2 files."""
    months, scenes, classes = [], [], []
    for product in sorted((shared / "data" / "herault_2018" / "eodata").rglob("*.SAFE")):
        month = int(re.search(r"_2018(\d\d)\d\dT", product.name).group(1))
        layers = []
        for band in [*BANDS, "SCL"]:
            file = next(product.rglob(f"*_{band}_{'10m' if band in ('B02', 'B03', 'B04', 'B08') else '20m'}.jp2"))
            with rasterio.open(file) as raster:
                values = raster.read(1)
            if values.shape[0] < HEIGHT:
                values = values.repeat(2, axis=0).repeat(2, axis=1)
            layers.append(values[:HEIGHT, :WIDTH])
        months.append(month)
        scenes.append(np.stack(layers[:-1]))
        classes.append(layers[-1])
    return months, np.stack(scenes), np.stack(classes)


def composites(run) -> zarr.Group:
    store = run.results / "composites" / "monthly" / "herault" / "2018" / "sentinel2.zarr"
    return zarr.open_group(str(store), mode="r")["a"]


def test_the_parcels_cover_the_pixels_that_the_centre_rule_gives(run):
    index, _ = read_raster(run.results / "samples" / "herault" / "herault" / "2018" / "a" / "parcels.tif")
    assert (index > 0).sum() == 16017


def test_every_class_covers_its_polygons_area(run):
    index = read_raster(run.results / "samples" / "herault" / "herault" / "2018" / "a" / "parcels.tif")[0][0]
    parcels = geopandas.read_parquet(run.results / "regions" / "herault" / "2018" / "parcels" / "a.parquet")
    assert len(parcels) == 120
    pixels = np.bincount(index.ravel(), minlength=len(parcels) + 1)
    parcels["pixels"] = pixels[parcels["index"]]
    parcels["square_metres"] = parcels.geometry.area
    for name, group in parcels.groupby("crop_code"):
        tolerance = 0.01 if group["pixels"].sum() > 1000 else 0.15
        assert group["pixels"].sum() * 100 == pytest.approx(group["square_metres"].sum(), rel=tolerance), name


def test_composites_equal_a_plain_computation_on_random_pixels(run, raw):
    months, reflectance, classes = raw
    group = composites(run)
    found, filled = group["reflectance"][:], group["filled"][:]
    generator = np.random.default_rng(7)
    for row, column in zip(generator.integers(0, HEIGHT, 1000), generator.integers(0, WIDTH, 1000), strict=True):
        pixel, scl = reflectance[:, :, row, column].astype(int), classes[:, row, column]
        clear = np.isin(scl, (4, 5, 6, 7)) & (pixel > 0).all(axis=1)
        medians: dict[int, np.ndarray] = {}
        for month in range(1, 13):
            values = np.sort(pixel[clear & (np.array(months) == month)], axis=0)
            if len(values):
                low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
                medians[month] = (low + high + 1) // 2
        expected = np.zeros((12, len(BANDS)), dtype=int)
        for month in range(1, 13):
            before = max((known for known in medians if known < month), default=None)
            after = min((known for known in medians if known > month), default=None)
            if month in medians:
                expected[month - 1] = medians[month]
            elif (after or 13) - (before or 0) - 1 <= 3 and (before or after):
                first, second = medians[before or after], medians[after or before]
                expected[month - 1] = (first + second + 1) // 2
        assert np.array_equal(found[:, :, row, column], expected), (row, column)
        made = np.array([month not in medians and expected[month - 1].any() for month in range(1, 13)])
        assert np.array_equal(filled[:, row, column], made), (row, column)


def test_a_pixel_is_filled_where_it_has_no_valid_observation_and_a_value_was_written(run, raw):
    months, reflectance, classes = raw
    clear = np.isin(classes, (4, 5, 6, 7)) & (reflectance > 0).all(axis=1)
    seen = np.stack([clear[np.array(months) == month].any(axis=0) for month in range(1, 13)])
    group = composites(run)
    written = (group["reflectance"][:] > 0).all(axis=1)
    filled = group["filled"][:]
    assert np.array_equal(filled, ~seen & written)
    assert np.array_equal(group["observations"][:] > 0, seen)
    for month in (2, 3, 5, 11, 12):
        assert not seen[month - 1].any()
        assert np.array_equal(filled[month - 1], written[month - 1])
    # Lossy compression leaves zeros of single bands at the clip's edge; a composite of ten bands needs them all.
    assert (~seen[0]).sum() == 9793


def test_a_composite_of_the_red_band_alone_lacks_9636_pixels_of_january(root, workspace, shared):
    folder = workspace("herault_red", shared)
    red = folder.overlay("red.yaml", {"imagery": {"herault": {"bands": ["B04"]}}})
    target = "results/composites/monthly/herault/2018/sentinel2.zarr"
    done = folder.run(target, overlays=(root / "experiments" / "herault_2018.yaml", red))
    assert done.returncode == 0, done.stderr[-6000:]
    group = composites(folder)
    unseen = group["observations"][0] == 0
    assert unseen.sum() == 9636
    written = group["reflectance"][0, 0] > 0
    assert np.array_equal(group["filled"][0], unseen & written)
    # A gap of January to March may be filled from April; a longer one may not.
    assert np.array_equal(written & unseen, unseen & (group["observations"][3] > 0))


def test_the_empty_product_is_dropped_with_its_reason(run):
    scenes = pandas.read_parquet(run.results / "imagery" / "herault" / "2018" / "sentinel2.parquet")
    dropped = scenes[~scenes["kept"]]
    assert len(scenes) == 10
    assert [scene[11:19] for scene in dropped["scene"]] == ["20180212"]
    assert dropped["reason"].iloc[0].startswith("empty")


def test_the_report_warns_that_the_folds_are_too_small(run):
    page = (run.results / "report" / "herault_2018" / "index.html").read_text()
    assert "fewer than 100" in page
    metrics = read_json(run.results / "evaluation" / "herault_2018" / "metrics.json")
    assert all(fold["warning"] for fold in metrics["folds"])


def test_a_finished_run_plans_nothing_and_verifies(run, overlays):
    assert run.plan(overlays=overlays) == {}
    from cropflow.files.verify import verify

    checked, findings = verify(run.results)
    assert findings == []
    assert checked > 20


def test_a_changed_composite_replans_composites_and_what_follows(run, overlays):
    changed = run.overlay("gap.yaml", {"series": {"monthly": {"max_gap": 2}}})
    jobs = run.plan(overlays=(*overlays, changed))
    assert set(jobs) == {
        "composites",
        "samples",
        "samples_patches",
        "models",
        "models_predict",
        "evaluation",
        "maps",
        "report",
        "all",
    }


def test_one_rule_of_one_region_is_run_again_by_name(run, overlays):
    target = "results/regions/herault/2018/parcels"
    jobs = run.plan(target, "--forcerun", "regions_parcels", overlays=overlays)
    assert jobs == {"regions_parcels": 1}
