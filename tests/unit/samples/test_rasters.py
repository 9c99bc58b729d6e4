from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from cropflow.regions.grid import Grid
from cropflow.samples.labels import IGNORE, UNKNOWN
from cropflow.samples.rasters import crop_raster, rasterise_interiors, rasterise_parcels


def centres(grid: Grid):
    x = grid.xmin + (np.arange(grid.width) + 0.5) * grid.pixel_m
    y = grid.ymax - (np.arange(grid.height) + 0.5) * grid.pixel_m
    return shapely.points(*np.meshgrid(x, y))


def polygon(*corners: tuple[float, float]) -> shapely.Polygon:
    return shapely.Polygon([(500000 + x, 4900000 - y) for x, y in corners])


FIELD = polygon((31, 33), (263, 52), (301, 288), (144, 203), (47, 317))


def test_a_pixel_belongs_to_the_parcel_that_holds_its_centre(grid: Grid, parcel_table):
    burnt = rasterise_parcels(parcel_table([FIELD]), grid)
    assert burnt.dtype == np.uint32
    np.testing.assert_array_equal(burnt == 1, shapely.contains(FIELD, centres(grid)))


def test_of_overlapping_parcels_the_smaller_is_on_top_and_of_equals_the_first(grid: Grid, parcel_table):
    small, large, twin = (polygon((0, 0), (w, 0), (w, 100), (0, 100)) for w in (50, 200, 50))
    burnt = rasterise_parcels(parcel_table([large, small, twin]), grid)
    assert (burnt[:10, :5] == 2).all()
    assert (burnt[:10, 5:20] == 1).all()
    assert not (burnt == 3).any()


def test_a_site_without_parcels_is_empty(grid: Grid, parcel_table):
    table = parcel_table([FIELD]).iloc[:0]
    burnt = rasterise_parcels(table, grid)
    assert not burnt.any()
    assert not rasterise_interiors(table, burnt, grid, 10).interior.any()


def test_the_rim_is_what_lies_nearer_to_the_outline_than_the_buffer(grid: Grid, parcel_table):
    table = parcel_table([FIELD])
    burnt = rasterise_parcels(table, grid)
    rasters = rasterise_interiors(table, burnt, grid, 10)
    distance = shapely.distance(FIELD.exterior, centres(grid))
    sure = abs(distance - 10) > 0.1  # round corners are drawn with a few segments
    np.testing.assert_array_equal(rasters.interior[sure], ((burnt == 1) & (distance > 10))[sure])


def test_the_border_of_the_site_makes_no_rim(grid: Grid, parcel_table):
    # The true parcel reaches 200 m beyond the site; the left edge of the site cuts it.
    whole = polygon((-200, 52), (152, 52), (152, 202), (-200, 202))
    clipped = shapely.intersection(whole, shapely.box(*grid.bounds))
    table = parcel_table([clipped], cut=[True])
    burnt = rasterise_parcels(table, grid)
    rasters = rasterise_interiors(table, burnt, grid, 10)
    distance = shapely.distance(whole.exterior, centres(grid))
    np.testing.assert_array_equal(rasters.interior, (burnt == 1) & (distance > 10))
    assert rasters.interior[10, 0]


def test_a_parcel_whose_true_edge_lies_on_the_border_has_its_rim_there(grid: Grid, parcel_table):
    table = parcel_table([polygon((0, 52), (152, 52), (152, 202), (0, 202))], cut=[False])
    rasters = rasterise_interiors(table, rasterise_parcels(table, grid), grid, 10)
    assert not rasters.interior[:, 0].any()


def test_a_narrow_parcel_keeps_the_pixels_of_a_smaller_buffer(grid: Grid, parcel_table):
    wide = polygon((0, 0), (100, 0), (100, 100), (0, 100))
    narrow = polygon((0, 200), (100, 200), (100, 215), (0, 215))  # 15 m: nothing is 10 m from the edge
    thin = polygon((0, 300), (100, 300), (100, 306), (0, 306))  # 6 m: its centres lie 1 m inside
    missed = polygon((0, 351), (100, 351), (100, 354), (0, 354))  # 3 m, between two rows of centres
    table = parcel_table([wide, narrow, thin, missed])
    burnt = rasterise_parcels(table, grid)
    rasters = rasterise_interiors(table, burnt, grid, 10)
    assert set(np.unique(burnt)) == {0, 1, 2, 3}
    assert rasters.fallback == {5.0: 1, 0.0: 1}
    assert rasters.interior[20].any()
    np.testing.assert_array_equal(rasters.interior[30], burnt[30] == 3)
    assert not rasters.interior[0].any()


def test_without_a_buffer_there_is_no_rim(grid: Grid, parcel_table):
    table = parcel_table([FIELD])
    burnt = rasterise_parcels(table, grid)
    rasters = rasterise_interiors(table, burnt, grid, 0)
    np.testing.assert_array_equal(rasters.interior, burnt == 1)
    assert rasters.fallback == {}


def test_the_rim_is_ignored_never_background(grid: Grid, parcel_table):
    table = parcel_table([FIELD])
    rasters = rasterise_interiors(table, rasterise_parcels(table, grid), grid, 10)
    labels = crop_raster(rasters, np.array([UNKNOWN, 7], dtype=np.uint16))
    rim = (rasters.parcels == 1) & ~rasters.interior
    assert rim.any()
    assert (labels[rim] == IGNORE).all()
    assert (labels[rasters.interior] == 7).all()
    assert (labels[rasters.parcels == 0] == UNKNOWN).all()


def test_herault_has_16017_pixels_inside_parcels(shared: Path):
    import geopandas

    from cropflow.labels.area import ellipsoidal_area_ha
    from cropflow.regions.clip import clip_parcels

    register = geopandas.read_file(shared / "data/herault_2018/reference_data/france_data_2018.shp")
    parcels = geopandas.GeoDataFrame(
        {
            "parcel_id": [f"{row:03d}" for row in range(len(register))],
            "crop_code": register["EC_hcat_n"],
            "area_ha": ellipsoidal_area_ha(register.geometry),
        },
        geometry=register.geometry,
    )
    site = Grid(32631, 523560.0, 4832780.0, 353, 232, 10.0)
    clipped = clip_parcels(parcels, site).parcels
    burnt = rasterise_parcels(clipped, site)
    assert len(clipped) == 120
    assert int((burnt > 0).sum()) == 16_017
    crop = np.append("", clipped["crop_code"].to_numpy())[burnt]
    for name, area in (clipped.geometry.area / 100).groupby(clipped["crop_code"]).sum().items():
        tolerance = 0.01 if area > 1000 else 0.15
        assert abs((crop == name).sum() - area) <= tolerance * area
