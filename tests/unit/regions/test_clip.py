import geopandas
import numpy as np
import pandas
import pyproj
import pytest
import shapely

from cropflow.errors import CropflowError
from cropflow.files.tables import write_table
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.clip import clip_parcels, read_parcels_within
from cropflow.regions.grid import Grid

GRID = Grid(32631, 523_560, 4_832_780, 100, 100, 10.0)
XMIN, YMIN, XMAX, YMAX = GRID.bounds


def register(shapes, crs=32631, names=None):
    """Parcels drawn in the UTM zone of the site, in the CRS of a register."""
    table = geopandas.GeoDataFrame(
        {
            "parcel_id": [f"p{n}" for n in range(len(shapes))] if names is None else names,
            "crop_code": [f"c{n}" for n in range(len(shapes))],
        },
        geometry=list(shapes),
        crs=32631,
    ).to_crs(crs)
    table.insert(2, "area_ha", ellipsoidal_area_ha(table.geometry))
    return table


def box(left, bottom, right, top):
    """A rectangle by its distance from the lower left corner of the site, metres."""
    return shapely.box(XMIN + left, YMIN + bottom, XMIN + right, YMIN + top)


@pytest.mark.parametrize("crs", [32631, 2154, 4326, 3035])
def test_parcels_are_clipped_flagged_and_numbered_whatever_the_crs_of_the_register(crs):
    parcels = register([box(100, 100, 300, 200), box(-100, 400, 100, 500), box(2000, 0, 2100, 100)], crs)
    clipped = clip_parcels(parcels, GRID)
    table = clipped.parcels
    assert table.crs.to_epsg() == 32631
    assert table["index"].tolist() == [1, 2]
    assert table["index"].dtype == np.uint32
    assert table["parcel_id"].tolist() == ["p0", "p1"]
    assert table["crop_code"].tolist() == ["c0", "c1"]
    assert table["cut"].tolist() == [False, True]
    assert clipped.outside == 1
    np.testing.assert_allclose(shapely.area(table.geometry.to_numpy()), [20_000, 10_000], rtol=1e-4)
    np.testing.assert_allclose(table["site_area_ha"] / table["area_ha"], [1, 0.5], rtol=1e-4)
    inside = table.geometry.buffer(-1e-6).within(shapely.box(*GRID.bounds))
    assert inside.all()


def test_areas_on_the_ellipsoid_differ_from_planar_ones_and_are_kept():
    clipped = clip_parcels(register([box(100, 100, 600, 600)], 2154), GRID)
    geod = pyproj.Geod(ellps="WGS84")
    ring = clipped.parcels.to_crs(4326).geometry.iloc[0]
    geodesic = abs(geod.geometry_area_perimeter(ring)[0]) / 10_000
    assert abs(clipped.parcels["area_ha"].iloc[0] / geodesic - 1) < 1e-4
    planar = clipped.parcels.geometry.area.iloc[0] / 10_000
    assert abs(planar / geodesic - 1) > 5e-4


def test_numbers_follow_the_order_of_the_ids_not_of_the_rows():
    parcels = register([box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10)], names=["b", "a", "c"])
    table = clip_parcels(parcels, GRID).parcels
    assert table["parcel_id"].tolist() == ["a", "b", "c"]
    assert table["crop_code"].tolist() == ["c1", "c0", "c2"]


def test_a_parcel_that_only_touches_the_site_is_dropped_and_counted():
    shapes = [box(-50, 0, 0, 50), box(-50, 60, 0.01, 70), box(1000, 1000, 1100, 1100), box(10, 10, 60, 60)]
    clipped = clip_parcels(register(shapes), GRID)
    assert clipped.parcels["parcel_id"].tolist() == ["p3"]
    assert clipped.degenerate == 3
    assert clipped.summary() == {
        "parcels": 1,
        "hectares": round(float(clipped.parcels["site_area_ha"].sum()), 4),
        "cut": 0,
        "dropped": 3,
        "elsewhere": 0,
    }


def test_lines_left_by_clipping_are_taken_out_of_a_parcel():
    # A comb: one tooth inside, the back runs along the border of the site.
    comb = shapely.union_all([box(-20, 0, 0, 100), box(0, 40, 30, 60)])
    table = clip_parcels(register([comb]), GRID).parcels
    assert table.geometry.iloc[0].geom_type == "Polygon"
    assert table.geometry.area.iloc[0] == pytest.approx(600)


def test_a_parcel_cut_in_two_becomes_a_multi_polygon():
    horseshoe = shapely.union_all([box(-40, 0, 20, 20), box(-40, 40, 20, 60), box(-40, 0, -20, 60)])
    table = clip_parcels(register([horseshoe]), GRID).parcels
    assert table.geometry.iloc[0].geom_type == "MultiPolygon"
    assert table.geometry.area.iloc[0] == pytest.approx(800)


def test_the_rounding_of_a_tiny_parcels_area_is_no_change():
    parcels = register([box(10 + 20 * n, 10, 10 + 20 * n + 0.4 + 0.11 * n, 11.3) for n in range(20)], 2154)
    parcels["area_ha"] = parcels["area_ha"].round(6)
    clipped = clip_parcels(parcels, GRID)
    assert len(clipped.parcels) + clipped.degenerate == 20


def test_a_wrong_crs_shows_in_the_areas_and_is_refused():
    parcels = register([box(0, 0, 100, 100), box(200, 0, 300, 200)])
    mercator = parcels.to_crs(3857)
    mercator["area_ha"] = mercator.geometry.area / 10_000
    with pytest.raises(CropflowError, match=r"Parcel p\d covers .* at most 0\.1% \(2 of 2"):
        clip_parcels(mercator, GRID)


def test_an_id_that_occurs_twice_is_refused():
    with pytest.raises(CropflowError, match="1 parcel ids occur twice: x"):
        clip_parcels(register([box(0, 0, 10, 10), box(20, 0, 30, 10)], names=["x", "x"]), GRID)


def test_a_site_without_parcels_gives_an_empty_table(tmp_path):
    write_table(tmp_path / "parcels.parquet", register([box(5000, 0, 5100, 100)], 2154))
    found = read_parcels_within(tmp_path / "parcels.parquet", GRID)
    clipped = clip_parcels(found, GRID)
    write_table(tmp_path / "site.parquet", clipped.parcels)
    table = geopandas.read_parquet(tmp_path / "site.parquet")
    assert len(table) == 0
    assert {"index", "parcel_id", "crop_code", "area_ha", "site_area_ha", "cut"} <= set(table.columns)
    assert pandas.api.types.is_bool_dtype(table["cut"])


@pytest.mark.parametrize("crs", [2154, 4326])
def test_reading_by_bounding_box_loses_no_parcel(tmp_path, crs):
    rng = np.random.default_rng(0)
    corners = rng.uniform(-1500, 2500, (400, 2))
    parcels = register([box(x, y, x + 60, y + 40) for x, y in corners], crs)
    write_table(tmp_path / "parcels.parquet", parcels)
    found = read_parcels_within(tmp_path / "parcels.parquet", GRID)
    assert len(found) < len(parcels)
    selected, everything = clip_parcels(found, GRID), clip_parcels(parcels, GRID)
    assert selected.parcels["parcel_id"].tolist() == everything.parcels["parcel_id"].tolist()
    np.testing.assert_array_equal(selected.parcels["site_area_ha"], everything.parcels["site_area_ha"])
