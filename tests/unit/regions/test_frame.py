import geopandas
import numpy as np
import pytest
import shapely

from cropflow.errors import CropflowError
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.frame import box_ground, frame_squares, read_frame, strata_of
from cropflow.regions.sites import centre, overlaps, place_names


def test_a_frame_holds_every_square_whose_centre_lies_in_it_once():
    ground = box_ground((3.0, 44.0, 4.0, 44.5), "EPSG:4326")
    squares = frame_squares(ground, 2000, 10)
    assert len({(grid.epsg, grid.xmin, grid.ymax) for grid in squares}) == len(squares)
    assert all(3 <= centre(grid)[0] <= 4 and 44 <= centre(grid)[1] <= 44.5 for grid in squares)
    assert all(grid.xmin % 2000 == 0 and grid.ymax % 2000 == 0 and grid.shape == (200, 200) for grid in squares)
    area = ellipsoidal_area_ha(geopandas.GeoSeries([ground], crs=4326))[0]
    assert len(squares) * 400 == pytest.approx(area, rel=0.02)
    assert overlaps(place_names(squares[:60])) == {}


@pytest.mark.parametrize(
    ("bounds", "zones"),
    [
        ((5.8, 44.0, 6.2, 44.2), {32631, 32632}),
        ((179.8, -17.2, -179.8, -17.0), {32760, 32701}),
        ((33.0, -0.1, 33.2, 0.1), {32636, 32736}),
        ((2.5, 60.0, 3.5, 60.2), {32631, 32632}),
        ((-60.5, -33.5, -60.2, -33.2), {32720}),
    ],
)
def test_each_square_lies_in_the_zone_of_its_centre_and_none_is_lost_at_a_border(bounds, zones):
    ground = box_ground(bounds, "EPSG:4326")
    squares = frame_squares(ground, 1000, 10)
    assert {grid.epsg for grid in squares} == zones
    area = ellipsoidal_area_ha(geopandas.GeoSeries(shapely.get_parts(ground), crs=4326)).sum()
    assert len(squares) * 100 == pytest.approx(area, rel=0.03)


def test_a_box_of_another_crs_is_the_ground_that_it_covers():
    ground = box_ground((700_000, 6_600_000, 740_000, 6_640_000), "EPSG:2154")
    assert ellipsoidal_area_ha(geopandas.GeoSeries([ground], crs=4326))[0] == pytest.approx(160_000, rel=2e-3)
    with pytest.raises(CropflowError, match=r"choose\.frame\.bounds .* does not place on Earth"):
        box_ground((503.0, 43.0, 504.0, 44.0), "EPSG:4326")


def test_a_frame_without_or_with_far_too_many_squares_is_refused():
    with pytest.raises(CropflowError, match=r"holds no centre of a square of 10 km"):
        frame_squares(box_ground((3.0, 44.0, 3.001, 44.001), "EPSG:4326"), 10_000, 10)
    with pytest.raises(CropflowError, match=r"expected at most 1000000"):
        frame_squares(box_ground((0.1, 40.0, 5.9, 50.0), "EPSG:4326"), 100, 10)


@pytest.fixture
def provinces(tmp_path):
    table = geopandas.GeoDataFrame(
        {"province": ["west", "east"]},
        geometry=[shapely.box(3.0, 44.0, 3.1, 44.1), shapely.box(3.1, 44.0, 3.2, 44.1)],
        crs=4326,
    )
    table.to_crs(2154).to_file(tmp_path / "provinces.gpkg", layer="provinces")
    return tmp_path / "provinces.gpkg"


def test_strata_are_those_of_the_polygon_that_holds_the_centre(provinces):
    polygons = read_frame(provinces, None, "province")
    squares = place_names(frame_squares(polygons.union_all(), 1000, 10))
    strata = strata_of(squares, polygons)
    assert len(strata) == len(squares)
    for grid, stratum in zip(squares.values(), strata, strict=True):
        assert stratum == ("west" if centre(grid)[0] < 3.1 else "east")
    assert list(read_frame(provinces, "provinces", None).columns) == ["geometry"]


def test_polygons_of_two_strata_that_overlap_are_refused(provinces):
    polygons = read_frame(provinces, None, "province")
    polygons.geometry = shapely.buffer(polygons.geometry.to_numpy(), 0.02)
    squares = place_names(frame_squares(polygons.union_all(), 1000, 10))
    with pytest.raises(CropflowError, match="lie in polygons of two strata, such as east, west"):
        strata_of(squares, polygons)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_frame_that_cannot_be_used_is_refused_with_its_key(provinces, tmp_path):
    with pytest.raises(CropflowError, match=r"choose\.strata\.column is 'region'; .* has: province"):
        read_frame(provinces, None, "region")
    (tmp_path / "text.gpkg").write_text("no polygons")
    with pytest.raises(CropflowError, match=r"choose\.frame\.path .* cannot be read"):
        read_frame(tmp_path / "text.gpkg", None, None)
    with pytest.raises(CropflowError, match=r"choose\.frame\.layer is 'nowhere'; .* has: provinces"):
        read_frame(provinces, "nowhere", None)
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(3, 44)], crs=4326).to_file(tmp_path / "points.gpkg")
    with pytest.raises(CropflowError, match="holds Point; expected polygons alone"):
        read_frame(tmp_path / "points.gpkg", None, None)
    geopandas.GeoDataFrame({"a": [None, "x"]}, geometry=[shapely.box(3, 44, 4, 45)] * 2, crs=4326).to_file(
        tmp_path / "gap.gpkg"
    )
    with pytest.raises(CropflowError, match="'a' is empty for 1 of 2 polygons"):
        read_frame(tmp_path / "gap.gpkg", None, "a")
    geopandas.GeoDataFrame({"a": ["x"]}, geometry=[shapely.box(3, 44, 4, 45)]).to_file(tmp_path / "bare.shp")
    with pytest.raises(CropflowError, match="has no CRS"):
        read_frame(tmp_path / "bare.shp", None, None)
    assert np.isfinite(read_frame(provinces, None, None).total_bounds).all()
