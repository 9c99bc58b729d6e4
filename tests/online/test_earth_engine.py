"""Maps and imagery from Earth Engine itself; skipped without an account, or where the service is out of reach."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pytest

from cropflow.config.imagery import SENTINEL2_BANDS, Imagery
from cropflow.errors import CropflowError
from cropflow.files.class_rasters import open_classes
from cropflow.files.remote import Limits
from cropflow.imagery.earth_engine.source import EarthEngineSource
from cropflow.imagery.scenes import SCL
from cropflow.imagery.stac.source import StacSource
from cropflow.labels.legend import read_table
from cropflow.regions.grid import Grid

pytestmark = pytest.mark.usefixtures("account")

COLLECTION = "JRC/D5/EUCROPMAP/V1"


def test_the_collection_tells_images_of_both_years():
    with pytest.raises(CropflowError) as caught, open_classes(f"ee://{COLLECTION}"):
        pass
    names = re.findall(rf"{COLLECTION}/(\w+)", str(caught.value))
    assert any("2018" in name for name in names), names
    assert any("2022" in name for name in names), names


def test_the_map_of_2018_holds_the_codes_of_its_table():
    """A square of 5 km in the Beauce, in the projection of the map."""
    with open_classes(f"ee://{COLLECTION}/2018") as classes:
        assert classes.crs.to_epsg() == 3035
        assert (classes.transform.a, classes.transform.e) == (10, -10)
        span = classes.span((3_695_000, 2_820_000, 3_700_000, 2_825_000))
        values, valid = classes.read(span)
    assert values.shape[0] in (500, 501)
    assert values.shape[1] in (500, 501)
    assert valid.mean() > 0.9
    known = {int(code) for code in read_table("eucropmap", "eucropmap")}
    assert set(np.unique(values[valid]).tolist()) <= known


# 1 km in the Beauce, and the June of a year whose baseline carries an offset elsewhere.
SITE = {"beauce": Grid(32631, 420_000.0, 5_340_010.0, 100, 100, 10.0)}
WINDOW = (datetime.date(2023, 6, 1), datetime.date(2023, 6, 30))


def source(**settings) -> EarthEngineSource:
    return EarthEngineSource(Imagery(source="earth_engine", **settings), Limits(8, 20.0))


def test_sentinel_2_and_its_cloud_scores():
    opened = source(cloud_score=True)
    scenes = opened.find("sentinel2", SITE, WINDOW)
    assert 4 <= len(scenes) <= 40
    assert all(scene.baseline >= "05.00" and scene.radiometry == "harmonised" for scene in scenes)
    assert all(WINDOW[0] <= scene.time.date() <= WINDOW[1] for scene in scenes)
    clearest = min(scenes, key=lambda scene: scene.cloud_percent)
    assert clearest.tile.startswith("31")
    layers = opened.read(clearest, SITE["beauce"], (*SENTINEL2_BANDS, SCL, "cloud_score"))
    assert all(layer.values.shape == (100, 100) and not layer.resampled for layer in layers.values())
    assert set(np.unique(layers[SCL].values)) <= set(range(12))
    # Fields in June, without an offset: dark in the blue, bright in the near infrared.
    assert np.median(layers["B02"].values) < 1000 < np.median(layers["B08"].values)
    assert 0 <= layers["cloud_score"].values.min() <= layers["cloud_score"].values.max() <= 100
    assert np.median(layers["cloud_score"].values) > 50


def test_a_stac_service_holds_the_same_pixels():
    """Planetary Computer, whose values keep the offset that Google takes off."""
    opened = source()
    other = StacSource(Imagery(source="stac", provider="planetary-computer"), Limits(8, 20.0))
    theirs = {(scene.tile, scene.baseline, scene.time.date()): scene for scene in other.find("sentinel2", SITE, WINDOW)}
    ours = {(scene.tile, scene.baseline, scene.time.date()): scene for scene in opened.find("sentinel2", SITE, WINDOW)}
    both = sorted(ours.keys() & theirs.keys())
    assert both, "no acquisition is of the same baseline in both archives"
    grid, layers = SITE["beauce"], ("B04", "B8A", SCL)
    one, two = opened.read(ours[both[0]], grid, layers), other.read(theirs[both[0]], grid, layers)
    np.testing.assert_array_equal(one[SCL].values, two[SCL].values)
    for band in layers[:2]:
        stored = two[band].values.astype(int)
        np.testing.assert_array_equal(one[band].values, np.where(stored > 0, np.maximum(stored - 1000, 0), 0))


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_sentinel_1(direction):
    opened = source(sensors=(f"sentinel1_{direction}",))
    scenes = opened.find(f"sentinel1_{direction}", SITE, WINDOW)
    assert 2 <= len(scenes) <= 20
    assert all(1 <= scene.relative_orbit <= 175 for scene in scenes)
    layers = opened.read(scenes[0], SITE["beauce"], ("VV", "VH", "angle"))
    vv, vh, angle = (layers[name].values for name in ("VV", "VH", "angle"))
    assert np.isfinite(vv).mean() > 0.9
    assert -20 < np.nanmedian(vv) < -5
    assert np.nanmedian(vh) < np.nanmedian(vv)
    assert 25 < np.nanmin(angle) <= np.nanmax(angle) < 50
