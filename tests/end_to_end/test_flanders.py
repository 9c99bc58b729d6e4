"""118 real dates and radar over one square, and a collection that lacks the 10 m bands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import zarr

from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster
from cropflow.labels.legend import read_legend
from cropflow.samples.labels import NO_FOLD

MAIZE, GRASS = "1200", "9120"
QUICK = {
    "experiments": {
        "flanders_2018": {"model": {"epochs": 2}},
        "flanders_2018_forest": {"model": {"name": "random_forest", "trees": 20}},
        "flanders_2018_fusion": {"model": {"name": "random_forest", "trees": 20}},
    }
}


@pytest.fixture(scope="module")
def run(workspace: Callable, shared: Path, root: Path):
    folder = workspace("flanders", shared)
    overlays = (root / "experiments" / "flanders_2018.yaml", folder.overlay("quick.yaml", QUICK))
    done = folder.run(overlays=overlays)
    assert done.returncode == 0, done.stderr[-6000:]
    return folder


def pixels_of(run, crop_code: str) -> np.ndarray:
    """Where the pixels of a crop are, rims included."""
    parcels = geopandas.read_parquet(run.results / "regions" / "flanders" / "2018" / "parcels" / "a.parquet")
    index = read_raster(run.results / "samples" / "flanders" / "flanders" / "2018" / "a" / "parcels.tif")[0][0]
    return np.isin(index, parcels.loc[parcels["crop_code"] == crop_code, "index"])


def median_ndvi(run, crop_code: str) -> dict[int, float]:
    """Median NDVI of a crop's pixels per month."""
    store = run.results / "composites" / "monthly" / "flanders" / "2018" / "sentinel2.zarr"
    group = zarr.open_group(str(store), mode="r")["a"]
    bands = list(group.attrs["bands"])
    values = group["reflectance"][:].astype(float)
    red, infrared = values[:, bands.index("B04")], values[:, bands.index("B08")]
    inside = pixels_of(run, crop_code)
    ndvi = (infrared - red) / (infrared + red)
    return {
        int(period[5:7]): float(np.median(ndvi[place][inside])) for place, period in enumerate(group.attrs["periods"])
    }


def test_maize_greens_late_and_is_harvested_in_autumn(run):
    ndvi = median_ndvi(run, MAIZE)
    for month, expected in {5: 0.28, 6: 0.65, 7: 0.78, 8: 0.73, 10: 0.27}.items():
        assert ndvi[month] == pytest.approx(expected, abs=0.02), month


def test_grass_suffers_from_the_drought_of_2018(run):
    ndvi = median_ndvi(run, GRASS)
    assert ndvi[5] == pytest.approx(0.79, abs=0.02)
    assert ndvi[8] == pytest.approx(0.43, abs=0.02)


def test_the_backscatter_of_maize_rises_as_it_grows(run):
    store = run.results / "composites" / "monthly" / "flanders" / "2018" / "sentinel1_ascending.zarr"
    group = zarr.open_group(str(store), mode="r")["a"]
    vh = group["backscatter"][:, list(group.attrs["bands"]).index("VH")][:, pixels_of(run, MAIZE)]
    months = [int(period[5:7]) for period in group.attrs["periods"]]
    assert (vh > -32768).all()
    assert (group["observations"][:][:, pixels_of(run, MAIZE)] > 0).all()
    for month, expected in {5: -18.8, 8: -15.7}.items():
        decibels = vh[months.index(month)] / 100
        assert 10 * np.log10(np.mean(10 ** (decibels / 10))) == pytest.approx(expected, abs=0.2), month


def test_both_sensors_make_one_model_on_the_same_folds(run):
    model = read_json(run.results / "models" / "flanders_2018_fusion" / "0" / "model" / "model.json")
    assert [one["sensor"] for one in model["sensors"]] == ["sentinel2", "sentinel1_ascending"]
    folds = [run.results / "samples" / name / "flanders" / "folds.parquet" for name in ("flanders", "flanders_fusion")]
    pandas.testing.assert_frame_equal(*(pandas.read_parquet(file) for file in folds))
    page = (run.results / "report" / "flanders_2018_fusion" / "index.html").read_text()
    assert 'id="backscatter"' in page


def test_the_run_ends_with_a_map_scores_and_a_report(run):
    assert (run.results / "report" / "flanders_2018" / "index.html").stat().st_size > 50_000
    predicted, _ = read_raster(run.results / "maps" / "flanders_2018" / "flanders" / "2018" / "a" / "crops.tif")
    # Every pixel is mapped. Two epochs teach the network one crop alone; the forest tells several apart.
    assert set(np.unique(predicted).tolist()) <= set(read_legend("turkoglu").ids)
    forest = pandas.read_parquet(run.results / "evaluation" / "flanders_2018_forest" / "parcels.parquet")
    assert forest["predicted"].nunique() > 1
    metrics = read_json(run.results / "evaluation" / "flanders_2018" / "metrics.json")
    parcels = pandas.read_parquet(run.results / "samples" / "flanders" / "flanders" / "2018" / "parcels.parquet")
    tested = parcels[parcels["crop"].between(1, 48) & (parcels["fold"] != NO_FOLD)]
    assert 0 < len(tested) <= 19
    assert metrics["metrics"]["level_3.parcel.overall_accuracy"]["support"] == len(tested)
    assert [fold["parcels"] for fold in metrics["folds"]] == tested["fold"].value_counts().sort_index().tolist()
    for fold in metrics["folds"]:
        assert "no statement about accuracy" in fold["warning"]


def test_a_collection_without_the_10_m_bands_is_refused_before_any_export(workspace, shared, root):
    folder = workspace("flanders_2019", shared)
    done = folder.run(overlays=(root / "experiments" / "flanders_2019_no_10m.yaml",))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ") and "B02" in line]
    assert len(lines) == 1
    for word in ("B03", "B04", "B08", "B05"):
        assert word in lines[0]
    assert not list(folder.results.rglob("sentinel2.zarr"))
    assert "Traceback" not in done.stderr


def test_without_the_10_m_bands_the_others_and_radar_make_a_map(workspace, shared, root):
    folder = workspace("flanders_2019_radar", shared)
    done = folder.run(overlays=(root / "experiments" / "flanders_2019_radar.yaml",))
    assert done.returncode == 0, done.stderr[-6000:]
    model = read_json(folder.results / "models" / "flanders_2019_radar" / "0" / "model" / "model.json")
    assert model["sensors"][0]["bands"] == ["B05", "B06", "B07", "B8A", "B11", "B12"]
    site = folder.results / "maps" / "flanders_2019_radar" / "flanders_2019_radar" / "2019" / "a"
    assert set(np.unique(read_raster(site / "crops.tif")[0][0]).tolist()) & set(read_legend("turkoglu").ids)
    page = (folder.results / "report" / "flanders_2019_radar" / "index.html").read_text()
    assert "false colour: B11, B8A, B05 as red, green and blue" in page
