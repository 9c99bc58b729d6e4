from __future__ import annotations

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.labels.area import _equal_area, ellipsoidal_area_ha, ellipsoidal_perimeter_m, measured, narrower
from cropflow.labels.placing import check_place
from cropflow.labels.scale import TOLERANCE, LocalScale, local_scale

# Places inside the area of use of each CRS, in its own units.
PLACES = {
    2154: (700_000, 6_600_000), 32631: (600_000, 5_200_000), 3857: (300_000, 6_000_000), 3035: (3_800_000, 2_900_000),
    2975: (340_000, 7_650_000), 2972: (350_000, 500_000), 5490: (650_000, 1_800_000), 4471: (520_000, 8_580_000),
    2263: (1_000_000, 200_000),
}  # fmt: skip


def field(epsg, x, y, side, turn=0.0):
    box = shapely.box(x, y, x + side, y + side * 0.7)
    return geopandas.GeoSeries([shapely.affinity.rotate(box, turn)], crs=epsg)


@settings(max_examples=60, deadline=None)
@given(
    epsg=st.sampled_from(sorted(PLACES)),
    east=st.floats(-30_000, 30_000),
    north=st.floats(-30_000, 30_000),
    side=st.floats(10, 3_000),
    turn=st.floats(0, 180),
)
def test_areas_by_the_local_scale_are_those_of_the_equal_area_projection(epsg, east, north, side, turn):
    shape = field(epsg, PLACES[epsg][0] + east, PLACES[epsg][1] + north, side, turn)
    expected = _equal_area(shape) / 10_000
    np.testing.assert_allclose(ellipsoidal_area_ha(shape), expected, rtol=2 * TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(
    epsg=st.sampled_from(sorted(PLACES)),
    length=st.floats(20, 2_000),
    width=st.floats(0.5, 8),
    turn=st.floats(0, 180),
)
def test_a_width_is_never_less_than_is_known_of_it(epsg, length, width, turn):
    x, y = PLACES[epsg]
    strip = shapely.affinity.rotate(shapely.box(x, y, x + length, y + width), turn)
    series = geopandas.GeoSeries([strip], crs=epsg)
    area_ha, at_least_m = measured(series)
    true = 2e4 * area_ha / ellipsoidal_perimeter_m(series)
    assert np.isnan(at_least_m[0]) or at_least_m[0] <= true[0] * (1 + 2 * TOLERANCE)
    for limit in (0.5 * true[0], 0.99 * true[0], 1.01 * true[0], 2 * true[0]):
        assert narrower(series, area_ha, at_least_m, limit).tolist() == [true[0] < limit]


def test_what_is_measured_does_not_depend_on_what_was_asked_before():
    boxes = np.array([[x, 6_600_000, x + 100, 6_600_100] for x in np.linspace(500_000, 900_000, 200)])
    fresh, used = LocalScale(pyproj.CRS(2154)), LocalScale(pyproj.CRS(2154))
    for box in boxes[::-1]:
        used.at(box[None])
    for one, other in zip(fresh.at(boxes), used.at(boxes), strict=True):
        np.testing.assert_array_equal(one, other)


def test_places_outside_the_crs_and_boxes_without_numbers_are_left_to_others():
    boxes = np.array([[np.nan] * 4, [1e300, 0, 1e300, 1], [0, 0, 1e7, 1e7], [7e5, 6.6e6, 7e5 + 9, 6.6e6 + 9]])
    assert local_scale(pyproj.CRS(2154)).at(boxes)[2].tolist() == [False, False, False, True]


@pytest.mark.parametrize("epsg", sorted(PLACES))
def test_a_register_where_its_crs_is_used_is_accepted(epsg):
    check_place(pyproj.CRS(epsg), *(np.array([value], dtype=float) for value in PLACES[epsg]))


def test_a_crs_across_the_180th_meridian_is_understood():
    fiji = pyproj.CRS(3832)  # Pacific: from 98 E over 180 to 69 W
    check_place(fiji, np.array([3_000_000.0]), np.array([-2_000_000.0]))
    with pytest.raises(CropflowError, match="where that CRS is used"):
        check_place(pyproj.CRS(2154), np.array([3_000_000.0]), np.array([-2_000_000.0]))


def test_a_crs_of_ones_own_without_an_area_is_believed():
    check_place(pyproj.CRS("+proj=laea +lat_0=10 +lon_0=20"), np.array([1e6]), np.array([1e6]))
