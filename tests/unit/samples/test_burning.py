"""The rasteriser against GDAL and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from cropflow.samples.kernels import rasterise
from cropflow.samples.kernels.rasterise import burn

HEIGHT, WIDTH, PIXEL_M = 23, 31, 10.0
ORIGIN = (500_000.0, 4_900_000.0)


def star(generator: np.random.Generator, hole: bool) -> shapely.Polygon:
    """A polygon of many corners, some of it beyond the raster, perhaps with a hole."""
    centre = np.array(ORIGIN) + generator.uniform((-20, -250), (330, 20))
    angles = np.sort(generator.uniform(0, 2 * np.pi, generator.integers(3, 12)))
    radii = generator.uniform(5, 120, len(angles))
    shell = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    inner = centre + (shell - centre) * 0.4
    return shapely.make_valid(shapely.Polygon(shell, [inner] if hole else []))


def burnt(geometries: list[shapely.Geometry]) -> np.ndarray:
    raster = np.zeros((HEIGHT, WIDTH), np.uint32)
    burn(np.array(geometries), np.arange(1, len(geometries) + 1, dtype=np.uint32), raster, ORIGIN, PIXEL_M)
    return raster


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_pixels_are_those_whose_centres_lie_inside_the_last_polygon_that_holds_them(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    polygons = [star(generator, bool(generator.integers(2))) for _ in range(count)]
    x = ORIGIN[0] + (np.arange(WIDTH) + 0.5) * PIXEL_M
    y = ORIGIN[1] - (np.arange(HEIGHT) + 0.5) * PIXEL_M
    expected = np.zeros((HEIGHT, WIDTH), np.uint32)
    for number, polygon in enumerate(polygons, 1):
        expected[shapely.contains_xy(polygon, *np.meshgrid(x, y))] = number
    np.testing.assert_array_equal(burnt(polygons), expected)


def test_centres_on_edges_fall_as_they_do_in_gdal() -> None:
    # Corners on pixel centres: every pixel of the outline is a tie.
    box = shapely.box(ORIGIN[0] + 25, ORIGIN[1] - 125, ORIGIN[0] + 145, ORIGIN[1] - 45)
    wedge = shapely.Polygon([(500_105, 4_899_995), (500_305, 4_899_795), (500_105, 4_899_795)])
    for geometry in (box, wedge):
        transform = Affine(PIXEL_M, 0, ORIGIN[0], 0, -PIXEL_M, ORIGIN[1])
        gdal = rasterize([(geometry, 1)], out_shape=(HEIGHT, WIDTH), transform=transform, dtype="uint32")
        mine = burnt([geometry])
        # GDAL adds the row of a horizontal edge that runs to the left, which depends on how the ring is listed.
        edges = np.flatnonzero((gdal != mine).any(axis=1))
        assert len(edges) <= 1
        np.testing.assert_array_equal(np.delete(gdal, edges, axis=0), np.delete(mine, edges, axis=0))


def test_neighbours_share_no_pixel_and_leave_none_between_them() -> None:
    left, right = (shapely.box(ORIGIN[0] + x, ORIGIN[1] - 205, ORIGIN[0] + x + 100, ORIGIN[1] - 5) for x in (5, 105))
    assert np.bincount(burnt([left, right]).ravel())[1:].tolist() == [200, 200]
    assert np.bincount(burnt([right, left]).ravel())[1:].tolist() == [200, 200]


def test_multipolygons_collections_and_nothing_are_burnt_for_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterise, "SHARE", 2)
    one, other = (
        shapely.box(500_000, 4_899_980, 500_030, 4_900_000),
        shapely.box(500_100, 4_899_900, 500_120, 4_899_930),
    )
    mixed = shapely.GeometryCollection([other, shapely.LineString([(500_000, 4_899_800), (500_200, 4_899_800)])])
    raster = burnt([shapely.Polygon(), shapely.MultiPolygon([one, other]), mixed, shapely.Point(500_005, 4_899_995)])
    assert np.bincount(raster.ravel())[1:].tolist() == [0, 6, 6]
