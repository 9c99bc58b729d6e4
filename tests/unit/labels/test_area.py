from __future__ import annotations

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.labels.area import ellipsoidal_area_ha, ellipsoidal_perimeter_m

GEOD = pyproj.Geod(ellps="WGS84")


def geodesic(geometry):
    """Area, hectares, and length of all rings, metres; the area has a sign, and the perimeter no holes."""
    area, _ = GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))
    return abs(area) / 10_000, sum(GEOD.geometry_length(ring) for ring in shapely.get_rings(geometry))


@settings(max_examples=40, deadline=None)
@given(
    longitude=st.floats(-179, 179),
    latitude=st.floats(-79, 79),
    metres=st.floats(10, 5_000),
    stretch=st.floats(0.1, 10),
    turn=st.floats(0, 180),
)
def test_area_and_perimeter_agree_with_geodesics_anywhere(longitude, latitude, metres, stretch, turn):
    local = pyproj.CRS(f"+proj=tmerc +lat_0={latitude} +lon_0={longitude} +datum=WGS84")
    hole = shapely.box(-metres / 4, -metres / 4, 0, 0).exterior.coords
    shape = shapely.Polygon(shapely.box(-metres, -metres, metres, metres).exterior.coords, [hole])
    shape = shapely.affinity.rotate(shapely.affinity.scale(shape, stretch**0.5, stretch**-0.5, origin=(0, 0)), turn)
    series = geopandas.GeoSeries([shape], crs=local).to_crs(4326)
    area, perimeter = geodesic(series.iloc[0])
    np.testing.assert_allclose(ellipsoidal_area_ha(series), area, rtol=1e-4)
    np.testing.assert_allclose(ellipsoidal_perimeter_m(series), perimeter, rtol=1e-6)


def test_real_parcels_have_their_geodesic_area_within_a_hundredth_of_a_percent(shared):
    path = shared / "data/rpg_2022_sample/PARCELLES_GRAPHIQUES_2022_sample.gpkg"
    parcels = geopandas.read_file(path).geometry
    expected = [geodesic(geometry)[0] for geometry in parcels.to_crs(4326)]
    np.testing.assert_allclose(ellipsoidal_area_ha(parcels), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("epsg", [2154, 32631, 3857, 3035, 4326, 2263])
def test_the_area_does_not_depend_on_the_crs(epsg):
    centre = geopandas.GeoSeries([shapely.Point(3.0, 47.0)], crs=4326).to_crs(32631)
    parcel = centre.buffer(300).to_crs(4326)
    expected = geodesic(parcel.iloc[0])
    moved = parcel.to_crs(epsg)
    np.testing.assert_allclose(ellipsoidal_area_ha(moved), expected[0], rtol=1e-4)
    np.testing.assert_allclose(ellipsoidal_perimeter_m(moved), expected[1], rtol=1e-4)


def test_missing_and_empty_geometries_have_no_area():
    series = geopandas.GeoSeries([None, shapely.Polygon(), shapely.Point(0, 0)], crs=4326)
    assert ellipsoidal_area_ha(series).tolist() == [0, 0, 0]
    assert ellipsoidal_perimeter_m(series[:2]).tolist() == [0, 0]


def test_metres_that_are_called_degrees_have_no_area():
    series = geopandas.GeoSeries([shapely.box(700_000, 6_600_000, 700_100, 6_600_100)], crs=4326)
    assert np.isnan(ellipsoidal_area_ha(series)).all()


def test_no_geometries_give_no_areas():
    series = geopandas.GeoSeries([], crs=4326)
    assert ellipsoidal_area_ha(series).shape == ellipsoidal_perimeter_m(series).shape == (0,)


def test_chunks_give_the_same_as_the_whole(monkeypatch):
    series = geopandas.GeoSeries([shapely.box(x, 45, x + 0.01, 45.02) for x in range(7)], crs=4326)
    whole = ellipsoidal_area_ha(series), ellipsoidal_perimeter_m(series)
    monkeypatch.setattr("cropflow.labels.area._CHUNK", 3)
    np.testing.assert_array_equal(whole, (ellipsoidal_area_ha(series), ellipsoidal_perimeter_m(series)))


def test_without_a_crs_there_is_no_area():
    with pytest.raises(ValueError, match="no CRS"):
        ellipsoidal_area_ha(geopandas.GeoSeries([shapely.box(0, 0, 1, 1)]))
