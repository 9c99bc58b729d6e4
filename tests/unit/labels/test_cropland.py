"""The share of cropland in squares, against maps whose shares are known."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from cropflow.errors import CropflowError
from cropflow.labels.cropland import cropland_share

CORNER = (3_760_000.0, 2_880_000.0)


def squares(*bounds, crs="EPSG:3035"):
    return geopandas.GeoSeries([shapely.box(*each) for each in bounds], crs=crs)


def pixels(row, column, height, width, size_m=10.0):
    """The bounds of a rectangle of pixels."""
    x, y = CORNER
    return (x + column * size_m, y - (row + height) * size_m, x + (column + width) * size_m, y - row * size_m)


def test_shares_are_counted_over_the_valid_pixels(class_map):
    values = np.full((20, 20), 30, dtype=np.uint8)
    values[:10, :5] = 40
    values[:10, 5:8] = 0
    path = class_map(values, "uint8")
    found = cropland_share(path, squares(pixels(0, 0, 10, 10), pixels(10, 0, 10, 10), pixels(0, 0, 20, 20)))
    assert found == pytest.approx([50 / 70, 0.0, 50 / 370])
    assert found.dtype == np.float64


def test_other_classes_can_be_asked_for(class_map):
    path = class_map([[10, 20], [40, 40]], "uint8")
    assert cropland_share(path, squares(pixels(0, 0, 2, 2)), (10, 20)).tolist() == [0.5]


def test_a_square_without_a_valid_pixel_has_no_share(class_map):
    path = class_map([[0, 40], [0, 40]], "uint8")
    found = cropland_share(path, squares(pixels(0, 0, 2, 1), pixels(100, 100, 5, 5), pixels(0, 1, 2, 1)))
    assert np.isnan(found[:2]).all()
    assert found[2] == 1.0


def test_a_square_that_reaches_beyond_the_map_counts_what_the_map_knows(class_map):
    path = class_map([[40, 30], [40, 40]], "uint8")
    assert cropland_share(path, squares(pixels(-5, -5, 20, 20))).tolist() == [0.75]


def test_a_square_in_its_utm_zone_is_turned_on_the_map_and_covers_the_same_pixels(class_map):
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([30, 40], dtype=np.uint8), size=(300, 300))
    values[:, :150] = 40
    path = class_map(values, "uint8")
    outline = squares(pixels(50, 50, 200, 200)).to_crs("EPSG:32631")
    columns, rows = np.meshgrid(np.arange(300) + 0.5, np.arange(300) + 0.5)
    centres = shapely.points(CORNER[0] + 10 * columns, CORNER[1] - 10 * rows)
    inside = shapely.contains(outline.to_crs("EPSG:3035").iloc[0], centres)
    expected = float((values[inside] == 40).mean())
    assert cropland_share(path, outline)[0] == pytest.approx(expected, abs=2e-3)


def test_a_tall_square_is_read_in_parts_and_counts_the_same(class_map, monkeypatch):
    values = np.random.default_rng(1).choice(np.array([0, 30, 40], dtype=np.uint8), size=(50, 20))
    path = class_map(values, "uint8")
    whole = cropland_share(path, squares(pixels(3, 2, 45, 15)))
    monkeypatch.setattr("cropflow.labels.cropland._ROWS", 7)
    assert cropland_share(path, squares(pixels(3, 2, 45, 15))) == whole
    inside = values[3:48, 2:17]
    assert whole[0] == (inside == 40).sum() / (inside > 0).sum()


def test_degrees_work_as_metres_do(class_map):
    values = np.full((120, 120), 30, dtype=np.uint8)
    values[:, :60] = 40
    path = class_map(values, "uint8", crs="EPSG:4326", transform=Affine(1 / 12000, 0, 2.0, 0, -1 / 12000, 48.0))
    found = cropland_share(path, squares((2.0, 47.99, 2.01, 48.0), crs="EPSG:4326"))
    assert found.tolist() == [0.5]


def test_a_square_over_two_tiles_counts_both(class_map, tmp_path):
    pixel = 1 / 12000
    class_map(np.full((60, 60), 40), "uint8", "west.tif", crs="EPSG:4326", transform=tile(2.995, pixel))
    class_map(np.full((60, 60), 30), "uint8", "east.tif", crs="EPSG:4326", transform=tile(3.0, pixel))
    items = [{"type": "Feature", "id": name, "assets": {"map": {"href": f"{name}.tif"}}} for name in ("west", "east")]
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    across = squares((2.999, 47.997, 3.003, 47.999), crs="EPSG:4326")
    assert cropland_share(tmp_path / "items.json", across).tolist() == [0.25]


def tile(west, pixel):
    return Affine(pixel, 0, west, 0, -pixel, 48.0)


def test_no_squares_have_no_shares(class_map):
    assert cropland_share(class_map([[40]], "uint8"), squares()).tolist() == []


def test_squares_without_a_crs_are_refused(class_map):
    with pytest.raises(CropflowError, match="squares have no CRS"):
        cropland_share(class_map([[40]], "uint8"), squares(pixels(0, 0, 1, 1), crs=None))


def test_a_square_without_an_outline_is_refused(class_map):
    with pytest.raises(CropflowError, match="no outline"):
        cropland_share(class_map([[40]], "uint8"), geopandas.GeoSeries([shapely.Polygon()], crs="EPSG:3035"))


def test_a_square_across_the_antimeridian_is_refused(class_map):
    path = class_map([[40]], "uint8", crs="EPSG:4326", transform=Affine(1, 0, 179.0, 0, -1, 0.0))
    across = squares((-5_000, 0, 5_000, 10_000), crs="+proj=tmerc +lon_0=180 +datum=WGS84")
    with pytest.raises(CropflowError, match="1 of 1 squares, such as number 1, cannot be placed in WGS 84"):
        cropland_share(path, across)


def test_no_classes_at_all_is_a_mistake(class_map):
    with pytest.raises(ValueError, match="no classes"):
        cropland_share(class_map([[40]], "uint8"), squares(pixels(0, 0, 1, 1)), ())
