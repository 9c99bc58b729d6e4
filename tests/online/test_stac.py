"""The STAC services themselves: a search, and a window of one scene; skipped where there is no network or account."""

from __future__ import annotations

import datetime
import json

import httpx
import numpy as np
import pytest

from cropflow.config.imagery import SENTINEL2_BANDS, Imagery
from cropflow.files.remote import Limits
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.names import has_offset
from cropflow.imagery.scenes import SCL
from cropflow.imagery.stac.providers import PROVIDERS
from cropflow.imagery.stac.signing import Copernicus
from cropflow.imagery.stac.source import StacSource
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint

# A square of 2 km in the Beauce.
SITE = Grid(32631, 420_000.0, 5_340_000.0, 200, 200, 10.0)
WINDOW = (datetime.date(2023, 6, 1), datetime.date(2023, 6, 30))


def open_source(provider: str) -> StacSource:
    try:
        httpx.get(PROVIDERS[provider].url, timeout=20).raise_for_status()
    except httpx.HTTPError:
        pytest.skip(f"{provider} cannot be reached")
    return StacSource(Imagery(source="stac", provider=provider), Limits(8, 20))


def fewest_clouds(source: StacSource):
    found = source.find("sentinel2", {"site": SITE}, WINDOW)
    kept = [one.scene for one in judge_scenes(found, footprint(SITE), WINDOW, 100) if one.kept]
    return min(kept, key=lambda scene: scene.cloud_percent)


@pytest.mark.parametrize("provider", ["earth-search", "planetary-computer", "copernicus"])
def test_a_month_of_sentinel_2_over_a_site_is_found_and_read(provider):
    if provider == "copernicus" and not Copernicus.has_keys():
        pytest.skip("keys of Copernicus' object store are missing")
    source = open_source(provider)
    scene = fewest_clouds(source)
    assert set(scene.layers) == {*SENTINEL2_BANDS, SCL}
    assert has_offset(scene.baseline)
    assert not any("?" in address for address in scene.layers.values())
    layers = source.read(scene, SITE, ("B04", "B05", SCL))
    assert not any(layer.resampled for layer in layers.values())
    assert layers[SCL].values.max() <= 11
    assert (layers["B04"].values > 0).mean() > 0.99
    # The offset is in the values of all three services.
    assert np.percentile(layers["B04"].values, 1) > 1000


def test_two_services_hold_the_same_pixels():
    here, there = (open_source(provider) for provider in ("earth-search", "planetary-computer"))
    one = fewest_clouds(here)
    others = there.find("sentinel2", {"site": SITE}, WINDOW)
    other = next(
        scene for scene in others
        if (scene.tile, scene.baseline) == (one.tile, one.baseline) and abs(scene.time - one.time).total_seconds() < 600
    )  # fmt: skip
    for name in ("B04", SCL):
        np.testing.assert_array_equal(
            here.read(one, SITE, (name,))[name].values, there.read(other, SITE, (name,))[name].values
        )


def test_terrain_corrected_radar_is_found_and_read():
    source = open_source("planetary-computer")
    found = [*source.find("sentinel1_ascending", {"site": SITE}, WINDOW)]
    found += source.find("sentinel1_descending", {"site": SITE}, WINDOW)
    assert {(scene.radiometry, scene.unit) for scene in found} == {("gamma0", "linear")}
    values = source.read(found[0], SITE, ("VV", "VH"))
    power = {name: float(np.nanmean(layer.values)) for name, layer in values.items()}
    assert 0 < power["VH"] < power["VV"] < 10


def test_what_the_services_say_of_themselves_is_what_is_expected():
    for name, provider in PROVIDERS.items():
        open_source(name)
        for collection in provider.collections.values():
            answer = httpx.get(f"{provider.url}/collections/{collection}", timeout=60)
            assert json.loads(answer.text)["id"] == collection
