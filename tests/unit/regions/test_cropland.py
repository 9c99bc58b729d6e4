import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.regions import Cropland
from cropflow.errors import CropflowError
from cropflow.files.rasters import write_cog
from cropflow.labels.cropland import cropland_share
from cropflow.regions.cropland import densest_squares
from cropflow.regions.grid import Grid
from cropflow.regions.sites import centre, footprint, overlaps

TOWN = (3.0, 45.0)  # x 500,000 m of EPSG:32631


def chosen(towns=None, **keys):
    given = {"per_town": 3, "radius_km": 6, "side_km": 2, "step_km": 0.5, **keys}
    return Cropland(method="cropland", raster="map.tif", towns=towns or {"town": TOWN}, **given)


def sown(density):
    """The share of cropland by a density over the ground, taken at the middle of each cell."""

    def share(squares):
        middle = squares.centroid
        return np.array([density(x, y) for x, y in zip(middle.x, middle.y, strict=True)], dtype=float)

    return share


def test_the_densest_square_comes_first_and_none_overlaps():
    found = densest_squares(chosen(), 10, sown(lambda x, y: 1 - abs(x - 503_000) / 20_000))
    assert sorted(found.sites) == ["town_1", "town_2", "town_3"]
    assert overlaps(found.sites) == {}
    assert found.share["town_1"] >= found.share["town_2"] >= found.share["town_3"]
    assert {(grid.bounds[0] + grid.bounds[2]) / 2 for grid in found.sites.values()} == {503_000}
    assert all(grid.shape == (200, 200) for grid in found.sites.values())
    assert found.counts["without_data"] == 0


def test_among_equals_the_nearest_then_the_southernmost_then_the_westernmost_is_taken():
    found = densest_squares(chosen(per_town=4), 10, sown(lambda x, y: 0.5))
    first = found.sites["town_1"].bounds
    x, y = (first[0] + first[2]) / 2, (first[1] + first[3]) / 2
    assert np.hypot(x - 500_000, y - 4_982_950) < 360  # within half a step's diagonal of the town
    assert overlaps(found.sites) == {}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_choice_is_greedy_and_does_not_depend_on_the_order_of_the_towns(seed):
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.0002, 0.002, 4)

    def density(x, y):
        return 0.5 + 0.25 * (np.sin(waves[0] * x + waves[1] * y) + np.cos(waves[2] * x - waves[3] * y))

    towns = {"a": (2.98, 45.0), "b": (3.02, 45.01), "c": (3.0, 44.96)}
    found = densest_squares(chosen(towns), 10, sown(density))
    again = densest_squares(chosen(dict(reversed(towns.items()))), 10, sown(density))
    assert (again.sites, again.share) == (found.sites, found.share)
    assert overlaps(found.sites) == {}
    best = max(found.share, key=lambda name: found.share[name])
    assert best.endswith("_1")
    for town, place in towns.items():
        for rank in (1, 2, 3):
            lon, lat = centre(found.sites[f"{town}_{rank}"])
            assert np.hypot((lon - place[0]) * 78_800, (lat - place[1]) * 111_130) < 6_020


def test_squares_of_two_zones_lie_in_that_of_their_centre_and_do_not_overlap():
    towns = {"west": (5.99, 45.0), "east": (6.01, 45.0)}
    found = densest_squares(chosen(towns, per_town=5), 10, lambda squares: np.full(len(squares), 0.5))
    assert len(found.sites) == 10
    assert overlaps(found.sites) == {}
    for grid in found.sites.values():
        assert grid.epsg == (32631 if centre(grid)[0] < 6 else 32632)
    assert {grid.epsg for grid in found.sites.values()} == {32631, 32632}


def test_a_town_at_the_antimeridian_has_squares_on_both_sides():
    def share(cells):
        # As a map in degrees, which cannot place a cell on both of its edges.
        assert (cells.to_crs(4326).bounds.eval("maxx - minx") < 1).all()
        return np.full(len(cells), 0.5)

    found = densest_squares(chosen({"fiji": (179.999, -17.0)}, per_town=8), 10, share)
    assert {grid.epsg for grid in found.sites.values()} == {32760, 32701}
    assert overlaps(found.sites) == {}


def test_what_the_map_does_not_show_is_no_cropland_and_is_counted():
    def share(squares):
        return np.where(squares.centroid.x < 500_000, np.nan, 0.3)

    found = densest_squares(chosen(per_town=1), 10, share)
    assert found.share["town_1"] == pytest.approx(0.3)
    assert 0 < found.counts["without_data"] < found.counts["candidates"]
    with pytest.raises(CropflowError, match=r"choose\.towns\.town has 0 squares .* without data in choose\.raster"):
        densest_squares(chosen(per_town=1), 10, lambda squares: np.full(len(squares), np.nan))


def test_more_squares_than_there_is_room_for_are_refused():
    with pytest.raises(CropflowError, match=r"choose\.towns\.town has \d+ squares .* choose\.per_town = 200"):
        densest_squares(chosen(per_town=200), 10, sown(lambda x, y: 0.5))


def test_shares_over_cells_are_those_of_the_whole_square_in_a_real_map(tmp_path):
    grid = Grid(32631, 490_000, 4_993_000, 2000, 2000, 10.0)
    values = np.random.default_rng(0).choice(np.array([10, 40], dtype=np.uint8), grid.shape, p=[0.4, 0.6])
    values[:, :1000] = np.where(values[:, :1000] == 40, 30, values[:, :1000])
    write_cog(tmp_path / "map.tif", values, grid, 0)
    found = densest_squares(chosen(), 10, lambda squares: cropland_share(tmp_path / "map.tif", squares))
    for name, site in found.sites.items():
        square = geopandas.GeoSeries([shapely.box(*site.bounds)], crs=site.epsg)
        assert found.share[name] == pytest.approx(cropland_share(tmp_path / "map.tif", square)[0], abs=1e-9)
        assert found.share[name] == pytest.approx(0.6, abs=0.02)
        assert footprint(site).bounds[0] >= 2.999
