from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely

from cropflow.config.regions import Square
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.regions.sites import site_grid
from cropflow.simulation.crops import CROPS, FIXED
from cropflow.simulation.landscape import make_landscape, square_grid

CENTRE = (2.5, 48.5)


def simulate(side_km=1.5, style="cereal", seasons=("2019", "2020", "2021"), seed=0, centre=CENTRE, **knobs):
    square = Landscape(centre=centre, side_km=side_km, style=style)
    simulation = Simulation(
        seed=seed,
        landscapes={"land": square},
        seasons=seasons,
        imagery_seasons=seasons[-1:],
        difficulty=Difficulty(**knobs),
    )
    return make_landscape("land", square, simulation)


@pytest.fixture(scope="module")
def land():
    return simulate()


def test_the_core_is_the_square_around_the_centre_on_the_pixel_grid(land):
    x, y = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(*CENTRE)
    xmin, ymin, xmax, ymax = land.core.bounds
    assert land.core.epsg == 32631
    assert land.core.shape == (150, 150)
    assert abs((xmin + xmax) / 2 - x) <= 5
    assert abs((ymin + ymax) / 2 - y) <= 5


@pytest.mark.parametrize("side_km", [0.64, 1.5, 1.234])
@pytest.mark.parametrize("centre", [CENTRE, (-51.03, -20.01), (0.0, 47.3)])
def test_the_core_is_the_grid_of_a_region_s_site(centre, side_km):
    assert square_grid(centre, side_km) == site_grid("site", Square(centre=centre, side_km=side_km), 10)


def test_the_grid_has_a_margin_of_160_m(land):
    inner, outer = land.core.bounds, land.grid.bounds
    assert np.subtract(inner, outer).tolist() == [160, 160, -160, -160]


def test_everything_lies_on_the_grid_at_5_m(land):
    shape = (2 * land.grid.height, 2 * land.grid.width)
    assert land.cover.shape == land.soil.shape == shape
    assert (land.cover.dtype, land.soil.dtype) == (np.uint8, np.uint8)
    for season in land.seasons.values():
        assert season.raster.shape == season.second.shape == shape
        assert (season.raster.dtype, season.second.dtype) == (np.uint32, np.bool_)


def test_farmland_is_the_same_in_every_season_and_where_the_cover_says_so(land):
    for season in land.seasons.values():
        assert np.array_equal(season.raster > 0, land.cover == 0)
    assert (land.cover == 0).mean() > 0.6
    assert set(np.unique(land.soil)) == {0, 1, 2, 3}


def test_fields_are_numbered_from_one_and_name_known_crops(land):
    for season in land.seasons.values():
        table = season.table
        assert table.index.name == "field"
        assert table.index.dtype == np.uint32
        assert table.index.tolist() == list(range(1, len(table) + 1))
        assert set(table["crop"]) <= set(CROPS)
        assert set(table["second_crop"]) <= {"", *CROPS}
        assert table.crs.to_epsg() == land.grid.epsg
        assert set(np.unique(season.raster)) <= {0, *table.index}


def test_a_pixel_belongs_to_the_field_that_holds_its_centre(land):
    season = land.seasons["2020"]
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, season.raster.shape[0], 300), rng.integers(0, season.raster.shape[1], 300)
    points = shapely.points(land.grid.xmin + 5 * (columns + 0.5), land.grid.ymax - 5 * (rows + 0.5))
    for row, column, point in zip(rows, columns, points, strict=True):
        field = season.raster[row, column]
        holds = season.table.index[season.table.intersects(point)].tolist()
        assert holds == ([field] if field else [])


def test_fields_share_borders_without_gaps_or_overlaps_in_every_season(land):
    for season in land.seasons.values():
        outlines = season.table.geometry.to_numpy()
        assert shapely.is_valid(outlines).all()
        assert shapely.area(outlines).sum() == pytest.approx(shapely.area(shapely.union_all(outlines)), rel=1e-7)


def test_areas_follow_the_register_s_quantiles():
    table = simulate(side_km=4, seasons=("2019",)).seasons["2019"].table
    quantiles = np.quantile(table.area / 1e4, [0.05, 0.25, 0.5, 0.75, 0.95])
    assert quantiles == pytest.approx([0.04, 0.3, 0.8, 2.0, 8.0], rel=0.25)


def test_a_few_outlines_change_every_year_and_keep_their_parents():
    land = simulate(side_km=3)
    first, second = land.seasons["2019"].table, land.seasons["2020"].table
    kept = {outline.wkb for outline in first.geometry} & {outline.wkb for outline in second.geometry}
    assert 0.03 < 1 - len(kept) / len(first) < 0.12
    assert set(second["parent"]) <= set(first.index)
    parents = shapely.point_on_surface(second.geometry.to_numpy())
    inside = shapely.contains(first.loc[second["parent"]].geometry.to_numpy(), parents)
    assert inside.mean() > 0.97


def test_permanent_crops_stay_where_they_are():
    land = simulate(style="southern", side_km=2)
    first, last = land.seasons["2019"].table, land.seasons["2021"].table
    for key in FIXED:
        before = {outline.wkb for outline in first.geometry[first["crop"] == key]}
        assert before == {outline.wkb for outline in last.geometry[last["crop"] == key]}


def test_two_to_five_percent_hold_a_second_crop_in_part():
    land = simulate(side_km=4, seasons=("2019",))
    season = land.seasons["2019"]
    held = season.table["second_crop"] != ""
    assert 0.015 < held.mean() < 0.055
    assert (season.table["second_crop"] != season.table["crop"]).all()
    assert set(np.unique(season.raster[season.second])) <= set(season.table.index[held])
    pixels = np.bincount(season.raster.ravel())
    for field in np.unique(season.raster[season.second]):
        if pixels[field] > 500:
            assert 0 < season.second[season.raster == field].mean() < 0.75


def test_no_field_holds_a_second_crop_with_the_knob_at_zero(land):
    clean = simulate(outline_errors=0)
    for name, season in clean.seasons.items():
        assert not season.second.any()
        assert (season.table["second_crop"] == "").all()
        # The knob changes nothing else.
        assert season.table["crop"].tolist() == land.seasons[name].table["crop"].tolist()
        assert np.array_equal(season.raster, land.seasons[name].raster)


def test_the_same_seed_makes_the_same_landscape_and_another_seed_another(land):
    again, other = simulate(), simulate(seed=1)
    for name, season in land.seasons.items():
        assert season.table.geometry.to_wkb().tolist() == again.seasons[name].table.geometry.to_wkb().tolist()
        assert season.table["crop"].tolist() == again.seasons[name].table["crop"].tolist()
        assert np.array_equal(season.raster, again.seasons[name].raster)
    assert np.array_equal(land.soil, again.soil)
    assert not np.array_equal(land.cover, other.cover)


def test_another_season_at_the_end_changes_no_earlier_one(land):
    longer = simulate(seasons=("2019", "2020", "2021", "2022"))
    for name, season in land.seasons.items():
        assert season.table["crop"].tolist() == longer.seasons[name].table["crop"].tolist()


@pytest.mark.parametrize(("centre", "epsg"), [((-51.0, -20.0), 32722), ((5.99, 45.0), 32631)])
def test_a_landscape_may_lie_anywhere_on_earth(centre, epsg):
    land = simulate(side_km=0.64, centre=centre, seasons=("2019",))
    assert land.grid.epsg == epsg
    assert square_grid(centre, 0.64) == land.core
    assert len(land.seasons["2019"].table) > 10
