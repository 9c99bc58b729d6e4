"""What images of Earth Engine say of themselves, and where they are looked for."""

from __future__ import annotations

import math

import pytest
import shapely
from shapely.geometry import MultiPolygon

from cropflow.errors import CropflowError
from cropflow.imagery.earth_engine.records import is_of, search_boxes, sentinel1_scene, sentinel2_scene

RING = [[2.0, 49.0], [3.0, 49.0], [3.0, 50.0], [2.0, 50.0], [2.0, 49.0]]
OPTICAL = {
    "type": "IMAGE",
    "name": "projects/earthengine-public/assets/COPERNICUS/S2_SR_HARMONIZED/20180627T104021_20180627T104020_T31TEJ",
    "id": "COPERNICUS/S2_SR_HARMONIZED/20180627T104021_20180627T104020_T31TEJ",
    "startTime": "2018-06-27T10:44:35.450Z",
    "geometry": {"type": "LinearRing", "coordinates": RING},
    "bands": [{"id": name} for name in ("B1", "B2", "B8A", "B11", "SCL", "QA60")],
    "properties": {
        "PROCESSING_BASELINE": "02.08",
        "PRODUCT_ID": "S2A_MSIL2A_20180627T104021_N0208_R008_T31TEJ_20180627T143337",
        "MGRS_TILE": "31TEJ",
        "SENSING_ORBIT_NUMBER": 8,
        "CLOUDY_PIXEL_PERCENTAGE": 12.5,
        "GENERATION_TIME": 1530110017000,
        "SPACECRAFT_NAME": "Sentinel-2A",
    },
}
RADAR = {
    "type": "IMAGE",
    "id": "COPERNICUS/S1_GRD/S1B_IW_GRDH_1SDV_20180601T173256_20180601T173321_011182_014875_BDD5",
    "startTime": "2018-06-01T17:32:56Z",
    "geometry": {"type": "Polygon", "coordinates": [RING]},
    "bands": [{"id": name} for name in ("VV", "VH", "angle")],
    "properties": {
        "instrumentMode": "IW",
        "orbitProperties_pass": "ASCENDING",
        "relativeOrbitNumber_start": 59,
        "platform_number": "B",
        "transmitterReceiverPolarisation": ["VV", "VH"],
    },
}


def test_an_image_of_sentinel_2_is_a_scene():
    scene = sentinel2_scene(OPTICAL, harmonised=True, cloud_score=True)
    assert scene.id == "20180627T104021_20180627T104020_T31TEJ"
    assert scene.source == OPTICAL["id"]
    assert scene.stamp == "2018-06-27T10:44:35Z"
    assert (scene.platform, scene.tile, scene.relative_orbit) == ("sentinel-2a", "31TEJ", 8)
    assert (scene.baseline, scene.made, scene.cloud_percent) == ("02.08", "20180627T143337", 12.5)
    assert (scene.sensor, scene.radiometry, scene.unit) == ("sentinel2", "harmonised", "")
    assert scene.layers == {"B02": "B2", "B8A": "B8A", "B11": "B11", "SCL": "SCL", "cloud_score": "cs_cdf"}
    assert scene.outline.equals(shapely.Polygon(RING))


def test_what_an_image_does_not_say_its_product_name_may():
    image = OPTICAL | {"properties": {"PRODUCT_ID": OPTICAL["properties"]["PRODUCT_ID"]}}
    scene = sentinel2_scene(image, harmonised=False, cloud_score=False)
    assert (scene.platform, scene.tile, scene.relative_orbit) == ("sentinel-2a", "31TEJ", 8)
    assert (scene.baseline, scene.made, scene.radiometry) == ("02.08", "20180627T143337", "")
    bare = OPTICAL | {"properties": {}, "geometry": None}
    scene = sentinel2_scene(bare, harmonised=False, cloud_score=False)
    assert (scene.platform, scene.tile, scene.relative_orbit, scene.baseline) == ("sentinel-2", "31TEJ", -1, "")
    assert math.isnan(scene.cloud_percent)
    assert scene.extent is None


def test_the_time_may_stand_among_the_properties_and_must_stand_somewhere():
    without = {key: value for key, value in OPTICAL.items() if key != "startTime"}
    image = without | {"properties": {"system:time_start": 1530096275450}}
    assert sentinel2_scene(image, harmonised=True, cloud_score=False).stamp == "2018-06-27T10:44:35Z"
    with pytest.raises(CropflowError, match=r"T31TEJ has no start time"):
        sentinel2_scene(without, harmonised=True, cloud_score=False)


def test_an_image_of_sentinel_1_is_sigma_nought_in_decibel():
    scene = sentinel1_scene(RADAR, "sentinel1_ascending")
    assert (scene.sensor, scene.radiometry, scene.unit) == ("sentinel1_ascending", "sigma0", "dB")
    assert (scene.platform, scene.relative_orbit, scene.tile, scene.baseline) == ("sentinel-1b", 59, "", "")
    assert scene.layers == {"VV": "VV", "VH": "VH", "angle": "angle"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"properties": RADAR["properties"] | {"instrumentMode": "EW"}}, "mode: EW, not IW"),
        ({"bands": [{"id": "VV"}, {"id": "angle"}]}, "polarisation: VV, angle, not VV and VH"),
        ({"bands": []}, "polarisation: none, not VV and VH"),
    ],
)
def test_radar_of_another_kind_is_refused_with_the_reason(change, reason):
    assert sentinel1_scene(RADAR | change, "sentinel1_ascending") == reason


def test_a_direction_is_told_from_the_other():
    assert is_of("sentinel1_ascending", RADAR)
    assert not is_of("sentinel1_descending", RADAR)
    assert not is_of("sentinel1_ascending", RADAR | {"properties": {}})


def test_near_sites_share_a_box_and_far_off_ones_do_not():
    near = [shapely.box(2.1, 48.1, 2.2, 48.2), shapely.box(3.1, 49.1, 3.2, 49.2)]
    far = shapely.box(9.1, 48.1, 9.2, 48.2)
    one, other = search_boxes([*near, far])
    assert all(one.contains(outline) for outline in near)
    assert other.contains(far)
    assert one.bounds == pytest.approx((2.08, 48.08, 3.22, 49.22))


def test_a_site_over_the_antimeridian_is_searched_on_both_sides():
    site = MultiPolygon([shapely.box(179.95, 66.0, 180.0, 66.1), shapely.box(-180.0, 66.0, -179.9, 66.1)])
    west, east = search_boxes([site])
    assert west.bounds == pytest.approx((-180.0, 65.98, -179.88, 66.12))
    assert east.bounds == pytest.approx((179.93, 65.98, 180.0, 66.12))
