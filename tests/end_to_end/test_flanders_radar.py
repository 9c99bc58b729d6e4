"""159 real Sentinel-1 passes over one square, from records to composites, beside the same square's Sentinel-2."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import zarr
from rasterio.features import rasterize
from typer.testing import CliRunner

from cropflow.composites.command import app as composites
from cropflow.files.atomic import atomic_folder, read_json
from cropflow.files.cubes import create_store, open_store
from cropflow.files.tables import write_table
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.export import export_scenes
from cropflow.imagery.local import LocalSource
from cropflow.imagery.sentinel1.export import export_radar
from cropflow.regions.grid import snapped_grid
from cropflow.regions.sites import footprint

MAIZE = "1200"
BOUNDS = (501360, 5629040, 502000, 5629680)
SEASON = {"start": "2018-01-01", "end": "2018-11-30"}
# VH of maize, dB, by month: the figures that every way through the chain must give.
EXPECTED = {5: -18.8, 8: -15.7}
TOLERANCE = 0.2
NODATA = -32768


@pytest.fixture(scope="module")
def grid():
    return snapped_grid(BOUNDS, 32631, 10.0)


@pytest.fixture(scope="module")
def maize(shared: Path, grid) -> np.ndarray:
    """All maize pixels, without an inner buffer."""
    parcels = geopandas.read_file(shared / "data" / "flanders_2018" / "parcels.gpkg").to_crs(grid.epsg)
    chosen = parcels[parcels["crop_code"].astype(str) == MAIZE].geometry
    inside = rasterize(((shape, 1) for shape in chosen), grid.shape, transform=grid.transform).astype(bool)
    assert inside.sum() == 1249
    return inside


@pytest.fixture(scope="module")
def exported(shared: Path, grid, tmp_path_factory) -> Path:
    """The stores and catalogues of both sensors."""
    folder = tmp_path_factory.mktemp("flanders")
    source = LocalSource(shared / "data" / "flanders_2018", "items", "sigma0")
    window = tuple(datetime.date.fromisoformat(SEASON[key]) for key in ("start", "end"))
    for sensor in ("sentinel2", "sentinel1_ascending"):
        decisions = {"a": judge_scenes(source.find(sensor, {"a": grid}, window), footprint(grid), window)}
        with atomic_folder(folder / f"{sensor}.zarr") as temporary:
            store = create_store(temporary)
            if sensor == "sentinel2":
                table = export_scenes(store, {"a": grid}, decisions, ("B04", "B08"), "02.07", source.read)
            else:
                table = export_radar(store, {"a": grid}, decisions, source.read)
        write_table(folder / f"{sensor}.parquet", table)
    return folder


@pytest.fixture
def composite(exported: Path, tmp_path: Path):
    def run(sensor: str, **series):
        arguments = ["--scenes", str(exported / f"{sensor}.zarr"), "--catalogue", str(exported / f"{sensor}.parquet")]
        arguments += ["--settings", json.dumps(series), "--season", json.dumps(SEASON)]
        output = tmp_path / f"{sensor}.zarr"
        result = CliRunner().invoke(composites, [*arguments, "--output", str(output)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return open_store(output)["a"], read_json(tmp_path / f"{sensor}.zarr.manifest.json")["counts"]["sites"]["a"]

    return run


def pooled(backscatter: np.ndarray, weights: np.ndarray) -> float:
    """Mean of dB x 100 in linear power, dB."""
    power = np.where(backscatter == NODATA, 0, 10 ** (backscatter / 1000.0))
    return float(10 * np.log10((power * weights).sum() / ((backscatter != NODATA) * weights).sum()))


def months_of(group: zarr.Group) -> np.ndarray:
    return np.array([int(time[5:7]) for time in group.attrs["times"]])


def test_all_passes_are_exported_and_none_is_masked_where_it_should_not_be(exported, grid):
    group = open_store(exported / "sentinel1_ascending.zarr")["a"]
    assert group["backscatter"].shape == (109, 2, *grid.shape)
    assert group.attrs["radiometry"] == "sigma0"
    assert set(group.attrs["relative_orbits"]) == {-1}
    assert (group["backscatter"][:] != NODATA).mean() > 0.999


@pytest.mark.parametrize("month", sorted(EXPECTED))
def test_maize_scatters_as_it_should_scene_by_scene(exported, maize, month):
    group = open_store(exported / "sentinel1_ascending.zarr")["a"]
    vh = group["backscatter"][:, 1][months_of(group) == month][:, maize]
    assert pooled(vh, np.ones_like(vh)) == pytest.approx(EXPECTED[month], abs=TOLERANCE)


def test_composites_of_each_orbit_weighted_by_their_observations_give_the_same(composite, exported, maize):
    group, counts = composite("sentinel1_ascending", radar={"orbits": "each"})
    assert group.attrs["bands"] == ["VV_t1732", "VH_t1732", "VV_t1740", "VH_t1740"]
    assert counts["orbits"] == {"t1732": 55, "t1740": 54}
    scenes = open_store(exported / "sentinel1_ascending.zarr")["a"]
    for month, expected in EXPECTED.items():
        vh = group["backscatter"][month - 1, 1::2][:, maize]
        found = pooled(vh, group["orbit_observations"][month - 1][:, maize])
        assert found == pytest.approx(expected, abs=TOLERANCE)
        of_month = scenes["backscatter"][:, 1][months_of(scenes) == month][:, maize]
        assert found == pytest.approx(pooled(of_month, np.ones_like(of_month)), abs=0.01)


def test_one_orbit_alone_gives_the_same(composite, maize):
    group, counts = composite("sentinel1_ascending", radar={"difference": True})
    assert group.attrs["bands"] == ["VV", "VH", "VH-VV"]
    assert group.attrs["relative_orbits"] == ["t1732"]
    assert counts["orbits"] == {"t1732": 55}
    assert (counts["scenes"], counts["left_out"]) == (109, 54)
    for month, expected in EXPECTED.items():
        vh = group["backscatter"][month - 1, 1][maize]
        assert pooled(vh, group["observations"][month - 1][maize]) == pytest.approx(expected, abs=TOLERANCE)


def test_the_speckle_filter_keeps_the_level_of_the_square_and_smooths_the_fields(composite, maize):
    found = {}
    for speckle in ("none", "multitemporal"):
        group, _ = composite("sentinel1_ascending", radar={"speckle": speckle})
        found[speckle] = group["backscatter"][:, 1]
    for month in EXPECTED:
        raw, filtered = found["none"][month - 1], found["multitemporal"][month - 1]
        assert pooled(filtered, np.ones_like(filtered)) == pytest.approx(pooled(raw, np.ones_like(raw)), abs=0.1)
        # Fields whose contrast to their neighbours changes within the filter's days lose a little of it.
        assert pooled(filtered[maize], np.ones(1)) == pytest.approx(pooled(raw[maize], np.ones(1)), abs=0.3)
        steps = [np.abs(np.diff(values[:, ::2].astype(float), axis=1)).mean() for values in (raw, filtered)]
        assert steps[1] < 0.9 * steps[0]


def test_both_sensors_have_the_same_months_on_the_same_grid_with_counts(composite):
    radar, radar_counts = composite("sentinel1_ascending")
    optical, optical_counts = composite("sentinel2")
    assert radar.attrs["periods"] == optical.attrs["periods"]
    assert radar.attrs["transform"] == optical.attrs["transform"]
    assert radar["backscatter"].shape[2:] == optical["reflectance"].shape[2:] == (64, 64)
    # Clouds leave gaps, the radar sees through them.
    assert sum(optical_counts["without_observation"]) > 0
    assert sum(radar_counts["without_observation"]) == 0
    for counts in (radar_counts, optical_counts):
        filled, nodata = np.array(counts["filled"]), np.array(counts["nodata"])
        np.testing.assert_array_equal(filled + nodata, counts["without_observation"])
    assert optical_counts["scenes"] > 60
    assert radar_counts["scenes"] == 109
