"""Windows of maps of classes: pixels as they are stored, near and far, whole and in tiles."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine

from cropflow.errors import CropflowError
from cropflow.files.class_rasters import Span, open_classes
from cropflow.files.map_items import asset_files
from cropflow.files.rasters import write_cog
from cropflow.regions.grid import Grid

VALUES = np.arange(1, 41).reshape(5, 8)
CORNER = (3_760_000.0, 2_880_000.0)


def item(name, href, asset="map"):
    return {"type": "Feature", "id": name, "assets": {asset: {"href": href}}}


def collection(folder, *items):
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
    return path


def test_a_part_is_read_as_it_is_stored(class_map):
    with open_classes(class_map(VALUES)) as classes:
        values, valid = classes.read(Span(1, 2, 3, 4))
        assert classes.crs.to_epsg() == 3035
        assert (classes.height, classes.width) == (5, 8)
        assert classes.bounds == (CORNER[0], CORNER[1] - 50, CORNER[0] + 80, CORNER[1])
        assert classes.transform_of(Span(1, 2, 3, 4)).c == CORNER[0] + 20
    assert np.array_equal(values, VALUES[1:4, 2:6])
    assert values.dtype == np.uint16
    assert valid.all()


def test_nodata_of_the_file_and_of_the_caller_is_not_valid(class_map):
    with open_classes(class_map([[0, 1, 255], [7, 0, 8]]), nodata=(255, 7)) as classes:
        _, valid = classes.read(Span(0, 0, 2, 3))
    assert valid.tolist() == [[False, True, False], [False, False, True]]


def test_bounds_become_the_pixels_that_they_touch(class_map):
    x, y = CORNER
    with open_classes(class_map(VALUES)) as classes:
        assert classes.span((x + 10, y - 40, x + 30, y - 20)) == Span(2, 1, 2, 2)
        assert classes.span((x + 11, y - 39, x + 30.0000001, y - 20)) == Span(2, 1, 2, 2)
        assert classes.span((x + 10, y - 40, x + 30, y - 20), margin=1) == Span(1, 0, 4, 4)
        assert classes.span((x - 500, y - 500, x + 500, y + 500)) == Span(0, 0, 5, 8)
        assert classes.span((x + 80, y - 40, x + 90, y - 20)) is None


def test_tiles_of_a_collection_are_one_raster(class_map, tmp_path):
    left = class_map(VALUES, name="left.tif")
    moved = Affine(10.0, 0.0, CORNER[0] + 80, 0.0, -10.0, CORNER[1] + 10)
    right = class_map(VALUES + 100, name="right.tif", transform=moved)
    path = collection(tmp_path, item("left", "left.tif"), item("right", right.as_uri()), item("again", str(left)))
    with open_classes(path) as classes:
        assert (classes.height, classes.width) == (6, 16)
        assert classes.transform.f == CORNER[1] + 10
        values, valid = classes.read(Span(0, 0, 6, 16))
    assert np.array_equal(values[1:, :8], VALUES)
    assert np.array_equal(values[:5, 8:], VALUES + 100)
    assert valid.sum() == 80
    assert not valid[0, :8].any()
    assert not valid[5, 8:].any()


def test_where_tiles_overlap_a_pixel_is_known_if_one_of_them_knows_it(class_map, tmp_path):
    class_map([[1, 0, 3]], name="one.tif")
    class_map([[9, 9, 0]], name="two.tif")
    path = collection(tmp_path, item("one", "one.tif"), item("two", "two.tif"))
    with open_classes(path) as classes:
        values, valid = classes.read(Span(0, 0, 1, 3))
    assert values.tolist() == [[1, 9, 3]]
    assert valid.all()


@pytest.mark.parametrize(
    "profile",
    [
        {"crs": "EPSG:32631"},
        {"transform": Affine(20.0, 0.0, CORNER[0], 0.0, -20.0, CORNER[1])},
        {"transform": Affine(10.0, 0.0, CORNER[0] + 5, 0.0, -10.0, CORNER[1])},
    ],
)
def test_tiles_of_different_grids_are_refused(class_map, tmp_path, profile):
    class_map(VALUES, name="one.tif")
    class_map(VALUES, name="two.tif", **profile)
    with (
        pytest.raises(CropflowError, match="different grids"),
        open_classes(collection(tmp_path, item("one", "one.tif"), item("two", "two.tif"))),
    ):
        pass


@pytest.mark.parametrize(
    ("values", "profile", "message"),
    [
        (VALUES, {"crs": None}, "has no CRS"),
        (VALUES, {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "local CRS"),
        (VALUES, {"dtype": "float32"}, "stores float32; expected classes as integers"),
        (VALUES, {"dtype": "uint32"}, "stores uint32"),
        (np.stack([VALUES, VALUES]), {}, "has 2 bands; expected one"),
        (VALUES, {"transform": Affine(10.0, 1.0, 0.0, 0.0, -10.0, 0.0)}, "expected a north-up grid"),
        (VALUES, {"transform": Affine(10.0, 0.0, 0.0, 0.0, 10.0, 0.0)}, "expected a north-up grid"),
    ],
)
def test_a_raster_that_is_no_map_of_classes_is_refused(class_map, values, profile, message):
    with pytest.raises(CropflowError, match=message), open_classes(class_map(values, **profile)):
        pass


def test_what_is_no_raster_is_refused(tmp_path):
    path = tmp_path / "map.tif"
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(CropflowError, match=r"map\.tif cannot be read as a raster"), open_classes(path):
        pass
    with pytest.raises(CropflowError, match=r"none\.tif cannot be read"), open_classes(tmp_path / "none.tif"):
        pass


def test_a_truncated_raster_is_refused_when_its_pixels_are_read(class_map):
    rng = np.random.default_rng(0)
    path = class_map(rng.integers(1, 9, (256, 256)), tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[:-5000])
    with open_classes(path) as classes, pytest.raises(CropflowError, match=r"map\.tif cannot be read as a raster"):
        classes.read(Span(0, 0, 256, 256))


def test_of_a_cog_behind_an_address_only_what_is_needed_is_fetched(tmp_path, ranges):
    values = np.random.default_rng(0).integers(1, 200, (2048, 2048)).astype(np.uint8)
    write_cog(tmp_path / "map.tif", values, Grid(32631, 400_000.0, 5_400_000.0, 2048, 2048, 10.0), 0)
    content = (tmp_path / "map.tif").read_bytes()
    ranges.files["/product/map.tif"] = content
    with open_classes(f"{ranges.url}/product/map.tif") as classes:
        read, valid = classes.read(Span(100, 200, 50, 60))
        assert classes.name == f"{ranges.url}/product/map.tif"
    assert np.array_equal(read, values[100:150, 200:260])
    assert valid.all()
    assert 0 < ranges.sent < len(content) / 4


def test_an_items_address_is_read_by_ranges_too(tmp_path, ranges, class_map):
    ranges.files["/tile.tif"] = class_map(VALUES).read_bytes()
    path = collection(tmp_path, item("tile", f"{ranges.url}/tile.tif"))
    with open_classes(path) as classes:
        assert np.array_equal(classes.read(Span(0, 0, 5, 8))[0], VALUES)


def test_an_address_that_refuses_is_told_without_its_query(ranges, class_map):
    ranges.files["/secret.tif"] = class_map(VALUES).read_bytes()
    ranges.status = 403
    with (
        pytest.raises(CropflowError, match=r"secret\.tif cannot be read") as caught,
        open_classes(f"{ranges.url}/secret.tif?token=hush"),
    ):
        pass
    assert "hush" not in str(caught.value)


def test_a_page_instead_of_a_raster_is_told_without_its_query(ranges):
    ranges.files["/page.tif"] = b"<!DOCTYPE html><title>Log in</title>" * 100
    with (
        pytest.raises(CropflowError, match=r"page\.tif cannot be read as a raster \(.*not recognized") as caught,
        open_classes(f"{ranges.url}/page.tif?token=hush"),
    ):
        pass
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no STAC items"),
        ('{"type": "FeatureCollection", "features": []}', "holds no STAC items"),
        ('{"type": "FeatureCollection", "features": [1]}', "holds no STAC items"),
        (json.dumps(item("a", "a.tif", "data")), "Item 'a' of .* has no asset 'map'; it has: data"),
        (json.dumps(item("a", "s3://bucket/a.tif")), "names 's3://bucket/a.tif'; expected a local file"),
    ],
)
def test_items_that_lead_nowhere_are_refused(tmp_path, content, message):
    path = tmp_path / "items.json"
    path.write_text(content)
    with pytest.raises(CropflowError, match=message):
        asset_files(path)


def test_a_missing_collection_is_refused(tmp_path):
    with pytest.raises(CropflowError, match=r"none\.json is missing"):
        asset_files(tmp_path / "none.json")


def test_the_recorded_item_of_worldcover_names_its_map(shared):
    folder = shared / "data/stac/items/planetary-computer/esa-worldcover"
    (path,) = folder.glob("*.json")
    (file,) = asset_files(path)
    assert file.startswith("https://")
    assert file.endswith("ESA_WorldCover_10m_2021_v200_S60W030_Map.tif")


def test_a_mask_inside_the_file_counts_as_nodata(tmp_path):
    path = tmp_path / "masked.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 1, "width": 3, "crs": "EPSG:3035"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as raster,
    ):
        raster.write(np.array([[[1, 2, 3]]], dtype=np.uint8))
        raster.write_mask(np.array([[True, False, True]]))
    with open_classes(path) as classes:
        assert classes.read(Span(0, 0, 1, 3))[1].tolist() == [[True, False, True]]
