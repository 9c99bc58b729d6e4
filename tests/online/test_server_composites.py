"""A composite that Earth Engine itself computes, beside ours of the same images; skipped without an account."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from cropflow.composites.overpasses import first_of_day
from cropflow.composites.periods import season_calendar, solar_days
from cropflow.composites.server.fetch import fetch_sites, plan_site
from cropflow.composites.server.parts import PartStore
from cropflow.config.imagery import Imagery, Series
from cropflow.files.remote import Limits
from cropflow.imagery.choosing import choose_scenes
from cropflow.imagery.earth_engine.source import EarthEngineSource
from cropflow.imagery.sentinel2 import read_scene
from cropflow.regions.grid import Grid
from cropflow.regions.sites import centre

pytestmark = pytest.mark.usefixtures("account")

# Fields of the Beauce; baselines of both sides of 04.00 in the archive of these months.
GRID = Grid(32631, 396_000.0, 5_339_480.0, 31, 33, 10.0)
START, END = datetime.date(2022, 5, 1), datetime.date(2022, 6, 30)


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_services_composite_is_ours_within_1(tmp_path, statistic):
    settings = {"source": "earth_engine", "reduce": "server", "bands": ["B02", "B04", "B05", "B8A"]}
    imagery, series = Imagery.model_validate(settings), Series.model_validate({"statistic": statistic, "fill": "none"})
    limits = Limits(4, 4.0)
    source = EarthEngineSource(imagery, limits)
    found = source.find("sentinel2", {"a": GRID}, (START, END))
    decisions = choose_scenes(imagery, "sentinel2", found, {"a": GRID}, (START, END))["a"]
    scenes = [decision.scene for decision in decisions if decision.kept]
    calendar = season_calendar(START, END, series)
    site = plan_site("a", GRID, scenes, calendar, imagery)
    ((_, _, block),) = fetch_sites([site], imagery, series, PartStore(tmp_path / "work", limits), 1)

    pixels = [read_scene(source.read, scene, GRID, imagery.bands) for scene in scenes]
    reflectance = np.stack([one.reflectance for one in pixels]).astype(np.float64)
    scl = np.stack([one.scl for one in pixels])
    valid = np.isin(scl, series.mask.classes) & (reflectance > 0).all(axis=1)
    times = [scene.stamp for scene in scenes]
    first_of_day(valid, solar_days(times, centre(GRID)[0]))
    period = calendar.period_of(times)
    for index in range(len(calendar)):
        seen = np.ma.MaskedArray(reflectance, np.broadcast_to(~valid[:, np.newaxis], reflectance.shape))[
            period == index
        ]
        expected = (np.ma.mean if statistic == "mean" else np.ma.median)(seen, axis=0).filled(0)
        assert np.array_equal(block.observations[index], valid[period == index].sum(axis=0))
        assert np.abs(block.reflectance[index] - expected).max() <= 1
    assert block.observations.max() >= 2
