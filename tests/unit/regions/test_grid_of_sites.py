import geopandas
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.regions import Box, Square
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.files.tables import write_table
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.grid import Grid
from cropflow.regions.sites import (
    check_overlaps,
    footprint,
    other_zones,
    place_names,
    read_sites,
    site_grid,
    sites_table,
)


@settings(max_examples=60, deadline=None)
@given(
    longitude=st.floats(-179, 179),
    latitude=st.floats(-75, 80),
    side_km=st.floats(0.05, 20),
    pixel_m=st.sampled_from([10, 20]),
)
def test_a_square_is_snapped_and_at_most_half_a_pixel_off(longitude, latitude, side_km, pixel_m):
    grid = site_grid("a", Square(centre=(longitude, latitude), side_km=side_km), pixel_m)
    assert grid.height == grid.width
    assert abs(grid.width * pixel_m - side_km * 1000) <= pixel_m / 2 + 1e-6
    assert grid.xmin % pixel_m == 0
    assert grid.ymax % pixel_m == 0
    to_utm = pyproj.Transformer.from_crs(4326, grid.epsg, always_xy=True)
    x, y = to_utm.transform(longitude, latitude)
    xmin, ymin, xmax, ymax = grid.bounds
    assert abs((xmin + xmax) / 2 - x) <= pixel_m / 2 + 1e-6
    assert abs((ymin + ymax) / 2 - y) <= pixel_m / 2 + 1e-6


@pytest.mark.parametrize(("latitude", "epsg"), [(43.6, 32631), (-43.6, 32731)])
def test_a_square_lies_in_the_zone_of_its_centre(latitude, epsg):
    assert site_grid("a", Square(centre=(3.3, latitude), side_km=1), 10).epsg == epsg


def test_a_box_on_the_grid_of_its_zone_gains_no_pixel():
    box = Box(bounds=(523560, 4829250, 525880, 4832780), crs="EPSG:32631")
    grid = site_grid("herault", box, 10)
    assert (grid.epsg, grid.xmin, grid.ymax) == (32631, 523560, 4832780)
    assert grid.shape == (353, 232)


@pytest.mark.parametrize(
    ("bounds", "crs"),
    [((3.0, 43.5, 3.1, 43.6), "EPSG:4326"), ((740_000, 6_270_000, 748_000, 6_279_000), "EPSG:2154")],
)
def test_a_box_of_another_crs_is_covered_whole_and_hardly_more(bounds, crs):
    grid = site_grid("a", Box(bounds=bounds, crs=crs), 10)
    to_utm = pyproj.Transformer.from_crs(crs, grid.epsg, always_xy=True)
    xs, ys = [], []
    for step in range(201):
        share = step / 200
        along_x = bounds[0] + share * (bounds[2] - bounds[0])
        along_y = bounds[1] + share * (bounds[3] - bounds[1])
        for point in ((along_x, bounds[1]), (along_x, bounds[3]), (bounds[0], along_y), (bounds[2], along_y)):
            x, y = to_utm.transform(*point)
            xs.append(x)
            ys.append(y)
    xmin, ymin, xmax, ymax = grid.bounds
    assert xmin <= min(xs) + 0.1
    assert xmax >= max(xs) - 0.1
    assert ymin <= min(ys) + 0.1
    assert ymax >= max(ys) - 0.1
    assert (xmax - xmin) - (max(xs) - min(xs)) < 20.1
    assert (ymax - ymin) - (max(ys) - min(ys)) < 20.1


def test_a_box_declared_in_the_neighbouring_zone_moves_to_its_own(caplog):
    box = Box(bounds=(760_000, 4_830_000, 761_000, 4_831_000), crs="EPSG:32631")
    assert site_grid("east", box, 10).epsg == 32632
    assert "its centre lies in the zone of EPSG:32632" in caplog.text


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (Square(centre=(3, 43), side_km=0.004), "at least one pixel"),
        (Box(bounds=(3, 43, 5, 45)), "Split it into several sites"),
        (Box(bounds=(3, 85, 4, 86)), "UTM"),
        (Box(bounds=(503, 43, 504, 44)), "does not place on Earth"),
        # Degrees in a CRS of metres.
        (Box(bounds=(3.0, 43.5, 3.1, 43.6), crs="EPSG:2154"), "smaller than a pixel .* Check its crs"),
    ],
)
def test_impossible_sites_are_refused(site, words):
    with pytest.raises(CropflowError, match=words):
        site_grid("a", site, 10)


def test_overlapping_sites_are_warned_about_with_hectares_and_neighbours_are_not(caplog):
    grid = Grid(32631, 500_000, 4_900_000, 100, 100, 10.0)
    sites = {"a": grid, "b": grid.window(0, 100, 100, 100), "c": grid.window(50, 150, 100, 100)}
    assert check_overlaps(sites) == {("b", "c"): 25.0}
    assert "sites b and c share 25.0 ha" in caplog.text


def test_sites_of_two_zones_that_share_ground_are_found():
    east = site_grid("e", Square(centre=(6.001, 43.0), side_km=2), 10)
    west = site_grid("w", Square(centre=(5.999, 43.0), side_km=2), 10)
    assert (west.epsg, east.epsg) == (32631, 32632)
    shared = check_overlaps({"e": east, "w": west})[("e", "w")]
    assert 330 < shared < 400


def test_identical_sites_are_refused():
    grid = Grid(32631, 500_000, 4_900_000, 10, 10, 10.0)
    with pytest.raises(CropflowError, match="Sites a and b are the same"):
        check_overlaps({"a": grid, "b": grid})


def test_a_site_across_the_antimeridian_stays_whole_and_its_footprint_is_cut_there():
    grid = site_grid("fiji", Square(centre=(179.9999, -17.0), side_km=5), 10)
    assert (grid.epsg, grid.shape) == (32760, (500, 500))
    west, east = footprint(grid).geoms
    assert (west.bounds[2], east.bounds[0]) == (180, -180)
    assert west.bounds[0] > 179.9
    assert east.bounds[2] < -179.9
    assert other_zones(grid) == [32701]
    area = ellipsoidal_area_ha(geopandas.GeoSeries([west, east], crs=4326)).sum()
    assert area == pytest.approx(2500, rel=2e-3)


@pytest.mark.parametrize(("east", "epsg"), [(-179.95, 32760), (-179.7, 32701)])
def test_a_box_over_the_antimeridian_is_one_site_in_the_zone_of_its_centre(east, epsg):
    grid = site_grid("fiji", Box(bounds=(179.9, -17.0, east, -16.9)), 10)
    assert grid.epsg == epsg
    to_utm = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_utm.transform([179.9, 179.9, east, east], [-17.0, -16.9, -17.0, -16.9])
    xmin, ymin, xmax, ymax = grid.bounds
    assert 0 <= min(x) - xmin < 20
    assert 0 <= xmax - max(x) < 20
    # The southern edge is a curve, which sags by a few pixels over 43 km.
    assert -0.1 <= min(y) - ymin < 120
    assert -0.1 <= ymax - max(y) < 120


def test_a_box_in_metres_or_within_a_hemisphere_cannot_run_backwards():
    for bounds, crs in [((500_000, 0, 400_000, 1000), "EPSG:32631"), ((30.0, 0.0, 20.0, 1.0), "EPSG:4326")]:
        with pytest.raises(CropflowError, match="not ordered"):
            parse(Box, {"bounds": bounds, "crs": crs})


@pytest.mark.parametrize(
    ("latitude", "own", "other"), [(44.0, 32631, 32632), (-44.0, 32731, 32732), (61.0, 32632, 32631)]
)
def test_a_square_over_the_border_of_two_zones_stays_whole_in_that_of_its_centre(latitude, own, other):
    border = 3.0 if latitude == 61.0 else 6.0  # Norway's zone 32 begins further west
    shift = 0.001 if own > other else -0.001
    grid = site_grid("a", Square(centre=(border + shift, latitude), side_km=10), 10)
    assert (grid.epsg, grid.shape, other_zones(grid)) == (own, (1000, 1000), [other])


def test_a_square_over_the_equator_stays_whole_in_one_hemisphere():
    grid = site_grid("a", Square(centre=(33.0, 0.001), side_km=10), 10)
    assert (grid.epsg, other_zones(grid)) == (32636, [32736])
    assert grid.bounds[1] < 0 < grid.bounds[3]


def test_names_tell_where_a_site_lies_and_do_not_depend_on_the_order():
    grids = [
        site_grid("a", Square(centre=(3.3, 43.6), side_km=1), 10),
        site_grid("b", Square(centre=(-70.25, -33.5), side_km=1), 10),
        site_grid("c", Square(centre=(3.3, 43.6), side_km=2), 10),
    ]
    names = place_names(grids)
    assert place_names(reversed(grids)) == names
    assert sorted(names) == ["n43600e003300", "n43600e003300-2", "s33500w070250"]
    assert names["n43600e003300-2"] != names["n43600e003300"]


def test_sites_survive_the_round_trip_to_a_file(tmp_path):
    sites = {
        "west": Grid(32631, 523_560, 4_832_780, 353, 232, 10.0),
        "coarse": Grid(32631, 523_560, 4_832_780, 177, 116, 20.0),
    }
    table = sites_table(sites)
    assert table.crs.to_epsg() == 4326
    assert list(table.columns) == ["site", "epsg", "transform", "height", "width", "geometry"]
    write_table(tmp_path / "sites.parquet", table)
    assert read_sites(tmp_path / "sites.parquet") == sites
    with pytest.raises(CropflowError, match="is missing"):
        read_sites(tmp_path / "none.parquet")
